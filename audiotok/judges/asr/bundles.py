"""The CTC recognisers of torchaudio.pipelines (wav2vec 2.0, HuBERT), greedy, no language model.

The weights must already be in the folder of torch.hub. Sounds longer than 30 s are recognised in
pieces of 30 s.
"""

from __future__ import annotations

from functools import cached_property

import torch

from audiotok.errors import MetricError
from audiotok.judges.asr import pieces
from audiotok.judges.pretrained import folder_sha256, hub_file, hub_missing, unloadable
from audiotok.sound.audio import Audio
from audiotok.system.dependencies import torchaudio, torchaudio_error

URL = "https://download.pytorch.org/torchaudio/models/"


class Bundle:
    """Args: bundle: its name in torchaudio.pipelines; MetricError if it is no recogniser."""

    DEFAULT = "WAV2VEC2_ASR_BASE_960H"
    languages = ("en",)
    script = "LATIN"  # of all bundles of torchaudio

    def __init__(self, bundle: str | None = None):
        self.bundle = bundle or self.DEFAULT
        self.label = "" if self.bundle == self.DEFAULT else self.bundle
        self.name = f"torchaudio {self.bundle}"
        self._file = None if torchaudio_error() else self._bundle._path.rpartition("/")[2]

    def __getstate__(self) -> dict:
        return {key: value for key, value in vars(self).items() if key != "network"}

    @property
    def _bundle(self):
        pipelines = torchaudio().pipelines
        available = {
            name: bundle
            for name, bundle in vars(pipelines).items()
            if type(bundle) is pipelines.Wav2Vec2ASRBundle  # its subclass only aligns
        }
        if self.bundle not in available:
            raise MetricError(
                f"torchaudio has no recogniser {self.bundle!r}; available: {', '.join(available)}"
            )
        return available[self.bundle]

    @property
    def identity(self) -> dict[str, str]:
        path = self._file and hub_file(self._file)
        return {"weights": folder_sha256((str(path),))} if path and path.is_file() else {}

    def missing(self) -> MetricError | None:
        """An error with how to get the weights; None if they are there."""
        if (error := torchaudio_error()) is not None:
            return MetricError(str(error))
        return hub_missing(self._file, URL + self._bundle._path, self.bundle)

    @cached_property
    def network(self) -> torch.nn.Module:
        if (error := self.missing()) is not None:
            raise error
        options = {"weights_only": True, "map_location": "cpu", "file_name": self._file}
        try:
            return self._bundle.get_model(dl_kwargs=options)
        except Exception as reason:  # torch.load raises anything at damaged files
            raise unloadable(self.bundle, hub_file(self._file), reason) from reason

    @torch.inference_mode()
    def transcribe(self, audio: Audio, language: str | None = None) -> str:
        """Greedy CTC decoding."""
        labels = self._bundle.get_labels()  # the blank first, | between words
        texts = []
        for piece in pieces(audio):
            emission, _ = self.network(piece[None])
            symbols = emission[0].argmax(-1).unique_consecutive().tolist()
            texts.append("".join(labels[symbol] for symbol in symbols if symbol != 0))
        return " ".join(" ".join(texts).replace("|", " ").split())
