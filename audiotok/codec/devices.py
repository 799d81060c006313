"""From the name of a device to a device that this PyTorch can compute on."""

from __future__ import annotations

import os

import torch

from audiotok.errors import CodecError

AUTO = "auto"
VARIABLE = "AUDIOTOK_DEVICE"  # what "auto" takes, if it is set


def automatic() -> tuple[torch.device, str]:
    """The device that "auto" stands for, and the reason in a few words."""
    if (asked := os.environ.get(VARIABLE, AUTO)) != AUTO:
        return find_device(asked), f"from {VARIABLE}"
    if not torch.cuda.is_available():
        return torch.device("cpu"), "no GPU that this PyTorch can use"
    try:
        torch.ones(1, device="cuda").cpu()
    except Exception as reason:  # each driver fails in its own way
        return torch.device("cpu"), f"the GPU fails with {type(reason).__name__}"
    return torch.device("cuda"), torch.cuda.get_device_name()


def find_device(device: str) -> torch.device:
    """The device of that name; CodecError if this PyTorch cannot compute on it."""
    if device == AUTO:
        return automatic()[0]
    try:
        result = torch.device(device)
    except RuntimeError:
        raise CodecError(f"there is no device {device!r}: use cpu, cuda, cuda:1 or auto") from None
    if result.type == "cuda" and (result.index or 0) >= torch.cuda.device_count():
        raise CodecError(f"device {device!r} is not there: {torch.cuda.device_count()} GPUs found")
    try:
        torch.ones(1, device=result).cpu()
    except Exception as reason:  # each backend raises its own types
        raise CodecError(
            f"device {device!r} cannot be used by this PyTorch ({type(reason).__name__}): use cpu, "
            "cuda, cuda:1 or auto"
        ) from reason
    return result
