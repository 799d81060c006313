"""Codebook search with exact codes: the truth in `reference`, the fast path in `torch_cpu`."""

from audiotok.kernels.torch_cpu import vq_argmin

__all__ = ["vq_argmin"]
