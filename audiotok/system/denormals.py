"""Keep denormal numbers, whatever `torch.set_flush_denormal` was told.

Flushed, the numbers below 1.2e-38 are 0, and the codes of tiny latents depend on who computes them.
The setting is one of each thread, and threads inherit it from the one that starts them: it is
switched off here in the thread that calls; threads that PyTorch started while it was on keep it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_SMALLEST = 5e-324  # the smallest denormal of fp64
_ONE = 1.0
_GRAIN = 1 << 15  # elements that PyTorch gives a thread at least


@contextmanager
def keep_denormals() -> Iterator[None]:
    """Inside, this thread keeps denormals. A RuntimeWarning says where PyTorch's own threads do not
    and codes may depend on it."""
    if _SMALLEST * _ONE:
        yield
        return
    torch.set_flush_denormal(False)
    try:
        if torch.get_num_threads() > 1 and _threads_flush():
            warnings.warn(
                "PyTorch's threads were started under torch.set_flush_denormal(True) and flush "
                "numbers below 1.2e-38 to 0, so codes of such tiny latents may differ between "
                "machines: call it after the first computation, or torch.set_num_threads(1)",
                RuntimeWarning,
                stacklevel=4,
            )
        yield
    finally:
        torch.set_flush_denormal(True)


def _threads_flush() -> bool:
    size = 2 * _GRAIN * torch.get_num_threads()
    denormals = torch.ones(size, dtype=torch.int32, device="cpu").view(torch.float32)
    return not bool((denormals * 1.0).view(torch.int32).all())
