"""probe_label: whether a small head can name the label of a clip from its tokens.

Keyword spotting, sound events, genres, a speaker's sex: whatever the corpus has in `label`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiotok.tasks import _probe

if TYPE_CHECKING:
    from audiotok.data import Clip


class ProbeLabel(_probe.ClassProbe):
    """Accuracy of a head for labels. Ranked: its mean over seeds, see `_probe.Probe`."""

    name = "probe_label"
    version = _probe.VERSION
    stem = "probe_label_accuracy"
    ranked = ("probe_label_accuracy",)
    what = "label"

    def target(self, clip: Clip) -> str | None:
        return clip.label
