"""Loads a trained language model from its file, and scores pairs of sounds with it.

    model = load("runs/speech-lm/model.safetensors")      # a LanguageModel, ready to score
    judge("runs/speech-lm/model.safetensors", ["sLM21/lexical/dev"])

The file's metadata METADATA_KEY is JSON: the recipe, and the tokens that it was trained on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from audiotok.codec import checkpoints, registry
from audiotok.codec.codec import Codec
from audiotok.errors import CodecError, RecipeError
from audiotok.lm import LanguageModel, acoustic, pairs
from audiotok.sound.audio import Audio
from audiotok.speech_lm.recipe import LMRecipe
from audiotok.system.names import Recorded

METADATA_KEY = "audiotok_lm"  # one key, because safetensors writes several in random order
VERSION = 2  # 1: frames without a free code in any codebook had a step of their own


@dataclass(frozen=True)
class TrainingTokens:
    """The tokens that a model was trained on: their codec and codebooks."""

    codec: str
    fingerprint: str
    codebook_sizes: tuple[int, ...]
    strides: tuple[int, ...]


def metadata(recipe: LMRecipe, tokens: TrainingTokens) -> dict[str, str]:
    """The metadata of the file of a model."""
    content = {
        "version": VERSION,
        "recipe": recipe.model_dump(mode="json"),
        "tokens": asdict(tokens),
    }
    return {METADATA_KEY: json.dumps(content)}


def read_metadata(path: str | Path) -> tuple[LMRecipe, TrainingTokens]:
    """The recipe and the tokens in the metadata of a model's file.

    Raises:
        RecipeError: it cannot be read, or `audiotok train-lm` did not write it.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = (file.metadata() or {}).get(METADATA_KEY)
    except (OSError, SafetensorError) as error:
        raise RecipeError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    if metadata is None:
        raise RecipeError(
            f"{path} is no language model: expected model.safetensors of `audiotok train-lm`"
        )
    try:
        content = json.loads(metadata)
        tokens, recipe = content["tokens"], content["recipe"]
        for key in ("codebook_sizes", "strides"):
            tokens[key] = tuple(tokens[key])
        tokens["codec"] = Recorded(tokens["codec"], str(path))
        if recipe.get("text_model") is not None:
            recipe["text_model"] = Recorded(recipe["text_model"], str(path), "hf download {}")
        recipe, tokens = LMRecipe.model_validate(recipe), TrainingTokens(**tokens)
        version = content.get("version", 1)
        merged = version < VERSION and math.gcd(*tokens.strides) > 1
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as reason:
        line = " ".join(str(reason).split())[:200]
        raise RecipeError(
            f"{path} is damaged, or of another version: its metadata are invalid ({line})"
        ) from reason
    if merged and recipe.pattern in ("parallel", "delay"):
        raise RecipeError(
            f"{path} learnt merged codes (strides {tokens.strides}) with empty steps, as version "
            f"{version} arranged them; version {VERSION} has none: train the model again"
        )
    return recipe, tokens


def load(path: str | Path, device: str = "auto") -> LanguageModel:
    """The model of a file, in eval mode. If it was initialised from a text model, that model's
    config is needed, in the folder named in the recipe or in the cache of the Hub.

    Raises:
        RecipeError: as `read_metadata`; or the text model's config is missing.
        CheckpointError: there is no model of these sizes, or the weights do not fit it.
    """
    recipe, tokens = read_metadata(path)
    state, _ = checkpoints.read_state(path)
    with checkpoints.sized_by(state, path):
        model = recipe.model(tokens.codebook_sizes, tokens.strides, weights=False)
    checkpoints.load_strict(model, state, path)
    return model.to(registry.find_device(device)).eval()


def codec_of(
    path: str | Path,
    *,
    checkpoint: str | Path | None = None,
    device: str = "auto",
    tokenizer: str | None = None,
) -> Codec:
    """The codec whose tokens the model of this file was trained on; arguments as for `judge`.

    Raises:
        RecipeError: no such model.
        CodecError: there is no such codec, or it has other weights.
    """
    _, tokens = read_metadata(path)
    codec = registry.load(tokenizer or tokens.codec, checkpoint, device, quiet=True)
    if codec.fingerprint != tokens.fingerprint:
        raise CodecError(
            f"{path} was trained on tokens of {tokens.codec} (fingerprint "
            f"{tokens.fingerprint[:12]}), not of these weights (fingerprint "
            f"{codec.fingerprint[:12]}): give the right ones with --checkpoint"
        )
    return codec


def judge(
    path: str | Path,
    folders: Sequence[str | Path],
    *,
    checkpoint: str | Path | None = None,
    device: str = "auto",
    tokenizer: str | None = None,
    report: Callable[[int, int, dict[str, float]], None] = lambda done, count, numbers: None,
) -> dict[str, pairs.Judged]:
    """{kind: result} of the pairs in these folders (`audiotok.lm.pairs.read`).

    Args:
        checkpoint: weights of the codec, instead of its own.
        device: of codec and model.
        tokenizer: name or file of the codec, if the name in the model's file cannot be loaded here.
        report: called after each pair with its number, the number of pairs, and {}.

    Raises:
        RecipeError, CorpusError: no such model, or no such pairs.
        CodecError: the model was trained on tokens of another codec.
    """
    all_pairs = [pair for folder in folders for pair in pairs.read(folder)]
    codec = codec_of(path, checkpoint=checkpoint, device=device, tokenizer=tokenizer)
    model, done = load(path, str(codec.device)), 0

    def codes(sound: Audio) -> torch.Tensor:
        return codec.encode(sound).codes[:, : model.num_codebooks]

    def prefers(right: Audio, wrong: Audio) -> float:
        nonlocal done
        vote = acoustic.prefers(model, codes(right), codes(wrong))
        done += 1
        report(done, len(all_pairs), {})
        return vote

    return pairs.judge(prefers, all_pairs)
