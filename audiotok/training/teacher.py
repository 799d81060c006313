"""A frozen speech encoder that a codec learns from: any of transformers.

Gradients can pass through it to the sound: through Whisper's log-mel spectrogram, or the
normalisation of encoders of waveforms.
"""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from audiotok.errors import RecipeError
from audiotok.judges.pretrained import from_pretrained_options
from audiotok.nn.log_mel import Floor, LogMel, fit
from audiotok.sound.sinc import Resample
from audiotok.system.dependencies import need_transformers
from audiotok.training.settings import DistillationConfig


class TeacherFeatures(NamedTuple):
    """Features of a batch of sounds."""

    features: Tensor  # (B, D, T') float32
    frames: int  # the first ones, those of the sound; the others are padding


class Teacher:
    """Waveform (B, C, L) to features of the layer that the settings name.

    Raises:
        RecipeError: it cannot be loaded, or has no such layer.
    """

    def __init__(self, settings: DistillationConfig, device: torch.device):
        self.settings, self.device = settings, device
        self.extractor, self.encoder, self.config = _load(settings.teacher)
        self.encoder.eval().to(device).requires_grad_(False)
        self.whisper = self.config.model_type == "whisper"
        self.sample_rate: int = self.extractor.sampling_rate
        self.width: int = self.config.hidden_size
        self.mel = LogMel(self.config.num_mel_bins) if self.whisper else None
        if self.mel is not None:
            self.mel.to(device)
        layers = self.config.num_hidden_layers
        if isinstance(settings.layer, int) and not 0 <= settings.layer <= layers:
            raise RecipeError(
                f"distillation.layer {settings.layer} is not in {settings.teacher}, whose hidden "
                f"states are 0 to {layers}"
            )

    @property
    def differentiable(self) -> bool:
        """Whether gradients pass through it."""
        return self.whisper or self.extractor.model_input_names[0] == "input_values"

    def __call__(
        self, waveform: Tensor, sample_rate: int, floor: Floor = "clip"
    ) -> TeacherFeatures:
        """Features of (B, C, L) at that rate, channels mixed; `floor` is that of `LogMel`."""
        sound = Resample(sample_rate, self.sample_rate)(waveform.mean(1).float())
        inputs = self._inputs(sound, floor)
        if self.settings.layer == "last":
            features = self.encoder(**inputs).last_hidden_state
        else:
            states = self.encoder(**inputs, output_hidden_states=True).hidden_states
            average = self.settings.layer == "average"
            features = torch.stack(states).mean(0) if average else states[self.settings.layer]
        frames = features.shape[1]
        if self.whisper:  # frames after the end of the sound are padding
            share = min(1.0, sound.shape[-1] / self.extractor.n_samples)
            frames = max(1, round(share * frames))
        return TeacherFeatures(features.transpose(1, 2).float(), frames)

    def _inputs(self, sound: Tensor, floor: Floor) -> dict[str, Tensor]:
        if self.mel is not None:
            return {"input_features": self.mel(fit(sound, self.extractor.n_samples), floor)}
        if self.differentiable:
            if getattr(self.extractor, "do_normalize", False):
                deviation = sound.var(-1, correction=0, keepdim=True).add(1e-7).sqrt()
                sound = (sound - sound.mean(-1, keepdim=True)) / deviation
            return {"input_values": sound}
        inputs: Any = self.extractor(
            list(sound.detach().cpu().numpy()), sampling_rate=self.sample_rate, return_tensors="pt"
        )
        parameters = inspect.signature(self.encoder.forward).parameters
        return {name: value.to(self.device) for name, value in inputs.items() if name in parameters}


def _load(name: str) -> tuple[Any, nn.Module, Any]:
    """Feature extractor, encoder and its config; of Whisper, the checkpoint may be an encoder
    alone."""
    need_transformers("train", "distillation")
    from transformers import AutoConfig, AutoFeatureExtractor, AutoModel
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    try:
        options = from_pretrained_options(name, "teacher")
        extractor = AutoFeatureExtractor.from_pretrained(str(name), **options)
        config = AutoConfig.from_pretrained(str(name), **options)
        if config.architectures == ["WhisperEncoder"]:
            return extractor, WhisperEncoder.from_pretrained(str(name), **options), config
        model = AutoModel.from_pretrained(str(name), **options)
    except (OSError, ValueError) as error:
        detail = " ".join(str(error).split())[:200]
        raise RecipeError(f"distillation.teacher {name} cannot be loaded: {detail}") from error
    return extractor, model.get_encoder() if config.is_encoder_decoder else model, config
