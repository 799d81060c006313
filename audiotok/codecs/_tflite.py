"""TFLite models that map one frame to one frame and keep a state between frames.

They are run by ai-edge-litert, on one thread of the CPU. A model that keeps a state is started anew
for each sound: resetting its variables does not bring back the state in which it began.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np

from audiotok.errors import CheckpointError, MissingPackageError

# Frames (T, N) float32 -> frames (T, M) float32; the next call goes on where this one ended
Frames = Callable[[np.ndarray], np.ndarray]


def interpreter(model: bytes, where: str | Path) -> object:
    """An interpreter of a model, with its tensors allocated.

    Args:
        where: the file of the model, for the message.

    Raises:
        MissingPackageError: ai-edge-litert is not installed.
        CheckpointError: `model` is no TFLite model that can run.
    """
    try:
        found = _litert().Interpreter(model_content=model, num_threads=1)
        found.allocate_tensors()
    except (ValueError, RuntimeError) as reason:
        raise CheckpointError(
            f"{where} is no TFLite model that runs here: {str(reason).splitlines()[0]}"
        ) from reason
    return found


def start(model: bytes, size_in: int, size_out: int, where: str | Path) -> Frames:
    """The model at the beginning of a sound.

    Args:
        size_in, size_out: numbers in a frame at the input and at the output.
        where: the file of the model, for the message.

    Raises:
        CheckpointError: the model has frames of other sizes.
    """
    running = interpreter(model, where)
    inputs, outputs = running.get_input_details(), running.get_output_details()
    sizes = [[int(np.prod(one["shape"])) for one in side] for side in (inputs, outputs)]
    if sizes != [[size_in], [size_out]]:
        raise CheckpointError(
            f"{where} takes {sizes[0]} numbers a frame and gives {sizes[1]}: expected [{size_in}] "
            f"and [{size_out}]; it is the model of another codec, or of another part of this one"
        )
    source, target, shape = inputs[0]["index"], outputs[0]["index"], inputs[0]["shape"]

    def run(frames: np.ndarray) -> np.ndarray:
        made = np.empty((len(frames), size_out), np.float32)
        for frame, result in zip(frames, made, strict=True):
            running.set_tensor(source, frame.reshape(shape))
            running.invoke()
            result[:] = running.get_tensor(target).reshape(-1)
        return made

    return run


def _litert() -> ModuleType:
    if importlib.util.find_spec("ai_edge_litert") is None:
        raise MissingPackageError("ai-edge-litert", "lyra", "a codec whose network is in TFLite")
    from ai_edge_litert import interpreter

    return interpreter
