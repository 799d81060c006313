"""The weights of Lyra v2 out of its TFLite models, for the same network in PyTorch.

A part of Lyra's layers computes in 8 bits. Here their weights are floats and nothing is rounded, so
latents and sound are near Lyra's, not equal: 0.6 and 0.7 % of their power differ on speech.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from audiotok.codecs import _tflite
from audiotok.codecs.lyra import (
    CODEBOOK_SIZE,
    CODEBOOKS,
    DECODER,
    DIMENSION,
    ENCODER,
    QUANTIZER,
    read_codebooks,
    read_model,
)
from audiotok.errors import CheckpointError
from audiotok.nn.mini import MiniConfig, MiniNetwork
from audiotok.nn.soundstream import SoundStreamSizes

CONFIG = MiniConfig.model_validate(
    {
        "quantizer": {"kind": "rvq", "num_codebooks": CODEBOOKS, "codebook_size": CODEBOOK_SIZE},
        "strides": (16, 5, 2, 2),
        "dimension": DIMENSION,
        "soundstream": SoundStreamSizes(),
    }
)
_Layer = tuple[Tensor, Tensor]  # weight and bias, as PyTorch has them


def network(folder: Path) -> MiniNetwork:
    """The network of Lyra v2, with all its codebooks.

    Args:
        folder: of the three models.

    Raises:
        CheckpointError: a model is missing or is not that of Lyra v2.
        MissingPackageError: ai-edge-litert is not installed.
    """
    built = MiniNetwork(CONFIG)
    _fill(built.encoder, _layers(folder / ENCODER), folder / ENCODER)
    _fill(nn.Sequential(built.backbone, built.head), _layers(folder / DECODER), folder / DECODER)
    built.quantizer.codebooks.copy_(read_codebooks(folder / QUANTIZER))
    return built


def _fill(part: nn.Module, layers: Iterator[_Layer], path: Path) -> None:
    """Copies weights into the convolutions of a part, in the order of application."""
    targets = [each for each in part.modules() if isinstance(each, nn.Conv1d | nn.ConvTranspose1d)]
    found = list(layers)
    shapes = [
        [tuple(weight.shape) for weight in side]
        for side in ((layer.weight for layer in targets), (weight for weight, _ in found))
    ]
    if shapes[0] != shapes[1]:
        raise CheckpointError(f"{path} has layers of other sizes than Lyra v2's")
    with torch.no_grad():
        for layer, (weight, bias) in zip(targets, found, strict=True):
            layer.weight.copy_(weight)
            if layer.bias is not None:
                layer.bias.copy_(bias)


def _layers(path: Path) -> Iterator[_Layer]:
    """The convolutions of a model; the groups of a transposed one are joined."""
    running = _tflite.interpreter(read_model(path), path)
    details = {int(one["index"]): one for one in running.get_tensor_details()}

    def constant(index: int) -> Tensor:
        return _dequantized(running.get_tensor(index), details[index]["quantization_parameters"])

    operations = [
        (each["op_name"], [int(index) for index in each["inputs"]])
        for each in running._get_ops_details()
        if each["op_name"] in _CONVOLUTIONS
    ]
    for name, group in groupby(operations, key=lambda each: each[0]):
        read, bias_at = _CONVOLUTIONS[name]
        one_by_one = [(read(constant(at[1])), constant(at[bias_at])) for _, at in group]
        if name == "TRANSPOSE_CONV":
            weights, biases = zip(*one_by_one, strict=True)
            one_by_one = [(torch.cat(weights), torch.cat(biases))]
        yield from one_by_one


def _dequantized(values: np.ndarray, parameters: dict) -> Tensor:
    scales, zeros = parameters["scales"], parameters["zero_points"]
    if len(scales):
        shape = [1] * values.ndim
        shape[parameters["quantized_dimension"]] = len(scales)
        values = (values.astype(np.float64) - zeros.reshape(shape)) * scales.reshape(shape)
    return torch.from_numpy(np.asarray(values, np.float32).copy())


def _transposed(weight: Tensor) -> Tensor:
    """(C', 1, W, C) or (C', W, 1, C), one of the two the time -> (C, C', W)."""
    return weight.flatten(1, 2).permute(2, 0, 1)


# Of each kind of layer: its weight as PyTorch has it, and the place of the bias in its inputs
_CONVOLUTIONS: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "CONV_2D": (lambda weight: weight[:, :, 0].transpose(1, 2), 2),  # (C', W, 1, C / groups)
    "DEPTHWISE_CONV_2D": (lambda weight: weight[0, :, 0].T[:, None], 2),  # (1, W, 1, C)
    "TRANSPOSE_CONV": (_transposed, 3),
}
