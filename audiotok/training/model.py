"""The trained parts of a run (codec, discriminators, codebooks, projections), and one step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from audiotok.nn.balancer import Balancer
from audiotok.nn.outputs import Output
from audiotok.training import codebooks, distillation, families, optimisers, start
from audiotok.training.adversary import Adversary
from audiotok.training.monitor import Usage, check_finite
from audiotok.training.objectives import Reconstruction
from audiotok.training.processes import ProcessGroup
from audiotok.training.recipe import Recipe
from audiotok.training.state import seed_everything


class Model:
    """The trained parts of a run. They are equal in all processes at every step.

    Args:
        folder: of the run, for error messages.
    """

    def __init__(self, recipe: Recipe, group: ProcessGroup, folder: Any):
        self.recipe, self.group, self.folder = recipe, group, folder
        seed_everything(recipe.seed)
        self.network = families.build(recipe.family, recipe.model)
        self.channels: int = getattr(recipe.model, "channels", 1)
        codebooks.prepare(self.network, recipe.quantizer)
        if recipe.start_from is not None:
            start.start_from(recipe, self.network)
        self.network.to(group.device).train()
        self.average = None
        if recipe.ema is not None:
            update = get_ema_multi_avg_fn(recipe.ema)
            self.average = AveragedModel(self.network, multi_avg_fn=update)
        processes = group if group.count > 1 else None
        self.sizes = codebooks.sizes(self.network.quantizer)
        self.codebooks = codebooks.Codebooks(
            self.network.quantizer, recipe.quantizer, recipe.seed, processes
        ).to(group.device)
        self.usage = Usage(self.sizes, recipe.stop, processes).to(group.device)
        self.reconstruction = Reconstruction(recipe.losses, recipe.model.sample_rate)
        self.reconstruction.to(group.device)
        self.adversary = Adversary(recipe.discriminators, self.channels).to(group.device)
        self.distillation = None
        if recipe.distillation is not None:
            self.distillation = distillation.make(
                recipe.distillation, self.network, recipe.model, group.device
            )
        self.weights = self.reconstruction.weights | self.adversary.weights
        self.balancer = None
        if recipe.balancer is not None:
            # The norm is per clip, so the sum grows with the batch. The mean over all processes and
            # passes is taken later.
            norm = recipe.balancer.total_norm * group.count * recipe.accumulate
            self.balancer = Balancer(self.weights, norm, recipe.balancer.decay)
            self.balancer.to(group.device)
        self.codec_weights = [
            *(weight for weight in self.network.parameters() if weight.requires_grad),
            *([] if self.distillation is None else self.distillation.parameters()),
        ]
        self.optimizer = optimisers.make_optimizer(self.codec_weights, recipe.optimizer)
        self.discriminator_optimizer = None
        if self.adversary.learning():
            self.discriminator_optimizer = optimisers.make_optimizer(
                self.adversary.learning(), recipe.discriminator_optimizer
            )
        seed_everything(recipe.seed + group.rank)  # dropout differs between processes

    @property
    def parts(self) -> dict[str, Any]:
        """The parts that have a state, by name."""
        parts = {
            "network": self.network,
            "average": self.average,
            "codebooks": self.codebooks,
            "usage": self.usage,
            "discriminators": self.adversary,
            "distillation": self.distillation,
            "balancer": self.balancer,
            "optimizer": self.optimizer,
            "discriminator_optimizer": self.discriminator_optimizer,
        }
        return {name: part for name, part in parts.items() if part is not None}

    @property
    def result(self) -> nn.Module:
        """The network that is validated and exported: the moving average, if there is one."""
        return self.network if self.average is None else self.average.module

    def quantizes(self, step: int) -> bool:
        """Whether latents go through the quantizer."""
        start = self.recipe.quantizer.start_step
        return start is not None and step >= start

    def start_codebooks(self, batches: Iterator[Tensor]) -> None:
        """Starts the codebooks by k-means on latents of the next batches, or continues with those
        of a checkpoint."""
        frames = -(-self.recipe.crop_samples // self.network.hop_length)
        settings = self.recipe.data
        frames *= settings.batch_size * self.recipe.accumulate * self.group.count
        if not self.recipe.starts_codebooks:
            self.codebooks.adopt(frames)
            return
        self.codebooks.start(lambda min_frames: self._collect(batches, min_frames), frames)
        self.group.copy_from_first(self.network.quantizer)
        self.group.copy_from_first(self.codebooks)

    def step(self, waveforms: Sequence[Tensor], step: int) -> dict[str, float]:
        """One optimizer step from a waveform (B, C, L) per pass; losses and norms by name.

        Raises:
            RecipeError: a loss or a gradient is not finite, or a codebook has collapsed.
        """
        for optimizer in filter(None, (self.optimizer, self.discriminator_optimizer)):
            optimizer.zero_grad(set_to_none=True)
        outputs: list[Output] = []
        sums: dict[str, Tensor] = {}
        for waveform in waveforms:
            output, losses = self._one_pass(waveform, step)
            outputs.append(output)
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0) + loss.detach().float() / len(waveforms)
        sums["gradient"] = self._descend(
            self.optimizer,
            self.codec_weights,
            settings=self.recipe.optimizer,
            step=step,
            passes=len(waveforms),
        )
        discriminators_learn = any(name.startswith("discriminator_") for name in sums)
        if discriminators_learn:
            sums["discriminator_gradient"] = self._descend(
                self.discriminator_optimizer,
                self.adversary.learning(step),
                settings=self.recipe.discriminator_optimizer,
                step=step,
                passes=len(waveforms),
            )
        numbers = dict(zip(sums, torch.stack(list(sums.values())).tolist(), strict=True))
        check_finite(step, numbers, self.folder)
        self.optimizer.step()
        if discriminators_learn:
            self.discriminator_optimizer.step()
        if self.quantizes(step):
            latents = torch.cat([output.latents.detach() for output in outputs])
            codes = torch.cat([output.codes for output in outputs])
            self.codebooks.update(latents, codes)
            self.usage.update(codes)
        if self.average is not None:
            self.average.update_parameters(self.network)
        return numbers

    def _one_pass(self, waveform: Tensor, step: int) -> tuple[Output, dict[str, Tensor]]:
        """Forward and backward of codec and discriminators; the output, and all losses by name."""
        with self.group.autocast():
            output = self.network(waveform, self.quantizes(step))
        reconstruction = output.waveform[..., : waveform.shape[-1]].float()
        with self.group.autocast():
            discriminator_losses, real = self.adversary.discriminator_losses(
                waveform, reconstruction, step
            )
        if discriminator_losses:
            sum(discriminator_losses.values()).backward()
        losses = self.reconstruction(waveform, reconstruction)
        with self.adversary.frozen():
            with self.group.autocast():
                losses |= self.adversary.generator_losses(reconstruction, real, step)
            other_losses = self._other_losses(waveform, output)
            self._backward(losses, other_losses, reconstruction)
        return output, losses | other_losses | discriminator_losses

    def _other_losses(self, waveform: Tensor, output: Output) -> dict[str, Tensor]:
        """Losses other than those of the reconstruction."""
        losses = dict(output.losses)
        if self.distillation is not None:
            with self.group.autocast():
                losses["distillation"] = self.distillation(waveform, output, self.network.quantizer)
        return losses

    def _backward(
        self, losses: dict[str, Tensor], other_losses: dict[str, Tensor], reconstruction: Tensor
    ) -> None:
        settings = self.recipe.losses
        weighted = [
            getattr(settings, name) * loss
            for name, loss in other_losses.items()
            if name != "distillation"
        ]
        if "distillation" in other_losses:
            weighted.append(self.distillation.weight * other_losses["distillation"])
        others_sum = sum(weighted) if weighted else None
        if self.balancer is None:
            total = sum(self.weights[name] * loss for name, loss in losses.items())
            (total if others_sum is None else total + others_sum).backward()
            return
        if others_sum is not None and not others_sum.requires_grad:
            others_sum = None
        processes = self.group if self.group.count > 1 else None
        self.balancer.backward(losses, reconstruction, others_sum, processes)

    def _descend(self, optimizer, weights, *, settings, step: int, passes: int) -> Tensor:
        """Prepares the step of an optimizer: learning rate, averaged and clipped gradients. Returns
        the norm of the gradient before clipping."""
        rate = optimisers.learning_rate(settings, step, self.recipe.steps)
        optimisers.set_learning_rate(optimizer, rate)
        self.group.average_gradients(weights, passes)
        return optimisers.clipped_norm(weights, settings.clip_norm)

    @torch.no_grad()
    def _collect(self, batches: Iterator[Tensor], min_frames: int) -> Tensor:
        """Latents (B, D, T) of all processes, with at least `min_frames` frames."""
        collected, frames = [], 0
        while frames < min_frames:
            with self.group.autocast():
                latents = self.network.encoder(next(batches).to(self.group.device))
            collected.append(self.group.gather(latents.float()))
            frames += collected[-1].shape[0] * collected[-1].shape[2]
        return torch.cat(collected)
