"""Whisper through transformers (Radford et al. 2022), English, beam search with 5 beams.

Five beams and no other search option, as in the survey of discrete audio tokens (arXiv 2506.10274,
section 3.1). Any size; the weights must already be on this machine. Sounds longer than 30 s are
recognised in pieces of 30 s.
"""

from __future__ import annotations

from pathlib import Path

import torch

from audiotok.judges.asr import SAMPLE_RATE, pieces
from audiotok.judges.pretrained import Pretrained
from audiotok.sound.audio import Audio

BEAMS = 5
HOME = "openai/whisper-"


class Whisper(Pretrained):
    """Args: model: a size ("large-v3"), a name on the Hub whose files are cached, or a folder."""

    DEFAULT = f"{HOME}small"
    PURPOSE = "Whisper"
    script = "LATIN"  # its language is set to English

    def __init__(self, model: str | Path | None = None):
        is_size = model and "/" not in str(model) and not Path(model).is_dir()
        super().__init__(f"{HOME}{model}" if is_size else model)

    @property
    def label(self) -> str:
        return super().label.removeprefix(HOME)

    @property
    def name(self) -> str:
        return f"{self.PURPOSE} {self.label or 'small'}, {BEAMS} beams"

    def _load(self, options):
        from transformers import WhisperForConditionalGeneration, WhisperProcessor

        processor = WhisperProcessor.from_pretrained(self.model, **options)
        network = WhisperForConditionalGeneration.from_pretrained(self.model, **options)
        return processor, network.eval()

    @torch.inference_mode()
    def transcribe(self, audio: Audio) -> str:
        """The text as Whisper writes it, without special tokens."""
        processor, network = self.network
        options = {"num_beams": BEAMS, "do_sample": False}
        if getattr(network.generation_config, "is_multilingual", False):
            options |= {"language": "en", "task": "transcribe"}
        texts = []
        for piece in pieces(audio):
            features = processor(
                piece.numpy(), sampling_rate=SAMPLE_RATE, return_tensors="pt"
            ).input_features
            codes = network.generate(features, **options)
            texts += processor.batch_decode(codes, skip_special_tokens=True)
        return " ".join(text.strip() for text in texts)
