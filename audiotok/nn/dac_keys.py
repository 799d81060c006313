"""Names of the weights of DAC's blocks in official checkpoints, and in ours.

The original code (DAC, SNAC, LM-SPT) names each list of layers `block` or `model`; transformers
names each layer of DAC by its function. There are two naming schemes of weight normalisation.
"""

from __future__ import annotations

import re

from torch import Tensor

from audiotok.nn.seanet import as_float32, fold_weight_norm

_SPELLINGS = (
    (r"\.parametrizations\.weight\.original0$", ".weight_g"),
    (r"\.parametrizations\.weight\.original1$", ".weight_v"),
)
_ORIGINAL = (
    (r"(?<=\.)(block|model)(?=\.)", "layers"),
    (r"\bquantizers(?=\.\d+\.)", "stages"),
    (r"\bcodebook\.weight$", "codebook"),
)
_UNIT = {"snake1": 0, "conv1": 1, "snake2": 2, "conv2": 3}
_ENCODER_BLOCK = {"res_unit1": 0, "res_unit2": 1, "res_unit3": 2, "snake1": 3, "conv1": 4}
_DECODER_BLOCK = {"snake1": 0, "conv_t1": 1, "res_unit1": 2, "res_unit2": 3, "res_unit3": 4}


def from_official(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Renames a state dict of the original code or of transformers, and folds weight norm.

    Unknown keys are kept unchanged, so that a strict load reports them.
    """
    blocks = [
        int(match[1]) for key in state if (match := re.match(r"encoder\.block\.(\d+)\.", key))
    ]
    end = max(blocks, default=0) + 2  # position of the last Snake, where transformers wrote it
    transformers = any(key.startswith("encoder.conv1.") for key in state)
    renamed = {}
    for key, tensor in state.items():
        name = key
        for pattern, replacement in _SPELLINGS:
            name = re.sub(pattern, replacement, name)
        if transformers:
            name = _from_transformers(name, end)
        for pattern, replacement in _ORIGINAL:
            name = re.sub(pattern, replacement, name)
        renamed[name] = as_float32(tensor)
    return fold_weight_norm(renamed)


def strides_in(state: dict[str, Tensor], half: str, position: int) -> tuple[int, ...]:
    """Strides of the blocks of an encoder or decoder in our names: half the kernel sizes.

    Args:
        half: name of the encoder or decoder.
        position: of the strided convolution in each block, 4 in encoders, 1 in decoders.
    """
    keys = [f"{half}.layers.{block}.layers.{position}.weight" for block in range(1, 10)]
    return tuple(state[key].shape[2] // 2 for key in keys if key in state)


def _from_transformers(key: str, end: int) -> str:
    """The key of transformers with its names replaced by positions in our lists of layers.

    `end` is the position of the last Snake.
    """
    half, _, rest = key.partition(".")
    if half not in ("encoder", "decoder"):
        return key
    positions = {"conv1": 0, "snake1": end, "conv2": end + 1}
    within = _ENCODER_BLOCK if half == "encoder" else _DECODER_BLOCK
    parts = rest.split(".")
    if parts[0] in positions:
        return ".".join([half, "layers", str(positions[parts[0]]), *parts[1:]])
    if parts[0] == "block" and len(parts) > 3 and parts[2] in within:
        names = [half, "layers", str(int(parts[1]) + 1), "layers", str(within[parts[2]])]
        if parts[2].startswith("res_unit") and parts[3] in _UNIT:
            return ".".join([*names, "layers", str(_UNIT[parts[3]]), *parts[4:]])
        return ".".join([*names, *parts[3:]])
    return key
