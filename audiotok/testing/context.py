"""Promises on what is around a codec: no global state touched, and train() changes nothing."""

from __future__ import annotations

import logging
import os
import random
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import torch

from audiotok.testing.case import Case
from audiotok.testing.promise import NotChecked, promise

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
        draw()  # so that no state is one that a seed leaves
    before = {what: read() for what, read in _GLOBAL.items()}
    for name in ("a tone", "a voice"):
        audio = case.sounds[name]
        tokens = codec.encode(audio)
        yield from _changed(before, f"encoding {name}")
        codec.decode(tokens)
        yield from _changed(before, f"decoding {name}")
        codec.encode_batch([audio] * 2, batch="length")
        yield from _changed(before, "encoding a batch")


def _changed(before: dict[str, object], by: str) -> Iterator[str]:
    for what, read in _GLOBAL.items():
        if before[what] != read():
            yield f"{by} changes {what}"


@promise("training mode", "train() changes neither codes nor sound, and is left as it is")
def training_mode(case: Case) -> Iterator[str]:
    codec = case.codec
    if codec.network is None:
        raise NotChecked("it has no network")
    audio, expected = case.sounds["a voice"], case.tokens("a voice")
    sound = codec.decode(expected)
    modes = {module: module.training for module in codec.network.modules()}
    codec.network.train()
    try:
        found = codec.encode(audio)
        if not torch.equal(expected.codes, found.codes):
            yield "train() changes the codes"
        if not torch.equal(codec.decode(expected).waveform, sound.waveform):
            yield "train() changes the sound"
        if not all(module.training for module in codec.network.modules()):
            yield "encode or decode leave the network in another mode"
    finally:
        for module, mode in modes.items():
            module.training = mode
