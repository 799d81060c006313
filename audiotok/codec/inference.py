"""How every codec runs its network: no gradients, full float32, and nothing changed afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_BACKENDS = torch.backends
_EXACT = [  # no TF32, no bfloat16 inside of fp32, no algorithm chosen by a race
    (_BACKENDS.cuda.matmul, "fp32_precision", "ieee"),
    (_BACKENDS.cudnn.conv, "fp32_precision", "ieee"),
    (_BACKENDS.cudnn.rnn, "fp32_precision", "ieee"),
    (_BACKENDS.mkldnn.matmul, "fp32_precision", "ieee"),
    (_BACKENDS.mkldnn.conv, "fp32_precision", "ieee"),
    (_BACKENDS.mkldnn.rnn, "fp32_precision", "ieee"),
    (_BACKENDS.cudnn, "deterministic", True),
    (_BACKENDS.cudnn, "benchmark", False),
]


@contextmanager
def inference(
    network: torch.nn.Module | None, device: torch.device, fast: bool = False
) -> Iterator[None]:
    """Eval mode, no gradients, full fp32 and fixed algorithms; all as before afterwards.

    Args:
        fast: what PyTorch's autocast takes to bfloat16 runs in bfloat16.
    """
    modules = list(network.modules()) if network is not None else []
    settings = [(module, "training", False) for module in modules] + _EXACT
    before = [getattr(owner, name) for owner, name, _ in settings]
    try:
        for owner, name, value in settings:
            setattr(owner, name, value)
        with (
            torch.inference_mode(),
            torch.autocast(device.type, dtype=torch.bfloat16, enabled=fast),
        ):
            yield
    finally:
        for (owner, name, _), value in zip(settings, before, strict=True):
            setattr(owner, name, value)
