"""Promises on global state: a codec does not change it, and it does not change codes."""

from __future__ import annotations

import logging
import os
import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import torch

from audiotok.testing.case import Case
from audiotok.testing.promise import NotChecked, promise, trying

_GLOBAL: dict[str, Callable[[], object]] = {
    "the number of threads": torch.get_num_threads,
    "the number of threads between operations": torch.get_num_interop_threads,
    "gradient mode": torch.is_grad_enabled,
    "inference mode": torch.is_inference_mode_enabled,
    "autocast": lambda: (torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda")),
    "the default dtype": torch.get_default_dtype,
    "the default device": torch.get_default_device,
    "deterministic algorithms": lambda: (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    ),
    "cuDNN's settings": lambda: (
        torch.backends.cudnn.enabled,
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.deterministic,
    ),
    "TF32 and precision": lambda: [
        part.fp32_precision
        for group in (torch.backends.cudnn, torch.backends.mkldnn)
        for part in (group.conv, group.rnn)
    ] + [torch.backends.cuda.matmul.fp32_precision, torch.backends.mkldnn.matmul.fp32_precision],
    "torch's random state": lambda: torch.get_rng_state().numpy().tobytes(),
    "the GPUs' random states": lambda: (
        [state.numpy().tobytes() for state in torch.cuda.get_rng_state_all()]
        if torch.cuda.is_initialized()
        else None
    ),
    "numpy's random state": lambda: repr(np.random.get_state(legacy=True)[1:])
    + str(np.random.get_state()[1].tobytes()),
    "Python's random state": random.getstate,
    "numpy's handling of floating point errors": np.geterr,
    "the working directory": os.getcwd,
    "environment variables": lambda: dict(os.environ),
    "the filters of warnings": lambda: list(warnings.filters),
    "the root logger": lambda: (logging.root.level, list(logging.root.handlers)),
}  # fmt: skip


@promise(
    "global state", "threads, random states, precision, environment and so on stay as they are"
)
def global_state(case: Case) -> Iterator[str]:
    codec = case.codec
    for draw in (lambda: torch.rand(1), np.random.rand, random.random):
        draw()  # so that no random state is a freshly seeded one
    before = {what: read() for what, read in _GLOBAL.items()}
    for name in ("a tone", "a voice"):
        audio = case.sounds[name]
        tokens = codec.encode(audio)
        yield from _changed(before, f"encoding {name}")
        if case.decodes:
            codec.decode(tokens)
            yield from _changed(before, f"decoding {name}")
        codec.encode_batch([audio] * 2, batch="length")
        yield from _changed(before, "encoding a batch")


def _changed(before: dict[str, object], by: str) -> Iterator[str]:
    for what, read in _GLOBAL.items():
        if before[what] != read():
            yield f"{by} changes {what}"


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def _denormals_flushed() -> Iterator[None]:
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


_AMBIENT: dict[str, Callable[[], AbstractContextManager]] = {
    "a default dtype of float64": lambda: _default_dtype(torch.float64),
    "a default dtype of bfloat16": lambda: _default_dtype(torch.bfloat16),
    "another default device": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "gradients recorded": torch.enable_grad,
    "no gradients recorded": torch.no_grad,
    "inference mode": torch.inference_mode,
    "denormals flushed": _denormals_flushed,
}


@promise(
    "ambient state",
    "default dtype and device, autocast, gradient and inference mode, flushed denormals of the "
    "caller change nothing",
)
def ambient_state(case: Case) -> Iterator[str]:
    codec, names = case.codec, ("a voice", "a stereo sweep at 44.1 kHz")
    sounds = {name: _sound(case, name) for name in names}
    states = dict(_AMBIENT)
    if codec.device.type == "cuda":
        states["autocast on the GPU"] = lambda: torch.autocast("cuda", dtype=torch.bfloat16)
    for what, state in states.items():
        for name in names:
            with trying(f"encoding and decoding {name} with {what}"), state():
                tokens = codec.encode(case.sounds[name])
                sound = _sound(case, name)
            if not torch.equal(tokens.codes, case.tokens(name).codes):
                yield f"{what} changes the codes of {name}"
            if not torch.equal(sound, sounds[name]):
                yield f"{what} changes the sound of {name}"
            if tokens.codes.is_inference() or (case.decodes and sound.is_inference()):
                yield f"{what} makes inference tensors, which cannot be trained on"
    state = _default_dtype(torch.float64)
    with trying("loading with another default dtype and device"), state, torch.device("meta"):
        other = case.again()
    expected = case.tokens("a voice").codes
    if other and not torch.equal(other.encode(case.sounds["a voice"]).codes, expected):
        yield "loaded with another default dtype and device it gives other codes"


def _sound(case: Case, name: str) -> torch.Tensor:
    """The decoded waveform (C, L) at 44.1 kHz; nothing (0,) without a decoder."""
    if not case.decodes:
        return torch.empty(0, device="cpu")
    return case.codec.decode(case.tokens(name), 44_100).waveform


@promise("training mode", "train() changes neither codes nor sound, and is left as it is")
def training_mode(case: Case) -> Iterator[str]:
    codec = case.codec
    if codec.network is None:
        raise NotChecked("it has no network")
    audio, expected = case.sounds["a voice"], case.tokens("a voice")
    sound = _sound(case, "a voice")
    modes = {module: module.training for module in codec.network.modules()}
    codec.network.train()
    try:
        tokens = codec.encode(audio)
        if not torch.equal(expected.codes, tokens.codes):
            yield "train() changes the codes"
        if not torch.equal(_sound(case, "a voice"), sound):
            yield "train() changes the sound"
        if not all(module.training for module in codec.network.modules()):
            yield "encode or decode leave the network in another mode"
    finally:
        for module, mode in modes.items():
            module.training = mode
