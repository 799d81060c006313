"""Semantic distillation: the semantic codebook learns the features of a speech encoder.

- `frame`, `channel`: distance of the projected vectors of the first codebook to the teacher's
  features, at the frame rate of the codebook. Zhang et al. 2023 (SpeechTokenizer), arXiv
  2308.16692, section 3.2; Défossez et al. 2024 (Mimi), arXiv 2410.00037, section 3.3.
- `resynthesis`: distance of the teacher's features of the original to those of a sound that an
  auxiliary decoder synthesises from the semantic codes alone. Jo et al. 2025 (LM-SPT), arXiv
  2506.16738.

Teacher and projection are not exported.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiotok.errors import RecipeError
from audiotok.nn.lm_spt import AUXILIARY_RATE
from audiotok.nn.losses import distillation_by_channel, distillation_by_frame
from audiotok.nn.outputs import Output
from audiotok.training.settings import DistillationConfig
from audiotok.training.teacher import Teacher

_LOSSES = {"frame": distillation_by_frame, "channel": distillation_by_channel}


class _TeacherLoss(nn.Module):
    """A loss on features of a teacher, which is not a submodule, so that it is not saved."""

    def __init__(self, settings: DistillationConfig, teacher: Teacher, rate: int):
        super().__init__()
        self.settings, self._teacher = settings, [teacher]
        self.weight, self._rate = settings.weight, rate

    @property
    def teacher(self) -> Teacher:
        return self._teacher[0]


class Distillation(_TeacherLoss):
    """The loss of features; only its projection is trained."""

    def __init__(self, settings: DistillationConfig, teacher: Teacher, rate: int, dimension: int):
        super().__init__(settings, teacher, rate)
        self._loss = _LOSSES[settings.objective]
        self.projection = nn.Conv1d(dimension, teacher.width, 1)

    def forward(self, waveform: Tensor, output: Output, quantizer: nn.Module) -> Tensor:
        """A scalar: distance of the first codebook's vectors to the teacher's features."""
        student = output.semantic
        if student is None:
            student = output.latents.float()
            if output.codes is not None:
                vectors = quantizer.decode(output.codes[:, :1])
                student = vectors + (student - student.detach())  # straight through to the latents
        with torch.no_grad():
            features, frames = self.teacher(waveform, self._rate)
        target = features[..., :frames]
        projected = self.projection(student.float())
        # both at the student's frame rate
        if target.shape[-1] > projected.shape[-1]:
            target = F.adaptive_avg_pool1d(target, projected.shape[-1])
        else:
            target = F.interpolate(target, projected.shape[-1], mode="linear")
        return self._loss(projected, target)


class Resynthesis(_TeacherLoss):
    """Mean squared error of the teacher's features; gradients pass through the teacher. It has no
    weights."""

    def __init__(self, settings: DistillationConfig, teacher: Teacher, rate: int):
        super().__init__(settings, teacher, rate)
        if not teacher.differentiable:
            raise RecipeError(
                f"distillation.teacher {settings.teacher} takes neither waveforms nor Whisper's "
                "spectrogram, so no gradient passes: take another for the objective resynthesis"
            )

    def forward(self, waveform: Tensor, output: Output, quantizer: nn.Module) -> Tensor:
        """A scalar, the mean over features and frames."""
        with torch.no_grad():
            reference = self.teacher(waveform, self._rate)
        length = round(waveform.shape[-1] * AUXILIARY_RATE / self._rate)
        resynthesis = self.teacher(
            output.resynthesis[..., :length], AUXILIARY_RATE, self.settings.floor
        )
        count = (
            reference.frames if self.settings.frames == "valid" else reference.features.shape[-1]
        )
        return F.mse_loss(resynthesis.features[..., :count], reference.features[..., :count])


def make(settings: DistillationConfig, network: nn.Module, model: Any, device: torch.device):
    """The loss for these settings.

    Args:
        model: configuration of the network.

    Raises:
        RecipeError: the teacher or the network does not support the objective.
    """
    silence = torch.zeros(1, getattr(model, "channels", 1), 4 * network.hop_length, device=device)
    teacher = Teacher(settings, device)
    if settings.objective != "resynthesis":
        with torch.no_grad():
            output = network(silence, quantize=False)
        width = (output.latents if output.semantic is None else output.semantic).shape[1]
        return Distillation(settings, teacher, model.sample_rate, width).to(device)
    if not hasattr(network, "auxiliary_decoder"):
        raise RecipeError(
            "distillation.objective resynthesis needs a network with an auxiliary decoder: "
            "take the family lm-spt, or the objective frame"
        )
    return Resynthesis(settings, teacher, model.sample_rate)
