"""Weights: find or download them, verify their sha256, read them without running code, load them
strictly, write them.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import logging
import math
import re
import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch.overrides import TorchFunctionMode

from audiotok.codec import training_files, web_files
from audiotok.codec.card import CodecCard, Weights
from audiotok.codec.inference import plain_state
from audiotok.codec.training_files import MOST_UNPACKED
from audiotok.errors import CheckpointError
from audiotok.system.files import regular_size, replacing, user_folder
from audiotok.system.shared_settings import Level, SharedSettings

_QUIET_HUB = SharedSettings(Level.of("huggingface_hub", logging.ERROR))
AUTOENCODER = {"quantizer": "untrained"}  # metadata of weights trained without a quantizer
BUNDLED = Path(__file__).parents[1] / "bundled"


class NotFetchedError(CheckpointError):
    """Weights that are not on this machine and may not be downloaded."""


def resolve(
    card: CodecCard, checkpoint: str | Path | None = None, fetch: bool = True
) -> Path | None:
    """The file with the weights of `card`, verified; None where it has none.

    Searched in this order: `checkpoint` (a file, or a folder with one; the user chose it, so its
    hash is not compared), the file that ships, the user's folder (`local_path`), the Hub's cache, a
    download from the Hub. Further files that the card names are in the same folder as the result.

    Raises:
        NotFetchedError: they would have to be downloaded, and `fetch` is False.
    """
    if checkpoint is not None:
        path = training_files.in_folder(Path(checkpoint), card.weights and card.weights.file)
        if not path.is_file():
            raise CheckpointError(f"{path} is not a file: expected weights for {card.name}")
        return path
    weights = card.weights
    if weights is None:
        return None
    if weights.given:
        raise CheckpointError(f"{card.name} needs {weights.given}")
    if weights.bundled:
        path = BUNDLED / weights.bundled
        if not path.is_file():
            raise CheckpointError(
                f"{path} is missing, though {card.name} ships with audiotok: install it again, "
                "or give a file with --checkpoint"
            )
    else:
        path = local_path(card)
        if not all(path.with_name(name).is_file() for name in (path.name, *weights.beside)):
            path = download(card.base_name, weights, fetch=fetch)
    verify(path, weights)
    return path


def local_path(card: CodecCard) -> Path:
    """Where a user may put a file of weights that was downloaded by hand."""
    # without options: these do not change the weights
    return local_folder(card.base_name) / Path(card.weights.file).name


def local_folder(name: str) -> Path:
    """Where files of the codec of that name, without options, may lie."""
    return Path(user_folder(), *name.split(":"))


def download(
    name: str,
    weights: Weights,
    otherwise: str = "give it with --checkpoint",
    fetch: bool = True,
) -> Path:
    """The file of weights, and the further files of the card, from the Hub or its cache.

    Args:
        name: of the codec, without options.
        otherwise: what a user without a network can do instead of copying the file, for the
            message.
        fetch: False searches the cache only, and raises NotFetchedError if a file is missing.
    """
    if weights.url is not None:
        return _from_web(name, weights, otherwise, fetch)
    from huggingface_hub import hf_hub_download

    try:
        with _QUIET_HUB:  # it logs every retry; the error below says the same in one line
            *_, path = (
                hf_hub_download(
                    weights.repository, file, revision=weights.revision, local_files_only=not fetch
                )
                for file in (*weights.beside, weights.file)
            )
        return Path(path)
    except (OSError, ValueError) as reason:  # what the Hub's client raises derives from these
        if not fetch:
            files = " and ".join((weights.file, *weights.beside))
            raise NotFetchedError(f"{files} of {name} is not on this machine") from reason
        root = f"https://huggingface.co/{weights.repository}/resolve/{weights.revision or 'main'}"
        raise _not_downloaded(name, weights, root, otherwise, reason) from reason


def _from_web(name: str, weights: Weights, otherwise: str, fetch: bool) -> Path:
    """As `download`, from `weights.url` into the user's folder; files that are there are kept."""
    from huggingface_hub.constants import HF_HUB_OFFLINE

    folder = local_folder(name)
    files = dict(zip((weights.file, *weights.beside), _hashes(weights), strict=True))
    missing = [file for file in files if not (folder / Path(file).name).is_file()]
    if missing and not fetch:
        raise NotFetchedError(f"{' and '.join(missing)} of {name} is not on this machine")
    try:
        if missing and HF_HUB_OFFLINE:
            raise OSError("HF_HUB_OFFLINE is set")
        for file in missing:
            web_files.download(f"{weights.url}/{file}", folder / Path(file).name, files[file])
    except (OSError, http.client.HTTPException) as reason:
        raise _not_downloaded(name, weights, weights.url, otherwise, reason) from reason
    return folder / Path(weights.file).name


def _not_downloaded(
    name: str, weights: Weights, root: str, otherwise: str, reason: Exception
) -> CheckpointError:
    """The error that says how to get the files by hand; `root` is the folder of their address."""
    size = f" ({weights.size / 1e6:.0f} MB)" if weights.size else ""
    files = (weights.file, *weights.beside)
    steps = [
        f"get {root}/{file} and put it at {local_folder(name) / Path(file).name}" for file in files
    ]
    return CheckpointError(
        f"{name} needs {' and '.join(files)}{size}, which could not be downloaded "
        f"({type(reason).__name__}): {'; '.join(steps)}, or {otherwise}"
    )


def _hashes(weights: Weights) -> tuple[str | None, ...]:
    """The sha256 of the file of weights and of each file beside it; None where unknown."""
    return weights.sha256, *(weights.beside_sha256 or (None,) * len(weights.beside))


def verify(path: Path, weights: Weights) -> None:
    """Raises CheckpointError unless size and sha256 of the files are those of the card."""
    size = path.stat().st_size
    if weights.size is not None and size != weights.size:
        raise CheckpointError(f"{path} has {size} bytes, expected {weights.size}: remove it, retry")
    names = (path.name, *(Path(file).name for file in weights.beside))
    for name, digest in zip(names, _hashes(weights), strict=True):
        if digest is not None:
            verify_sha256(path.with_name(name), digest)


def sha256(path: str | Path) -> str:
    """Hex sha256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def network_sha256(network: torch.nn.Module) -> str:
    """Hex sha256 of all names and numbers of a network."""
    digest = hashlib.sha256()
    for key, tensor in sorted(plain_state(network).items()):
        digest.update(f"{key} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def verify_sha256(path: str | Path, expected: str) -> None:
    """Raises CheckpointError unless the sha256 of the file is `expected` (hex)."""
    actual = sha256(path)
    if actual != expected:
        raise CheckpointError(
            f"{path} has sha256 {actual}, expected {expected}: it is another file or damaged; "
            "remove it and download it again"
        )


def read_metadata(path: str | Path) -> dict[str, str]:
    """Metadata of a safetensors file."""
    try:
        regular_size(path)
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except (OSError, SafetensorError) as reason:
        raise CheckpointError(f"{path} cannot be read: {_first_line(reason)}") from reason


def refuse_autoencoder(path: Path) -> None:
    """Raises CheckpointError if the weights were trained without a quantizer."""
    metadata: dict[str, str] = {}
    if path.suffix == ".safetensors":
        with suppress(CheckpointError):  # the loader of the family says what is wrong
            metadata = read_metadata(path)
    if AUTOENCODER.items() <= metadata.items():
        raise CheckpointError(
            f"{path} holds an autoencoder without a trained quantizer (its recipe says "
            "quantizer.start_step: null), so it has no codes: train a recipe with start_from: "
            f"{path} and quantizer.new: true, and load its weights"
        )


def read_state(
    path: str | Path, networks: Sequence[str] = ()
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file or a PyTorch checkpoint. Runs no code from it.

    A PyTorch checkpoint is read with weights_only=True; the state dict is found in it, and a prefix
    of all keys such as "module." is removed (see `training_files`).

    Args:
        networks: where the codec is saved as several networks, the names that their state dicts
            have in the checkpoint; their keys begin with these names then.

    Raises:
        CheckpointError: it cannot be read, is damaged, holds types that could run code or no plain
            tensors, or would unpack to more than MOST_UNPACKED times its size.
    """
    path = Path(path)
    try:
        regular_size(path)
        with open(path, "rb") as file:
            head = file.read(9)
        if head[8:] == b"{":
            with safe_open(path, framework="pt") as file:
                names, metadata = file.keys(), file.metadata() or {}
                state = {name: file.get_tensor(name) for name in names}
                return training_files.unwrapped(state), metadata
        with open(path, "rb") as file:  # not the path: newer PyTorch also checks the extension
            return training_files.read_state(file, path, networks), {}
    except CheckpointError:
        raise
    except (OSError, SafetensorError) as reason:
        raise CheckpointError(f"{path} cannot be read: {_first_line(reason)}") from reason
    except MemoryError as reason:
        raise CheckpointError(f"{path} does not fit into memory, or is damaged") from reason
    except Exception as reason:  # the file may hold any bytes, and the reader may raise anything
        raise _refused(path, reason) from reason


def _refused(path: Path, reason: Exception) -> CheckpointError:
    """The error for a PyTorch file that cannot be unpickled; names the types that it holds."""
    with open(path, "rb") as file:
        types = training_files.foreign_types(file)
    if types:
        return CheckpointError(
            f"{path} is refused: it holds objects that could run code ({some(types)}); save the "
            "state dict alone where it was written: torch.save(model.state_dict(), FILE)"
        )
    return CheckpointError(
        f"{path} is refused: it is damaged, or holds other things than tensors, which could run "
        f"code ({type(reason).__name__})"
    )


def renamed_key(key: str, patterns: Iterable[tuple[str, str | None]]) -> str | None:
    """A key by the first pattern that matches the whole of it: its replacement, or None if that is
    None, for a tensor that is not needed. A key that none matches stays as it is."""
    for pattern, replacement in patterns:
        if match := re.fullmatch(pattern, key):
            return replacement and match.expand(replacement)
    return key


def load_strict(module: torch.nn.Module, state: dict[str, torch.Tensor], where: str | Path) -> None:
    """Load `state` into `module`; keys and shapes must be equal, and dtypes of the same kind.

    All floating-point dtypes are of one kind; any other dtype must be equal.

    Args:
        where: the origin of `state` for the message, e.g. its path.
    """
    expected = module.state_dict()
    missing = expected.keys() - state.keys()
    extra = state.keys() - expected.keys()
    misshapen = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(expected[key].shape)}"
        for key in sorted(expected.keys() & state.keys())
        if state[key].shape != expected[key].shape
    ]
    mistyped = [
        f"{key} {_name(state[key].dtype)} instead of {_name(expected[key].dtype)}"
        for key in sorted(expected.keys() & state.keys())
        if not same_kind(state[key].dtype, expected[key].dtype)
    ]
    kinds = {"missing": missing, "extra": extra, "misshapen": misshapen, "mistyped": mistyped}
    problems = [f"{len(names)} {kind}: {some(names)}" for kind, names in kinds.items() if names]
    if problems:
        raise CheckpointError(
            f"{where} does not fit {type(module).__name__}: {'; '.join(problems)}; "
            "is it the checkpoint of another codec?"
        )
    module.load_state_dict(state)


class sized_by(TorchFunctionMode):
    """Limits the tensors that are created in the block, where a network is built for `state`.

    Raises CheckpointError beyond MOST_UNPACKED times the numbers in `state` and a million more, so
    a file that only declares large sizes costs no memory; and for sizes of which there is no
    network.
    """

    def __init__(self, state: dict[str, torch.Tensor], where: str | Path):
        super().__init__()
        self._left = MOST_UNPACKED * sum(tensor.numel() for tensor in state.values()) + 2**20
        self._where = where

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if not any(isinstance(argument, torch.Tensor) for argument in args):  # it creates a tensor
            sizes = args[0] if args and isinstance(args[0], list | tuple) else args
            if all(isinstance(size, int) for size in sizes):
                self._left -= math.prod(sizes)
            if self._left < 0:
                raise CheckpointError(
                    f"{self._where} declares a network much larger than its weights: it is "
                    "damaged, or of another codec"
                )
        return func(*args, **(kwargs or {}))

    def __exit__(self, kind, error, trace):
        super().__exit__(kind, error, trace)
        if isinstance(error, WRONG_SIZES):
            raise no_network(self._where, error) from error


# What libraries raise at sizes of which there is no network.
WRONG_SIZES = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)


def no_network(path: str | Path, reason: Exception) -> CheckpointError:
    """The error for a file whose sizes raised one of WRONG_SIZES."""
    return CheckpointError(
        f"{path} is damaged, or of another version: there is no network of the sizes that it says "
        f"({' '.join(str(reason).split())[:200]})"
    )


def same_kind(dtype: torch.dtype, expected: torch.dtype) -> bool:
    """Whether a tensor of one dtype may be loaded into one of the other."""
    return dtype == expected or (dtype.is_floating_point and expected.is_floating_point)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def save(path: str | Path, state: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    """Writes a safetensors file, whole or not at all; equal content gives equal bytes."""
    tensors = {key: value.detach().cpu().contiguous() for key, value in state.items()}
    data = memoryview(to_safetensors(tensors, metadata))
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(bytes(data[8 : 8 + length]))
    if metadata:  # safetensors writes it in random order
        header["__metadata__"] = dict(sorted(metadata.items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with replacing(path, CheckpointError) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.write(data[8 + length :])


def some(names: Iterable[str], limit: int = 3) -> str:
    names = sorted(names)
    return ", ".join(names[:limit]) + (", ..." if len(names) > limit else "")


def _first_line(reason: BaseException) -> str:
    return (str(reason) or type(reason).__name__).splitlines()[0]
