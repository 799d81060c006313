"""Files of k-means centroids: .npy, or safetensors with what they were fitted on.

Pickles, as joblib writes them for scikit-learn, are refused: opening one can run code.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from audiotok.codec import checkpoints
from audiotok.errors import CheckpointError
from audiotok.system.files import regular_size

NAMES = ("centroids.safetensors", "centroids.npy")  # beside the weights of a network
KEY = "centroids"  # of the tensor in a file of ours


def is_network(path: Path) -> bool:
    """Whether the file holds the weights of a network, by its content: anything else is taken for
    centroids, also what `read` refuses."""
    kind = _kind(path) if path.is_file() else None
    if kind == "safetensors":
        return len(checkpoints.read_state(path)[0]) > 1
    return kind == "torch"


def read(path: Path) -> tuple[Tensor, dict[str, str]]:
    """Centroids (K, V, D) float32 of K layers, and the metadata of the file.

    The file holds one array (V, D) or (K, V, D).

    Raises:
        CheckpointError: it is of another format, such as a pickle, damaged, or not finite.
    """
    try:
        regular_size(path)
        kind = _kind(path)
        if kind == "npy":
            array, metadata = np.load(path, mmap_mode="r"), {}
        elif kind == "safetensors":
            state, metadata = checkpoints.read_state(path)
            if len(state) != 1:
                raise CheckpointError(
                    f"{path} has {len(state)} tensors: expected one, of centroids (k, dimensions)"
                )
            array = next(iter(state.values())).double().numpy()
        else:
            raise CheckpointError(_refusal(path))
    except (OSError, ValueError) as reason:
        line = " ".join(str(reason).split())
        raise CheckpointError(f"{path} cannot be read as centroids: {line}") from reason
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or not array.size or array.dtype.kind not in "fiu":
        raise CheckpointError(
            f"{path} holds {array.dtype} of shape {array.shape}: expected centroids, numbers "
            "(k, dimensions), or (layers, k, dimensions)"
        )
    if not np.isfinite(array).all():
        raise CheckpointError(f"{path} holds centroids that are not finite")
    return torch.from_numpy(array.astype(np.float32)), metadata


def write(path: Path, centroids: Tensor, metadata: dict[str, str]) -> None:
    """Writes centroids (K, V, D) as safetensors, whole or not at all."""
    checkpoints.save(path, {KEY: centroids.float()}, metadata)


def _kind(path: Path) -> str | None:
    """The format, by the first bytes: "npy", "safetensors", "torch"; None for any other."""
    with open(path, "rb") as file:
        head = file.read(9)
    if head[8:] == b"{":
        return "safetensors"
    return {b"\x93N": "npy", b"PK": "torch"}.get(head[:2])


def _refusal(path: Path) -> str:
    command = (
        f"import numpy, joblib; numpy.save('{path.stem}.npy', "
        f"joblib.load('{path.name}').cluster_centers_)"
    )
    return (
        f"{path} is refused: it is neither .npy nor safetensors, and a pickle (joblib, "
        "scikit-learn) could run code; if you trust it, convert it where scikit-learn is "
        f'installed: python -c "{command}"'
    )
