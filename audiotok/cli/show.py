"""Output of the command line: notes and progress on stderr, results on stdout."""

from __future__ import annotations

import json as _json
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiotok.cli.streams import name_of
from audiotok.cli.terminal import Bar, console, pairs, table
from audiotok.codec import registry
from audiotok.codec.licences import MARK, NOTE, warning
from audiotok.errors import CodecError
from audiotok.system.progress import listening

if TYPE_CHECKING:
    from audiotok import corpora
    from audiotok.codec.card import CodecCard
    from audiotok.results.results import Result
    from audiotok.tokens.tokens import Tokens

_DELAY = 2.0  # seconds that a file may take before its progress is shown

out = console()
err = console(stderr=True, soft_wrap=True)


def json(content: Any) -> None:
    print(_json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False))


# --- codecs ----------------------------------------------------------------------------------


def resolved(name: str) -> None:
    """Prints the codec that a family's name stands for, with the other codecs of the family and
    their download sizes; and a licence that restricts the use of the weights."""
    card = registry.find_card(name)
    if card.restricted:
        line = warning(card.name, card.licence_weights)
        err.print(f"{line[0].upper()}{line[1:]}.")
    if not registry.is_family(name, card):
        return
    members = [c for c in registry.list_codecs() if c.family == card.family and c.name != card.name]
    others = ", ".join(f"{c.name} ({download(c)})" for c in members)
    err.print(f"{card.family} is {card.name}: {card.description}.")
    if others:
        err.print(f"  By their own names: {others}.")


def download(card: CodecCard) -> str:
    """Size of the weights to download."""
    if card.weights is None:
        return "no weights"
    if card.weights.bundled:
        return "bundled"
    if card.weights.size:
        return f"{card.weights.size / 1e6:.0f} MB"
    approximate = card.weights.size_about
    return f"about {approximate / 1e6:.0f} MB" if approximate else "download, size unknown"


def card_fields(card: CodecCard) -> dict[str, Any]:
    """All fields of a card, and its derived properties."""
    derived = ("num_codebooks", "frame_rate", "token_rate", "bitrate", "restricted")
    derived += ("algorithmic_latency_ms", "settled_latency_ms", "not_streamable")
    fields = card.model_dump(mode="json") | {name: getattr(card, name) for name in derived}
    return fields | {"install": install(card)}


def install(card: CodecCard) -> str:
    """The package with the extra that the codec needs, e.g. audiotok[hf]; "" if it needs none."""
    try:
        extra = registry.find(card.name)[0].EXTRA
    except CodecError:  # a codec or weights of the user, given as a file
        return ""
    return f"audiotok[{extra}]" if extra else ""


def codecs(cards: Sequence[CodecCard]) -> None:
    rows = []
    for card in cards:
        rate, bitrate = card.token_rate, card.bitrate
        rows.append((
            card.name + (MARK if card.restricted else ""),
            "measured" if rate is None else f"{rate:g}",
            "measured" if bitrate is None else f"{bitrate:g}",
            str(card.sample_rate_out),
            download(card),
            install(card) or "–",
            card.description,
        ))  # fmt: skip
    heads = ("codec", "token/s", "bit/s", "Hz", "weights", "needs", "description")
    table(
        out, heads, rows,
        right=("token/s", "bit/s", "Hz"), prose=("description",),
        drop=("token/s", "Hz", "weights", "needs", "description"),
    )  # fmt: skip
    if any(card.restricted for card in cards):
        out.print(f"{NOTE}: `audiotok info NAME` has it", style="dim")


def card(card: CodecCard) -> None:
    rows = []
    for key, value in card_fields(card).items():
        if isinstance(value, dict):
            parts = value.items()
            rows += [(f"{key}.{name}", str(part)) for name, part in parts if part is not None]
        elif value not in (None, (), []):
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            rows.append((key, f"{value:g}" if isinstance(value, float) else text))
    pairs(out, rows)
    if card.restricted:
        out.print(f"§ {card.licence_weights}, {NOTE.partition(' ')[2]}")
    if card.bitrate is not None:
        books = zip(card.strides, card.codebook_sizes, strict=True)
        terms = " + ".join(
            f"{card.frame_rate / stride:g} Hz x {math.log2(size):g} bit" for stride, size in books
        )
        if card.max_duration > 1:
            terms = f"at most {terms}, and durations,"
        out.print(f"bitrate = {terms} = {card.bitrate:g} bit/s")


def weights(card: CodecCard, path: Path | None, user_file: bool) -> None:
    """Prints the path and the hash of the weights, and whether the card has this hash."""
    if path is None:
        print(f"{card.name} has no weights")
        return
    has_hash = card.weights is not None and card.weights.sha256 and not user_file
    from audiotok.codec import checkpoints

    digest = checkpoints.sha256(path)
    print(f"{path}: sha256 {digest}{' as on the card' if has_hash else ''}")
    if not has_hash:
        print("  (not compared: the card has no hash, or the file was given with --checkpoint)")


def encoded(source: Path, target: Path, tokens: Tokens) -> None:
    count = sum(free.numel() for free in tokens.free_codes)  # a merged code is stored once
    line = (
        f"{name_of(target)}: {count} codes of {tokens.codec}, "
        f"{tokens.bitrate:.0f} bit/s, {target.stat().st_size} bytes from {name_of(source)}"
    )
    print(line, file=sys.stderr if name_of(target) == "stdout" else sys.stdout)


def written(target: Path) -> None:
    """Prints the name of an output file; stdout has none."""
    if name_of(target) != "stdout":
        print(target)


@contextmanager
def long(text: str) -> Iterator[None]:
    """Shows the progress of coding one file if it takes longer than _DELAY."""
    with Bar(err, delay=_DELAY) as bar:
        bar.start(text)
        with listening(lambda done, total: bar.update(text, done, total)):
            yield


# --- bench -----------------------------------------------------------------------------------


class BenchProgress:
    """A `harness.plan.Observer`: a progress bar for each codec while it is measured."""

    def __init__(self, headline: Sequence[str] = ()) -> None:
        self._bar, self._codec, self._headline = Bar(err), None, headline

    def __enter__(self) -> BenchProgress:
        self._bar.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.__exit__()

    def note(self, text: str) -> None:
        self._bar.note(text)

    def progress(self, codec: str, done: int, total: int) -> None:
        if self._codec != codec:
            self._codec = codec
            self._bar.start(codec, done, total)
        self._bar.update(codec, done, total)

    def row(self, result: Result) -> None:
        """The headline columns of a codec, in one line, as soon as it is measured."""
        from audiotok.results import results, selection

        names = selection.select(self._headline, result.scores)
        cells = [f"{name} {results.cell(result.scores[name])}" for name in names]
        self.note(f"{result.marked_title}: {', '.join(cells) or 'no headline column'}")


def _has_speed(result: Result, names: Sequence[str]) -> bool:
    """Whether one of these columns is a speed that was measured."""
    times = result.run["times"]
    return any(name in times and times[name]["mean"] is not None for name in names)


def bench_table(measured: Sequence[Result], headline: Sequence[str], kept: bool = True) -> None:
    """Prints the headline columns (all, if none of them was measured), and what is missing and why.

    Args:
        kept: whether the files of the results still exist.
    """
    # These import pandas and scipy, which only bench needs.
    from audiotok.results import contamination, results, selection
    from audiotok.results.remarks import remarks

    available = results.columns(measured)
    names = selection.select(headline, available) or list(available)
    data = measured[0].summary["data"]
    suite = measured[0].summary["suite"]
    title = f"{suite['name']} v{suite['version']} on {data['name']}, {data['clips']} clips"
    heads = ["codec"]
    for name in names:
        unit = f"\n{available[name]['unit']}" if available[name]["unit"] else ""
        heads.append(f"{name}{results.arrow(available[name])}{unit}")
    cells = [[results.cell(result.scores.get(name)) for name in names] for result in measured]
    rows = [(result.marked_title, *row) for result, row in zip(measured, cells, strict=True)]
    out.print(title, style="italic")
    table(out, heads, rows, right=heads[1:])
    for line in remarks(data["name"], names):
        out.print(line, style="dim")
    if any(result.restricted for result in measured):
        out.print(NOTE, style="dim")
    for line in contamination.notes(result.contamination for result in measured):
        out.print(line, style="dim")
    out.print("↑ higher is better, ↓ lower; ° classical baseline; – not measured", style="dim")
    if any("(" in cell for row in cells for cell in row):
        out.print(
            "(4 of 6, 1 failed): clips that a mean includes, if not all: a column may not apply to "
            "a clip, or fail",
            style="dim",
        )
    with_speed = [
        r for r in measured if r.role not in ("ceiling", "given") and _has_speed(r, names)
    ]
    if hardware := sorted({r.run["hardware"] for r in with_speed}):
        out.print(f"Speed in seconds of audio per second, on: {'; '.join(hardware)}", style="dim")
    for name, reason in sorted(
        {entry for r in measured for entry in r.summary["not_measured"].items()}
    ):
        out.print(f"{name} not measured: {reason}", style="yellow")
    for result in measured:
        for line in _failures(result):
            out.print(line, style="red")
        if line := results.retry_message(result):
            out.print(line, style="red")
        if result.is_empty:
            line = f"{result.codec}: nothing was measured, on none of {data['clips']} clips"
            out.print(line, style="red")
    if kept:
        out.print(f"All columns, intervals and rows: {measured[0].folder.parent}", style="dim")
    else:
        out.print("@random: on random weights, so the numbers mean nothing; nothing was kept")


def _failures(result: Result) -> list[str]:
    """One line per kind of failure, with the number of clips and the first one."""
    by_kind: dict[tuple, list[dict]] = {}
    for failure in result.summary["failures"]:
        kind = (failure["stage"], failure.get("task"), failure.get("column"))
        by_kind.setdefault(kind, []).append(failure)
    return [
        f"{result.codec}: {' '.join(filter(None, kind))} failed for {len(failures)} clips, first "
        f"{failures[0]['clip']}: {failures[0]['message']}"
        for kind, failures in by_kind.items()
    ]


def first_process() -> bool:
    """Whether this is the process of rank 0, the only one of `accelerate launch` that prints."""
    return os.environ.get("RANK", "0") == "0"


class EncodeProgress:
    """A `corpora.Progress`: a bar over the clips, with seconds of sound per second."""

    def __init__(self, label: str) -> None:
        self._label, self._seconds, self._begin = label, 0.0, time.monotonic()
        self._bar, self._done, self._total = Bar(err), 0, None
        self._bar.start(label)

    def __enter__(self) -> EncodeProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.__exit__()

    def start(self, clips: int, done: int) -> None:
        self._begin = time.monotonic()
        self._done, self._total = done, clips
        self._bar.__enter__()
        self._bar.start(self._label, done, clips)
        if done:
            self.note(f"{done} of {clips} clips were already encoded.")

    def note(self, text: str) -> None:
        self._bar.note(text)

    def tick(self, clips: int, seconds: float) -> None:
        self._seconds += seconds
        self._done += clips
        rate = self._seconds / max(time.monotonic() - self._begin, 1e-3)
        self._bar.update(f"{self._label}, {rate:.0f} s/s", self._done, self._total)


def corpus(encoded: corpora.Encoded) -> None:
    """The summary of an encoded corpus, its failures, and the codes that batches changed."""
    print(f"{encoded.folder}: {encoded.clips} clips, {encoded.seconds / 3600:.2f} h")
    if encoded.compared:
        err.print(
            f"Batches changed {encoded.changed} of {encoded.compared} codes "
            f"({encoded.changed / encoded.compared:.3%}) that were also computed clip by clip."
        )
    for failure in encoded.failures[:10]:
        err.print(f"{failure['clip']} left out: {failure['message']}", style="red")
    if encoded.failures:
        path = encoded.folder / "_failed.tsv"
        err.print(f"{len(encoded.failures)} clips could not be encoded: {path}", style="red")


class TrainProgress:
    """A bar over the steps, with the numbers of the last step."""

    def __init__(self) -> None:
        self._bar = Bar(err, disable=not first_process(), transient=False)
        self._bar.start("starting")
        self._has_steps = False

    def __enter__(self) -> TrainProgress:
        self._bar.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.__exit__()

    def note(self, text: str) -> None:
        self._bar.note(text)

    def report(self, step: int, steps: int, numbers: dict[str, float]) -> None:
        if not self._has_steps:  # steps of an earlier run took none of this run's time
            self._bar.start("starting", step - 1, steps)
            self._has_steps = True
        text = ", ".join(f"{name} {value:.3g}" for name, value in numbers.items())
        self._bar.update(text, step, steps)
