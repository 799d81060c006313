"""Whisper's encoder of any size with a CTC head for phones, and greedy decoding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from audiotok.errors import RecipeError
from audiotok.nn.log_mel import HOP, SAMPLE_RATE, LogMel, fit
from audiotok.recogniser.phones import BLANK, PHONES
from audiotok.recogniser.recipe import EncoderConfig
from audiotok.system.dependencies import need_transformers
from audiotok.system.files import replacing

STRIDE = 2  # mel frames per frame of the encoder


class Recogniser(nn.Module):
    """Waveform (B, L) at 16 kHz to log probabilities of phones, 50 frames per second."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        need_transformers("train", "the recogniser")
        from transformers import WhisperConfig
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        self.num_samples = round(config.seconds * SAMPLE_RATE)
        self.mel = LogMel(config.num_mels)
        self.encoder = WhisperEncoder(
            WhisperConfig(
                num_mel_bins=config.num_mels,
                d_model=config.dimension,
                encoder_layers=config.layers,
                encoder_attention_heads=config.heads,
                encoder_ffn_dim=4 * config.dimension,
                max_source_positions=self.num_samples // (HOP * STRIDE),
            )
        )
        self.head = nn.Linear(config.dimension, len(PHONES) + 1)

    def forward(self, waveform: Tensor) -> Tensor:
        """(B, L), padded or cut to `num_samples` -> (B, T, 1 + phones), logarithms."""
        features = self.mel(fit(waveform, self.num_samples))
        return self.head(self.encoder(features).last_hidden_state).float().log_softmax(-1)

    def frames(self, num_samples: int) -> int:
        """Number of frames of sound of this length."""
        return -(-min(num_samples, self.num_samples) // (HOP * STRIDE))

    def save(self, folder: Path) -> None:
        """The encoder in the format of transformers, with its feature extractor."""
        from transformers import WhisperFeatureExtractor

        config = self.encoder.config
        folder.mkdir(exist_ok=True)
        with replacing(folder / "model.safetensors", RecipeError) as file:
            state = {key: value.cpu() for key, value in self.encoder.state_dict().items()}
            file.write(to_safetensors(state, {"format": "pt"}))
        config.architectures = ["WhisperEncoder"]
        config.save_pretrained(folder)
        WhisperFeatureExtractor(
            config.num_mel_bins, SAMPLE_RATE, HOP, self.num_samples // SAMPLE_RATE
        ).save_pretrained(folder)


def collapse(classes: Sequence[int]) -> list[int]:
    """The CTC collapse: repetitions are merged, then blanks removed."""
    pairs = zip([BLANK, *classes], classes, strict=False)
    return [phone for previous, phone in pairs if phone not in (previous, BLANK)]


@torch.no_grad()
def transcribe(model: Recogniser, waveform: Tensor) -> list[int]:
    """Classes of the phones in (L,), by greedy decoding."""
    log_probabilities = model(waveform[None])[0]
    return collapse(log_probabilities[: model.frames(len(waveform))].argmax(-1).tolist())
