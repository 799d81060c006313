"""The networks that can be trained: for each family the schema of its sizes, and its class.

A network has `config`, `hop_length`, `quantizer`, `encoder(waveform)`, and called on a waveform
(B, C, L) it returns an `audiotok.nn.outputs.Output`; with `quantize=False` latents bypass
the quantizer.
"""

from __future__ import annotations

import difflib
import importlib
from types import ModuleType
from typing import NamedTuple

from pydantic import BaseModel
from torch import nn

from audiotok.errors import RecipeError


class Family(NamedTuple):
    """Module and names of the two classes; imported when they are needed."""

    module: str  # of audiotok
    config: str
    network: str


DECODER = "decoder"  # of another codec, whose codes do not change
FAMILIES = {
    "wavtokenizer": Family("nn.wavtokenizer", "WavTokenizerConfig", "WavTokenizerNetwork"),
    "mini": Family("nn.mini", "MiniConfig", "MiniNetwork"),
    "encodec": Family("nn.encodec", "EncodecConfig", "EncodecNetwork"),
    "dac": Family("nn.dac", "DACConfig", "DACNetwork"),
    "lm-spt": Family("nn.lm_spt", "LMSPTConfig", "LMSPTNetwork"),
    DECODER: Family("training.decoder", "DecoderConfig", "DecoderOnly"),
}


def config_class(family: str) -> type[BaseModel]:
    """The schema of a recipe's `model`.

    Raises:
        RecipeError: there is no such family.
    """
    entry = _family(family)
    return getattr(_module(entry), entry.config)


def build(family: str, config: BaseModel) -> nn.Module:
    """The network of a family with these sizes.

    Raises:
        RecipeError: the sizes do not fit together.
    """
    entry = _family(family)
    try:
        return getattr(_module(entry), entry.network)(config)
    except ValueError as reason:
        raise RecipeError(f"model: {' '.join(str(reason).split())}") from reason


def _family(name: str) -> Family:
    if not isinstance(name, str) or name not in FAMILIES:
        similar = difflib.get_close_matches(str(name), FAMILIES, n=1, cutoff=0)
        raise RecipeError(
            f"family {name!r:.80} has no trainer; did you mean {similar[0]!r}? "
            f"There are: {', '.join(FAMILIES)}"
        )
    return FAMILIES[name]


def _module(family: Family) -> ModuleType:
    return importlib.import_module(f"audiotok.{family.module}")
