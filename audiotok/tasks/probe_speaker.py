"""probe_speaker: whether a small head can name the speaker of a clip from its tokens.

Closed-set identification: every speaker has training clips.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiotok.tasks import _probe

if TYPE_CHECKING:
    from audiotok.data import Clip


class ProbeSpeaker(_probe.ClassProbe):
    """Accuracy of a head for speakers. Ranked: its mean over seeds, see `_probe.Probe`."""

    name = "probe_speaker"
    version = _probe.VERSION
    stem = "probe_speaker_accuracy"
    ranked = ("probe_speaker_accuracy",)
    target_name = "speaker"

    def target(self, clip: Clip) -> str | None:
        return clip.speaker
