"""The result file of an examination: what became of each promise, and where and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import audiotok
from audiotok import checkpoints, provenance, results
from audiotok.codec import Codec
from audiotok.errors import ResultsError
from audiotok.names import part
from audiotok.tasks.speed import hardware
from audiotok.testing.promise import Outcome

SCHEMA = 1
FOLDER = "checks"  # below the folder of results


def record(codec: Codec, outcomes: Sequence[Outcome], own_weights: bool = False) -> dict[str, Any]:
    """All that the file says.

    Args:
        own_weights: the user gave a checkpoint; its hash goes into the name, as in bench.
    """
    card, network = codec.card, codec.network
    digest = network and checkpoints.network_sha256(network)
    states = [outcome.state for outcome in outcomes]
    return {
        "schema": SCHEMA,
        "codec": card.name + (f"@{digest[:8]}" if own_weights and digest else ""),
        "fingerprint": codec.fingerprint,
        "network_sha256": digest,
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


def write(content: dict[str, Any], out: str | Path = "results") -> Path:
    """Writes checks/<name>.json below the folder `out`, whole or not at all; returns its path."""
    folder = Path(out) / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as reason:
        raise ResultsError(
            f"cannot write into {folder}: {reason.strerror or reason}; give another folder with "
            "--out"
        ) from reason
    path = folder / f"{part(content['codec'])}.json"
    results.write_json(path, content)
    return path
