"""A streaming step: encodes one frame of each of B streams in a residual stack, static shapes."""

from __future__ import annotations

from torch import Tensor

from audiotok.kernels.dispatch import function, rvq_encode


class RVQStep:
    """Encodes frames (B, D) of B streams one after another with codebooks (K, V, D).

    Precomputes what does not change between frames. Nothing is read back from a GPU, so a call can
    be captured in a CUDA graph. Codes are those of `rvq_encode`.

    Args:
        codebooks: (K, V, D) float32; must not change afterwards.
        num_codebooks: how many to use, all if None.
        batch: B.
    """

    def __init__(self, codebooks: Tensor, num_codebooks: int | None = None, batch: int = 1):
        self.codebooks = codebooks.detach()[:num_codebooks].contiguous()
        self.batch = batch
        prepare = function("prepare_step", codebooks)
        self._step = prepare(self.codebooks, batch) if prepare else None

    def __call__(self, latents: Tensor) -> Tensor:
        """Codes (B, K) int64 of latents (B, D) float32; the next call may overwrite them."""
        if latents.shape != (self.batch, self.codebooks.shape[2]):
            raise ValueError(
                f"latents are {tuple(latents.shape)}: "
                f"expected {(self.batch, self.codebooks.shape[2])}"
            )
        return self._step(latents) if self._step else rvq_encode(latents, self.codebooks)
