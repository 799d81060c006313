"""Files of speech models: safetensors of one part, or of all parts of a model.

    model = load("runs/valle-ar/model.safetensors", "runs/valle-nar/model.safetensors")
    join(["ar.safetensors", "nar.safetensors"], "valle-r.safetensors")

A part is a network that was trained by itself; its kind ("valle-ar") prefixes the names of its
weights. The metadata METADATA_KEY is JSON: the configuration, codes and training of each kind.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from safetensors.torch import load_file
from safetensors.torch import save as to_safetensors
from torch import Tensor

from audiotok.codec import checkpoints
from audiotok.codec.devices import AUTO, find_device
from audiotok.errors import CheckpointError
from audiotok.system import assets
from audiotok.system.files import replacing
from audiotok.system.names import Recorded
from audiotok.tts.base import Codes, SpeechModel
from audiotok.tts.recipe import ModelConfig
from audiotok.tts.valle import ValleR

METADATA_KEY = "audiotok_tts"
VERSION = 1
KIND = "bundled/tts"  # folder of the models that ship
DEFAULT = "vall-e-aligned-mini"  # used where no model is named

Parts = dict[str, dict[str, Any]]  # of each kind: config, codes, training


def names() -> list[str]:
    """The names of the models that ship."""
    return sorted(path.stem for path in assets.folder(KIND).glob("*.safetensors"))


def find(name: str | Path) -> Path:
    """The file of a model that ships, or the path of a file.

    Raises:
        CheckpointError: there is neither.
    """
    if Path(name).is_file():
        return Path(name)
    if str(name) in names():
        return assets.folder(KIND) / f"{name}.safetensors"
    raise CheckpointError(
        f"{name} is neither a file of a speech model nor one that ships ({', '.join(names())}): "
        "train one with `audiotok train-tts` and give its model.safetensors"
    )


def content(kind: str, model: SpeechModel, training: dict[str, Any]) -> bytes:
    """The file of one part: parameters in float16, buffers (ResGen's codewords) as they are.

    Args:
        training: facts about the training, plain values.
    """
    part = {
        "config": model.config.model_dump(mode="json"),
        "codes": asdict(model.codes),
        "training": training,
    }
    parameters = dict(model.named_parameters())
    state = {
        f"{kind}.{name}": x.half() if name in parameters else x
        for name, x in model.state_dict().items()
    }
    return _bytes(state, {kind: part})


def join(paths: Sequence[str | Path], out: str | Path) -> None:
    """One file with the parts of several files; of two parts of one kind the later one is used."""
    state: dict[str, Tensor] = {}
    parts: Parts = {}
    for path in paths:
        parts |= read(path)
        state |= load_file(path)
    with replacing(out, CheckpointError) as file:
        file.write(_bytes(state, parts))


def _bytes(state: dict[str, Tensor], parts: Parts) -> bytes:
    tensors = {name: x.contiguous().cpu() for name, x in state.items()}
    metadata = json.dumps({"version": VERSION, "parts": parts})
    return to_safetensors(tensors, {METADATA_KEY: metadata})


def read(path: str | Path) -> Parts:
    """The metadata of each part of a file.

    Raises:
        CheckpointError: it cannot be read, or holds no speech model.
    """
    metadata = checkpoints.read_metadata(path).get(METADATA_KEY)
    if metadata is None:
        raise CheckpointError(
            f"{path} is no speech model: expected model.safetensors of `audiotok train-tts`"
        )
    try:
        parts = json.loads(metadata)["parts"]
        for part in parts.values():
            part["config"], part["codes"], part["training"]  # noqa: B018
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as reason:
        raise _damaged(path, reason) from reason
    return parts


def load(*paths: str | Path, device: str = AUTO) -> SpeechModel:
    """The model of a file, or of the files of its parts, in eval mode.

    Args:
        paths: files, or a name of `names`; of two parts of one kind the later one is used.

    Raises:
        CheckpointError: a file is missing or damaged, or a part of the model is.
    """
    models = {}
    for path in map(find, paths):
        parts, state = read(path), load_file(path)
        for kind, part in parts.items():
            models[kind] = _part(path, kind, part, state)
    return _combined(models, paths).to(find_device(device)).eval()


def find_part(kind: str, source: str | Path) -> Path:
    """As `find`, of a file that has the part `kind`.

    Raises:
        CheckpointError: there is no such file, or it lacks this part.
    """
    path = find(source)
    if kind not in (parts := read(path)):
        raise CheckpointError(
            f"{path} has the parts {', '.join(sorted(parts))}: expected one of kind {kind} to "
            "start from"
        )
    return path


def start(model: SpeechModel, kind: str, source: str | Path) -> None:
    """Copies the weights of the part `kind` of a file, or of a model that ships, into `model`.

    Raises:
        CheckpointError: as `find_part`; or the part has other sizes, or codes of another codec.
    """
    path = find_part(kind, source)
    codes = read(path)[kind]["codes"]
    if codes["fingerprint"] != model.codes.fingerprint:
        raise CheckpointError(
            f"{path} was trained on codes of {codes['codec']} (fingerprint "
            f"{codes['fingerprint'][:12]}): expected those of {model.codes.codec} (fingerprint "
            f"{model.codes.fingerprint[:12]}), as in the recipe"
        )
    checkpoints.load_strict(model, _weights(kind, load_file(path)), path)


def _weights(kind: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those of one part, in float32."""
    prefix = f"{kind}."
    return {k.removeprefix(prefix): x.float() for k, x in state.items() if k.startswith(prefix)}


def _part(path: Path, kind: str, part: dict[str, Any], state: dict[str, Tensor]) -> SpeechModel:
    weights = _weights(kind, state)
    try:
        config = TypeAdapter(ModelConfig).validate_python(part["config"])
        codes = dict(part["codes"])
        codes |= {key: tuple(codes[key]) for key in ("codebook_sizes", "strides")}
        if path.parent != assets.folder(KIND):  # a file of the user: its codec is only looked up
            codes["codec"] = Recorded(codes["codec"], str(path))
        with torch.random.fork_rng([]), checkpoints.sized_by(weights, path):
            model = config.build(Codes(**codes))
    except (ValueError, LookupError, TypeError, AttributeError) as reason:
        raise _damaged(path, reason) from reason
    checkpoints.load_strict(model, weights, path)
    return model


def _combined(parts: dict[str, SpeechModel], paths: Sequence[str | Path]) -> SpeechModel:
    """The complete model of these parts."""
    if set(parts) == {"valle-ar", "valle-nar"}:
        return ValleR(parts["valle-ar"], parts["valle-nar"])
    if len(parts) == 1 and not set(parts) & {"valle-ar", "valle-nar"}:
        return next(iter(parts.values()))
    raise CheckpointError(
        f"{' and '.join(map(str, paths))} have the parts {' and '.join(sorted(parts))}: VALL-E R "
        "needs valle-ar and valle-nar; give --model twice, once for each file"
    )


def _damaged(path: str | Path, reason: Exception) -> CheckpointError:
    line = " ".join(str(reason).split())[:200]
    return CheckpointError(
        f"{path} is damaged, or of another version: its metadata are invalid ({line})"
    )
