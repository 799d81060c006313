"""State dicts of EnCodec and SpeechTokenizer, as their authors and transformers write them.

The encodec and speechtokenizer packages use the same names for common parts; transformers uses
other names. Weight normalisation may be stored in PyTorch's old or new form, or be folded already.
The sizes of the network are derived from the shapes of the tensors.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from audiotok.errors import CheckpointError
from audiotok.nn.encodec import EncodecConfig
from audiotok.nn.seanet import as_float32, fold_weight_norm

# Keys in a file -> ours; the first match is used. None: encode and decode do not need the tensor.
_LAYER = r"(encoder|decoder)\.(?:model|layers)\.(\d+(?:\.block\.\d|\.shortcut)?)\."
_CODEBOOK = r"quantizer\.(?:vq\.)?layers\.(\d+)\._?codebook\."
_KEYS: tuple[tuple[str, str | None], ...] = (
    (_LAYER + r"(?:(?:conv|convtr)\.)?norm\.(weight|bias)", r"\1.layers.\2.norm.\3"),
    (_LAYER + r"(?:conv\.conv|convtr\.convtr|conv)\.([\w.]+)", r"\1.layers.\2.\3"),
    (_LAYER + r"(alpha|lstm\.\w+)", r"\1.layers.\2.\3"),
    (_CODEBOOK + r"embed", r"codebook.\1"),
    (_CODEBOOK + r"(?:inited|cluster_size|embed_avg)", None),
    (r"transform\.(?:weight|bias)", None),  # to the teacher's features (SpeechTokenizer)
)


def read_network(
    state: dict[str, Tensor], path: Path, causal: bool, sample_rate: int
) -> tuple[dict[str, Tensor], EncodecConfig]:
    """The state dict in our names, and the sizes of the network, derived from the shapes.

    Args:
        causal: whether the convolutions are causal; the shapes do not show it.
        sample_rate: Hz; the shapes do not show it either.

    Raises:
        CheckpointError: it is not the state dict of such a network.
    """
    renamed: dict[str, Tensor] = {}
    for key, tensor in state.items():
        for pattern, replacement in _KEYS:
            if match := re.fullmatch(pattern, key):
                if replacement is not None:
                    renamed[match.expand(replacement)] = as_float32(tensor)
                break
        else:
            raise CheckpointError(f"{path} holds the unknown key {key!r}: it is not an EnCodec")
    names = sorted((key for key in renamed if key.startswith("codebook.")), key=_number)
    codebooks = [renamed.pop(name) for name in names]
    if len({codebook.shape for codebook in codebooks}) != 1 or codebooks[0].ndim != 2:
        raise CheckpointError(f"{path} holds no codebooks of one size: it is not an EnCodec")
    if names != [f"codebook.{k}" for k in range(len(names))]:
        raise CheckpointError(f"{path} lacks some of its codebooks: it is not a whole EnCodec")
    folded = fold_weight_norm(renamed) | {"quantizer.codebooks": torch.stack(codebooks)}
    return folded, _infer_config(folded, path, causal, sample_rate)


def _number(key: str) -> int:
    return int(key.partition(".")[2])


def _infer_config(
    state: dict[str, Tensor], path: Path, causal: bool, sample_rate: int
) -> EncodecConfig:
    """Sizes from the shapes; the kernel of a downsampling convolution is two strides long."""
    units = (re.fullmatch(r"encoder\.layers\.(\d+)\.shortcut\.weight", key) for key in state)
    positions = sorted(int(unit[1]) for unit in units if unit)
    try:
        strides = [state[f"encoder.layers.{i + 2}.weight"].shape[2] // 2 for i in positions]
        num_codebooks, codebook_size, dimension = state["quantizer.codebooks"].shape
        num_filters, channels, _ = state["encoder.layers.0.weight"].shape
    except (KeyError, IndexError, ValueError) as error:
        raise CheckpointError(f"{path} lacks {error}: it is not a whole EnCodec") from error
    lstm = re.compile(r"encoder\.layers\.\d+\.lstm\.weight_ih_l\d+")
    return EncodecConfig(
        sample_rate=sample_rate,
        strides=strides,
        dimension=dimension,
        num_codebooks=num_codebooks,
        codebook_size=codebook_size,
        num_filters=num_filters,
        num_lstm_layers=sum(bool(lstm.fullmatch(key)) for key in state),
        channels=channels,
        bidirectional=any(key.endswith("_reverse") for key in state),
        snake=any(key.endswith(".alpha") for key in state),
        causal=causal,
        group_norm="encoder.layers.0.norm.weight" in state,
    )
