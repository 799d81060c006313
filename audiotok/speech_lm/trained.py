"""A trained language model out of its file, and what it says of pairs of sounds.

model = load("runs/speech-lm/model.safetensors")      # a LanguageModel, ready to score
judge("runs/speech-lm/model.safetensors", ["sLM21/lexical/dev"])
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from audiotok import registry
from audiotok.audio import Audio
from audiotok.errors import CodecError, RecipeError
from audiotok.lm import LanguageModel, acoustic, pairs
from audiotok.speech_lm.recipe import LMRecipe

RECIPE, TOKENS = "audiotok_lm", "audiotok_tokens"  # metadata of the file, JSON each


@dataclass(frozen=True)
class Known:
    """The tokens that a model knows: of which codec, and of which of its codebooks."""

    codec: str
    fingerprint: str
    codebook_sizes: tuple[int, ...]
    strides: tuple[int, ...]


def known(path: str | Path) -> tuple[LMRecipe, Known]:
    """What the file of a model says of it.

    Raises:
        RecipeError: it cannot be read, or `audiotok train-lm` did not write it.
    """
    try:
        with safe_open(path, "pt") as file:
            said = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise RecipeError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    if missing := [key for key in (RECIPE, TOKENS) if key not in said]:
        raise RecipeError(
            f"{path} does not say {missing[0]}: expected model.safetensors of `audiotok train-lm`"
        )
    about = json.loads(said[TOKENS])
    sizes, strides = (tuple(about.pop(key)) for key in ("codebook_sizes", "strides"))
    recipe = LMRecipe.model_validate_json(said[RECIPE])
    return recipe, Known(**about, codebook_sizes=sizes, strides=strides)


def load(path: str | Path, device: str = "cpu") -> LanguageModel:
    """The model of a file, in evaluation mode. One that started from a text model needs that
    model's config, at the place which its recipe names.

    Raises:
        RecipeError: as `known`; or the text model's config is not there.
    """
    recipe, tokens = known(path)
    model = recipe.model(tokens.codebook_sizes, tokens.strides, weights=False)
    with safe_open(path, "pt") as file:
        model.load_state_dict({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
    return model.to(device).eval()


def judge(
    path: str | Path,
    folders: Sequence[str | Path],
    checkpoint: str | Path | None = None,
    device: str = "cpu",
    report: Callable[[int, int, dict[str, float]], None] = lambda done, all_, numbers: None,
) -> dict[str, pairs.Judged]:
    """{kind: result} of the pairs in these folders (`audiotok.lm.pairs.read`).

    Args:
        checkpoint: weights of the codec, where its own are not meant.
        device: of codec and model.
        report: called after each pair with its number, how many there are, and {}.

    Raises:
        RecipeError, CorpusError: no such model, or no such pairs.
        CodecError: the codec is not the one whose tokens the model learnt.
    """
    found = [pair for folder in folders for pair in pairs.read(folder)]
    _, tokens = known(path)
    codec = registry.load(tokens.codec, checkpoint, device, quiet=True)
    if codec.fingerprint != tokens.fingerprint:
        raise CodecError(
            f"{path} learnt tokens of {tokens.codec} (fingerprint {tokens.fingerprint[:12]}), not "
            f"of these weights (fingerprint {codec.fingerprint[:12]}): name those with --checkpoint"
        )
    model, count, done = load(path, str(codec.device)), len(tokens.codebook_sizes), 0

    def codes(sound: Audio) -> torch.Tensor:
        return codec.encode(sound).codes[:, :count]

    def prefers(right: Audio, wrong: Audio) -> float:
        nonlocal done
        vote = acoustic.prefers(model, codes(right), codes(wrong))
        done += 1
        report(done, len(found), {})
        return vote

    return pairs.judge(prefers, found)
