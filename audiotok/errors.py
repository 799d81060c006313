"""The exceptions a user can catch.

Every message is one line: what happened with the values, what was expected, what to do.
"""

from __future__ import annotations


class AudiotokError(Exception):
    """Base class of all expected errors; the command line prints one line and exits with 2."""


class AudioError(AudiotokError):
    """A waveform or sound file that cannot be used as it is."""


class TokensError(AudiotokError):
    """Codes that are out of range, or an .atok file that is damaged."""


class CodecError(AudiotokError):
    """An unknown codec, a bad option, or tokens of another codec."""


class CheckpointError(AudiotokError):
    """Weights that are missing, damaged, or of another architecture."""


class CorpusError(AudiotokError):
    """A corpus or manifest that cannot be read."""


class MetricError(AudiotokError):
    """A metric that is unknown, or has no value for this pair of sounds."""


class ResultsError(AudiotokError):
    """Results on disk that do not fit together."""


class RecipeError(AudiotokError):
    """A training recipe that cannot be run."""


class SpeechError(AudiotokError):
    """A text, a prompt or durations that a speech model cannot speak."""


class MissingPackageError(AudiotokError):
    """An optional package that is not installed.

    Args:
        package: name of the package, e.g. "pesq".
        extra: the extra of audiotok that brings it.
        purpose: what needs it, e.g. "the metric pesq".
    """

    def __init__(self, package: str, extra: str, purpose: str):
        self.package = package
        super().__init__(
            f"{purpose} needs the package {package}, which is not installed: "
            f"pip install 'audiotok[{extra}]'"
        )


class DependencyError(AudiotokError):
    """Required packages that are missing, or whose versions do not fit."""
