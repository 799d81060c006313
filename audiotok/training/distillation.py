"""What a speech encoder knows, taught to the first codebook.

Zhang et al. 2023 (SpeechTokenizer), arXiv 2308.16692, section 3.2; Défossez et al. 2024 (Mimi),
arXiv 2410.00037, section 3.3. The teacher is any encoder of transformers; a projection from the
latents to its width is trained beside the codec and left out of what is exported.
"""

from __future__ import annotations

import inspect

import torch
import torchaudio
from torch import Tensor, nn
from torch.nn import functional as F

from audiotok.errors import MissingPackageError, RecipeError
from audiotok.nn.losses import distillation_by_channel, distillation_by_frame
from audiotok.nn.outputs import Output
from audiotok.training.settings import DistillationConfig

_LOSSES = {"frame": distillation_by_frame, "channel": distillation_by_channel}


class Teacher:
    """A frozen encoder: waveform (B, C, L) to features (B, D, T')."""

    def __init__(self, settings: DistillationConfig, sample_rate: int, device: torch.device):
        try:
            from transformers import AutoFeatureExtractor, AutoModel
        except ImportError as error:
            raise MissingPackageError("transformers", "train", "distillation") from error
        try:
            self.features = AutoFeatureExtractor.from_pretrained(settings.teacher)
            model = AutoModel.from_pretrained(settings.teacher)
        except (OSError, ValueError) as error:
            detail = " ".join(str(error).split())[:200]
            raise RecipeError(
                f"distillation.teacher {settings.teacher} cannot be loaded: {detail}"
            ) from error
        self.whole = model.config.is_encoder_decoder  # Whisper: padded to a fixed length
        self.encoder = (model.get_encoder() if self.whole else model).eval().to(device)
        self.encoder.requires_grad_(False)
        self.layer, self.device = settings.layer, device
        self.sample_rate, self._from = self.features.sampling_rate, sample_rate
        self.width: int = model.config.hidden_size
        layers = model.config.num_hidden_layers
        if settings.layer != "average" and not 0 <= settings.layer <= layers:
            raise RecipeError(
                f"distillation.layer {settings.layer} is not in {settings.teacher}, whose hidden "
                f"states are 0 to {layers}"
            )

    @torch.no_grad()
    def __call__(self, waveform: Tensor) -> Tensor:
        sound = torchaudio.functional.resample(waveform.mean(1), self._from, self.sample_rate)
        inputs = self.features(
            list(sound.cpu().numpy()), sampling_rate=self.sample_rate, return_tensors="pt"
        )
        known = inspect.signature(self.encoder.forward).parameters
        inputs = {name: value.to(self.device) for name, value in inputs.items() if name in known}
        states = self.encoder(**inputs, output_hidden_states=True).hidden_states
        chosen = torch.stack(states).mean(0) if self.layer == "average" else states[self.layer]
        if self.whole:  # what lies behind the sound is padding
            share = sound.shape[-1] / self.features.n_samples
            chosen = chosen[:, : max(1, round(share * chosen.shape[1]))]
        return chosen.transpose(1, 2).float()


class Distillation(nn.Module):
    """The loss; its projection is the only thing in it that learns."""

    def __init__(
        self,
        settings: DistillationConfig,
        sample_rate: int,
        dimension: int,
        device: torch.device,
    ):
        super().__init__()
        self._teacher = [Teacher(settings, sample_rate, device)]  # not a submodule: not saved
        self.weight = settings.weight
        self._loss = _LOSSES[settings.objective]
        self.projection = nn.Conv1d(dimension, self._teacher[0].width, 1)

    def forward(self, waveform: Tensor, output: Output, quantizer: nn.Module) -> Tensor:
        """A scalar: how far the first codebook's vectors are from the teacher's features."""
        student = output.latents.float()
        if output.codes is not None:
            vectors = quantizer.decode(output.codes[:, :1])
            student = vectors + (student - student.detach())  # straight through to the latents
        target = self._teacher[0](waveform)
        projected = self.projection(student)
        # both at the student's frame rate
        if target.shape[-1] > projected.shape[-1]:
            target = F.adaptive_avg_pool1d(target, projected.shape[-1])
        else:
            target = F.interpolate(target, projected.shape[-1], mode="linear")
        return self._loss(projected, target)
