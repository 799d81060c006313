"""PyTorch's defaults, independent of the caller's settings: dtype, device, autocast, gradients,
denormals.

Computations in these contexts give the same results in every program.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from audiotok.system.denormals import keep_denormals
from audiotok.system.shared_settings import SharedSettings


class _DefaultDtype:
    """PyTorch's default dtype, a setting of the whole process, as an attribute."""

    @property
    def dtype(self) -> torch.dtype:
        return torch.get_default_dtype()

    @dtype.setter
    def dtype(self, dtype: torch.dtype) -> None:
        torch.set_default_dtype(dtype)


_DEFAULT_DTYPE = SharedSettings((_DefaultDtype(), "dtype", torch.float32))


@contextmanager
def pytorch_defaults() -> Iterator[None]:
    """PyTorch's settings as in a new process, but without gradients: new tensors are float32 on the
    CPU, there is no autocast, no inference mode, and denormals are kept."""
    with (
        keep_denormals(),
        _DEFAULT_DTYPE,
        _cpu_is_default(),
        no_autocast("cpu"),
        torch.inference_mode(False),
        torch.no_grad(),
    ):
        yield


def _cpu_is_default() -> AbstractContextManager:
    if torch.get_default_device().type == "cpu":
        return nullcontext()
    return torch.device("cpu")


def no_autocast(device: str) -> AbstractContextManager:
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        return torch.autocast(device, enabled=False)
    return nullcontext()
