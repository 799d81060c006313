"""`audiotok verify`: what a codec is compared with beside itself, and the record of it.

Golden outputs (see `golden`), codes that others published, the promises of the conformance kit and,
if asked, the suite `speech` beside the published table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from audiotok.codec import registry
from audiotok.codec.card import CodecCard
from audiotok.codec.checkpoints import sha256
from audiotok.codec.codec import Codec
from audiotok.harness.settings import BenchSettings
from audiotok.results import published
from audiotok.testing import golden, published_codes, record
from audiotok.testing.golden import Comparison
from audiotok.testing.promise import Outcome

if TYPE_CHECKING:
    from audiotok.harness.plan import Observer

SUITE, CORPUS = "speech", "librispeech/test-clean"
CLIPS = 2000  # the fewest that are compared: the interval of a few contains almost any number
RELATIVE = 0.05  # of the published number; or within the 95 % interval of ours


def comparisons(codec: Codec, fetch: bool = False) -> list[Comparison]:
    """Golden outputs and published codes; a corpus may be downloaded if `fetch`."""
    return [*golden.compare(codec), published_codes.compare(codec, fetch)]


def published_numbers(
    name: str,
    *,
    checkpoint: str | Path | None = None,
    data: str = CORPUS,
    out: str | Path = "results",
    device: str = "auto",
    observer: Observer | None = None,
    bench: Callable[..., Any] | None = None,
) -> list[Comparison]:
    """Measures the suite `speech`, and compares each number with the published one of the codec.

    Args:
        name, checkpoint, device: as for `audiotok.load`.
        data: the corpus, or a manifest of it.
        out: folder of the results.
        observer: is told the progress.
        bench: measures, as `harness.run`, which is used if it is None.
    """
    if bench is None:
        from audiotok.harness.harness import run as bench
    measured = bench(
        BenchSettings(
            tokenizer=name,
            checkpoint=checkpoint,
            suite=SUITE,
            baselines=False,
            data=data,
            out=out,
            device=device,
        ),
        observer,
    )
    card = registry.find_card(name).name
    (ours,) = [result for result in measured if result.codec.partition("@")[0] == card]
    table = published.beside_result(ours)
    if table.empty:
        why = f"none are known of {card}"
        return [Comparison("published numbers", "unavailable", why)]
    table = table[table["theirs_on"] == CORPUS]
    if table.empty:
        return [Comparison("published numbers", "unavailable", f"none of {card} is of {CORPUS}")]
    if (clips := ours.summary["data"]["clips"]) < CLIPS:
        why = (
            f"measured on {clips} clips of {data}, the published ones are of the 2,620 of {CORPUS}"
        )
        return [Comparison("published numbers", "unavailable", why)]
    return list(_beside(table))


def _beside(table: pd.DataFrame) -> Iterator[Comparison]:
    for _, row in table.iterrows():
        what = f"{row['column']} of {row['table']}"
        numbers = {"ours": float(row["ours"]), "published": float(row["published"])}
        doubt = row["flag"] or (row["note"] if pd.isna(row["difference"]) else "")
        if doubt or pd.isna(row["difference"]):
            why = doubt or "the definitions differ"
            yield Comparison(what, "unavailable", why, numbers)
            continue
        inside = row["low"] <= row["published"] <= row["high"]
        if inside or abs(row["difference"]) <= RELATIVE * abs(row["published"]):
            yield Comparison(what, "equal", None, numbers)
        else:
            why = (
                f"{row['ours']:.4g}, published {row['published']:.4g}: further than "
                f"{100 * RELATIVE:g} % and outside of our 95 % interval"
            )
            yield Comparison(what, "different", why, numbers)


def content(
    codec: Codec,
    compared: Sequence[Comparison],
    outcomes: Sequence[Outcome],
    *,
    weights: Path | None,
    own_weights: bool = False,
) -> dict[str, Any]:
    """The content of results/verified/NAME.json: see `results.verified`.

    Args:
        weights: the file that was loaded.
        own_weights: whether the user gave it, as for `record.record`.
    """
    states = [comparison.state for comparison in compared]
    return record.record(codec, outcomes, own_weights) | {
        "weights": weights and _weights(codec.card, weights),
        "comparisons": [asdict(comparison) for comparison in compared],
        "equal": states.count("equal"),
        "different": states.count("different"),
        "unavailable": states.count("unavailable"),
    }


def _weights(card: CodecCard, path: Path) -> dict[str, Any]:
    pinned = card.weights and card.weights.sha256
    return {
        "file": path.name,
        "bytes": path.stat().st_size,
        "sha256": sha256(path),
        "sha256_on_card": pinned,
        "repository": card.weights and (card.weights.repository or card.weights.url),
        "revision": card.weights and card.weights.revision,
    }
