"""The result file of `audiotok check`: the outcome of each promise, and the provenance."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import audiotok
from audiotok.codec import checkpoints
from audiotok.codec.codec import Codec
from audiotok.errors import ResultsError
from audiotok.results import provenance, results
from audiotok.system.names import part
from audiotok.tasks.speed import hardware
from audiotok.testing.promise import Outcome

SCHEMA = 1
FOLDER = "checks"  # in the folder of results


def record(codec: Codec, outcomes: Sequence[Outcome], own_weights: bool = False) -> dict[str, Any]:
    """The content of the file.

    Args:
        own_weights: whether the user gave a checkpoint; its hash is added to the name, as in bench.
    """
    card, network = codec.card, codec.network
    states = [outcome.state for outcome in outcomes]
    return {
        "schema": SCHEMA,
        "codec": name(codec, own_weights),
        "fingerprint": codec.fingerprint,
        "network_sha256": network and checkpoints.network_sha256(network),
        "revision": card.weights and card.weights.revision,
        "licence_weights": card.licence_weights,
        "verified": card.verified,
        "kept": states.count("kept"),
        "broken": states.count("broken"),
        "not_checked": states.count("not checked"),
        "promises": [asdict(outcome) for outcome in outcomes],
        "audiotok": audiotok.__version__,
        "git": provenance.git(),
        "packages": provenance.packages(),
        "hardware": hardware(str(codec.device)),
        "device": str(codec.device),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": provenance.command(),
    }


def name(codec: Codec, own_weights: bool) -> str:
    """The codec's name; with the hash of its weights, if the user gave a checkpoint."""
    if own_weights and codec.network is not None:
        return f"{codec.card.name}@{checkpoints.network_sha256(codec.network)[:8]}"
    return codec.card.name


def place(name: str, out: str | Path = "results") -> Path:
    """The path of the result of the codec `name`: checks/<name>.json in the folder `out`.

    An earlier result there may be replaced; ResultsError if the file is something else.
    """
    path = Path(out) / FOLDER / f"{part(name)}.json"
    if path.exists() and not _is_record(path):
        raise ResultsError(
            f"{path} exists and is no result of `audiotok check`: give another folder with --out"
        )
    return path


def write(content: dict[str, Any], out: str | Path = "results") -> Path:
    """Writes the result to its `place`, whole or not at all; returns its path."""
    path = place(content["codec"], out)
    folder = path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as reason:
        raise ResultsError(
            f"cannot write into {folder}: {reason.strerror or reason}; give another folder with "
            "--out"
        ) from reason
    results.write_json(path, content)
    return path


def _is_record(path: Path) -> bool:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and {"schema", "codec", "promises"} <= content.keys()
