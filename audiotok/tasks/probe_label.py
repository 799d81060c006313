"""probe_label: accuracy of a small classifier that predicts the label of a clip from its tokens.

The labels are those of the corpus: keywords, sound events, genres, the sex of the speaker.
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
    target_name = "label"

    def target(self, clip: Clip) -> str | None:
        return clip.label
