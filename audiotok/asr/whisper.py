"""Whisper through transformers, greedy, English; only with weights that are already here.

Nothing is downloaded: `hf download openai/whisper-small` (a user's step, 1 GB) brings the weights.
Sounds longer than 30 s are recognised in pieces of 30 s.
"""

from __future__ import annotations

import importlib.util
from functools import cached_property
from pathlib import Path

import torch

from audiotok.asr import SAMPLE_RATE, mono
from audiotok.audio import Audio
from audiotok.errors import MetricError, MissingPackageError

MODEL = "openai/whisper-small"
PIECE = 30 * SAMPLE_RATE  # samples


def missing(model: str | Path = MODEL) -> MissingPackageError | MetricError | None:
    """The error that says what is not here, the package or the weights; None where all is."""
    if importlib.util.find_spec("transformers") is None:
        return MissingPackageError("transformers", "asr", "Whisper")
    if Path(model).is_dir():
        return None
    from huggingface_hub import try_to_load_from_cache

    if isinstance(try_to_load_from_cache(str(model), "model.safetensors"), str):
        return None
    return MetricError(f"the weights of {model} are not on this machine: hf download {model}")


class Whisper:
    """Args: model: a name on the Hub whose files are cached, or a folder that holds them."""

    def __init__(self, model: str | Path = MODEL):
        self.model = str(model)
        self.name = f"whisper {self.model}"

    def __getstate__(self) -> dict:
        return {"model": self.model, "name": self.name}  # weights are loaded where they are used

    @cached_property
    def _network(self):
        from transformers import WhisperForConditionalGeneration, WhisperProcessor

        if (error := missing(self.model)) is not None:
            raise error
        options = {"local_files_only": True}
        try:
            processor = WhisperProcessor.from_pretrained(self.model, **options)
            network = WhisperForConditionalGeneration.from_pretrained(
                self.model, use_safetensors=True, **options
            )
        except (OSError, ValueError) as reason:
            line = str(reason).strip().splitlines()[0]
            raise MetricError(f"Whisper cannot be loaded from {self.model}: {line}") from reason
        return processor, network.eval()

    @torch.inference_mode()
    def transcribe(self, audio: Audio) -> str:
        """The text as Whisper writes it, without special tokens."""
        processor, network = self._network
        texts = []
        for piece in mono(audio).waveform[0].split(PIECE):
            features = processor(
                piece.numpy(), sampling_rate=SAMPLE_RATE, return_tensors="pt"
            ).input_features
            options = {"num_beams": 1, "do_sample": False}
            if getattr(network.generation_config, "is_multilingual", False):
                options |= {"language": "en", "task": "transcribe"}
            codes = network.generate(features, **options)
            texts += processor.batch_decode(codes, skip_special_tokens=True)
        return " ".join(text.strip() for text in texts)
