"""Weights as training loops and downloads leave them: the state dict inside a PyTorch checkpoint,
and the file of weights inside a folder.
"""

from __future__ import annotations

import argparse
import pathlib
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from audiotok.errors import CheckpointError

SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".th", ".bin", ".nemo")
# What a state dict lies under, the most usual first.
_STATES = (
    "state_dict",
    "model_state_dict",
    "model",
    "generator",
    "net",
    "network",
    "module",
    "ema",
)
_WRAPPERS = ("module", "_orig_mod", "generator", "model", "net", "network")  # "module.conv.weight"
_SAFE_WRAPPERS = _WRAPPERS[:3]  # of a safetensors file, where "model." is the network's own name
_DISCRIMINATORS = ("disc", "mpd", "msd", "mrd", "multiperiod", "multires", "multiscale", "loss")
_DEPTH = 3  # of dicts in dicts that are searched
# How many times its size a file may unpack to: tensors are stored uncompressed, and may be shared.
MOST_UNPACKED = 4
_LOCK = threading.Lock()  # torch keeps its list of allowed types in one place


# --- inside a file ---------------------------------------------------------------------------


def read_state(file: BinaryIO, path: Path, networks: Sequence[str] = ()) -> dict[str, torch.Tensor]:
    """The state dict in an open PyTorch checkpoint, without running code from it.

    Args:
        path: for messages.

    Raises:
        CheckpointError: it holds no plain tensors, or unpacks to too much. Beside these, whatever
            torch.load raises.
    """
    size = file.seek(0, 2)
    file.seek(0)
    if file.read(2) == b"PK":
        with zipfile.ZipFile(file) as archive:
            _check_unpacked(path, sum(entry.file_size for entry in archive.infolist()), size)
    file.seek(0)
    state = state_in(read_pickle(file), path, networks)
    for key, value in state.items():
        plain = value.layout is torch.strided and value.device.type == "cpu"
        if not plain or value.is_quantized:
            kind = f"{value.layout}, {value.device.type}, {value.dtype}"
            raise CheckpointError(f"{path}: {key} is {kind}: expected a plain tensor")
    _check_unpacked(path, sum(v.numel() * v.element_size() for v in state.values()), size)
    return dict(state)


def _check_unpacked(path: Path, unpacked: int, size: int) -> None:
    if unpacked > MOST_UNPACKED * size:
        raise CheckpointError(
            f"{path} is refused: its {size} bytes unpack to {unpacked}, more than {MOST_UNPACKED} "
            "times as many; a checkpoint is not compressed"
        )


def read_pickle(file: BinaryIO) -> Any:
    """The content of a file of `torch.save`. Runs no code: beside tensors it may hold numbers and
    arrays of NumPy, `argparse.Namespace` and paths, as training loops save them.

    Raises whatever torch.load raises.
    """
    with _harmless_allowed():
        return torch.load(file, map_location="cpu", weights_only=True)


def foreign_types(file: BinaryIO) -> list[str]:
    """Names of the types in a file of `torch.save` that are refused; [] if none can be listed."""
    try:
        with _harmless_allowed():
            return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(file))
    except Exception:  # a damaged file, or the format before PyTorch 1.6
        return []


@contextmanager
def _harmless_allowed() -> Iterator[None]:
    from numpy._core import multiarray

    scalar, array = multiarray.scalar, multiarray._reconstruct
    allowed: list[Callable | tuple[Callable, str]] = [argparse.Namespace, np.dtype, np.ndarray]
    allowed += [type(np.dtype(kind)) for kind in "?bhilqBHILQefdgFDGSU"]
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):  # NumPy 1 and 2
        allowed += [(scalar, f"{module}.scalar"), (array, f"{module}._reconstruct")]
    for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"):
        for module in ("pathlib", "pathlib._local"):  # Python 3.13 has the second
            allowed.append((pathlib.PurePosixPath, f"{module}.{name}"))
    with _LOCK, torch.serialization.safe_globals(allowed):
        yield


def state_in(content: Any, path: Path, networks: Sequence[str] = ()) -> dict[str, torch.Tensor]:
    """The state dict of the network in what a training loop saved.

    It may lie under a name such as "model", beside other things; its keys may begin with "module."
    or the like; discriminators are left out. State dicts under the names in `networks`, where they
    are all there, are one: their keys begin with these names.

    Raises:
        CheckpointError: it holds no state dict, or several of which none is named "state_dict".
    """
    if networks and isinstance(content, dict) and all(_is_state(content.get(n)) for n in networks):
        states = {name: unwrapped(content[name], _WRAPPERS[:1]) for name in networks}
        return {f"{name}.{key}": value for name in networks for key, value in states[name].items()}
    if _is_state(content):
        return unwrapped(content, _WRAPPERS)
    states = dict(_states(content, "", _DEPTH))
    states = {
        name: state for name, state in states.items() if not _is_discriminator(name)
    } or states
    if len(states) != 1 and "state_dict" in states:
        states = {"state_dict": states["state_dict"]}
    if len(states) > 1:
        listed = ", ".join(f"{name!r} ({len(state)} tensors)" for name, state in states.items())
        name = next((name for name in _STATES if name in states), min(states))
        keys = "".join(f"[{part!r}]" for part in name.split("."))
        raise CheckpointError(
            f"{path} holds several networks: {listed}; expected one: save the one that you want "
            f"alone, e.g. torch.save(torch.load(FILE, weights_only=True){keys}, NEW)"
        )
    if not states:
        raise CheckpointError(
            f"{path} holds no state dict: expected tensors by name, also under a key such as "
            f"{', '.join(_STATES[:3])}; it holds {_described(content)}"
        )
    return unwrapped(next(iter(states.values())), _WRAPPERS)


def unwrapped(
    state: dict[str, torch.Tensor], wrappers: tuple[str, ...] = _SAFE_WRAPPERS
) -> dict[str, torch.Tensor]:
    """The state dict without a name in front of all keys, as DataParallel and compile write it."""
    fronts = {key.partition(".")[0] for key in state if "." in key}
    fronts |= {key for key in state if "." not in key}
    for wrapper in wrappers:
        others = fronts - {wrapper}
        if wrapper in fronts and wrapper not in state and all(map(_is_discriminator, others)):
            start = f"{wrapper}."
            inner = {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}
            return unwrapped(inner, wrappers)
    return state


def _is_state(content: Any) -> bool:
    return (
        isinstance(content, dict)
        and len(content) > 0
        and all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in content.items())
    )


def _states(content: Any, name: str, depth: int) -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
    """(name, state dict) of those in a dict; tensors directly in it are one, named ""."""
    if _is_state(content):
        yield name, content
        return
    if not isinstance(content, dict) or depth == 0:
        return
    direct = {
        k: v for k, v in content.items() if isinstance(k, str) and isinstance(v, torch.Tensor)
    }
    inner = [
        (f"{name}.{key}".lstrip("."), value)
        for key, value in content.items()
        if isinstance(key, str) and isinstance(value, dict) and "optim" not in key.lower()
    ]
    states = [pair for key, value in inner for pair in _states(value, key, depth - 1)]
    if states:  # single tensors beside are counters
        yield from states
    elif direct and any("." in key for key in direct):
        yield name, direct


def _is_discriminator(name: str) -> bool:
    return any(part in name.lower() for part in _DISCRIMINATORS)


def _described(content: Any) -> str:
    """What a file holds, in a few words."""
    if isinstance(content, dict):
        keys = [f"{key!r} ({type(value).__name__})" for key, value in content.items()]
        more = f" and {len(keys) - 8} more" if len(keys) > 8 else ""
        return f"a dict of {', '.join(keys[:8])}{more}"[:400] if keys else "an empty dict"
    return f"one {type(content).__name__}"


# --- inside a folder -------------------------------------------------------------------------


def in_folder(folder: Path, named: str | None) -> Path:
    """The file of weights in a folder, also in the Hub's cache (`models--org--name`, snapshots).

    Args:
        folder: any other path is returned unchanged.
        named: name of the file on the card; it comes first.

    Raises:
        CheckpointError: it holds several files of weights, or none; the message names them.
    """
    if not folder.is_dir():
        return folder
    names = ([Path(named).name] if named else []) + ["model.safetensors", "pytorch_model.bin"]
    places = [folder, *_snapshots(folder)]
    for place in places:
        for path in [place / name for name in names] + ([place / named] if named else []):
            if path.is_file():
                return path
    candidates = [
        path
        for place in places
        for path in sorted(place.iterdir())
        if path.suffix.lower() in SUFFIXES and path.is_file()
    ]
    if len(candidates) == 1:
        return candidates[0]
    listed = ", ".join(path.relative_to(folder).as_posix() for path in candidates[:5])
    if candidates:
        raise CheckpointError(
            f"{folder} holds several files of weights: {listed}; name one of them"
        )
    content = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
    raise CheckpointError(
        f"{folder} holds no file of weights: expected {names[0]} or one file that ends in "
        f"{', '.join(SUFFIXES)}; it holds {content}"
    )


def _snapshots(folder: Path) -> list[Path]:
    """The snapshot that "main" names in a folder of the Hub's cache; without that, the newest."""
    inside = folder if folder.name == "snapshots" else folder / "snapshots"
    if not inside.is_dir():
        return []
    main = inside.parent / "refs" / "main"
    if main.is_file() and (inside / main.read_text().strip()).is_dir():
        return [inside / main.read_text().strip()]
    snapshots = [path for path in inside.iterdir() if path.is_dir()]
    return [max(snapshots, key=lambda path: path.stat().st_mtime)] if snapshots else []
