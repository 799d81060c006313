"""The settings of one run of `bench`: codecs, data, output folder, and how to run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from audiotok.errors import AudiotokError

ONLY_MISSING, ONLY_CACHE, FRESH = REUSE = ("only-missing", "only-cache", "fresh")
EXECUTORS = ("local", "ray")


@dataclass(frozen=True, kw_only=True)
class BenchSettings:
    """All options of a run; built once and passed on as one object.

    Attributes:
        tokenizer: names of codecs, a string of several separated by commas or a sequence of names;
            `codebooks=*` and `merge=*` stand for all values. Stored as a tuple. Empty if the suite
            measures given reconstructions.
        checkpoint: weights for the one codec in `tokenizer`.
        baselines: measure the suite's baselines as well.
        suite: name of a suite that ships, or a YAML file.
        tasks: only these of the suite's tasks; None: all.
        data: "bundled", a folder, a manifest, "librispeech/<split>"; None: the suite's.
        limit: use only the first clips, this many.
        out: folder of all results.
        device: of the codecs: "cpu", "cuda", "cuda:1", or "auto", as for `audiotok.load`.
        workers: scoring processes; None: one per core, at most 8; 0: score in this process.
        executor: where clips are scored: "local" processes, or "ray", a cluster at `address`.
            Codecs always run in this process.
        address: of the Ray cluster, e.g. "auto".
        reuse: which earlier results are used. None: those with the same identity. "only-missing":
            all finished results, also if versions or weights have changed. "only-cache": run no
            codec, and score only what is cached. "fresh": none.
        random_weights: run codecs whose weights would have to be downloaded on random weights, to
            try out a setting. Nothing is kept: `out` and the cache are left alone.

    Raises AudiotokError if values are out of range or contradict each other.
    """

    tokenizer: str | Sequence[str] = ()
    checkpoint: str | Path | None = None
    baselines: bool = True
    suite: str | Path = "smoke"
    tasks: Sequence[str] | None = None
    data: str | Path | None = None
    limit: int | None = None
    out: str | Path = "results"
    device: str = "auto"
    workers: int | None = None
    executor: str = "local"
    address: str | None = None
    reuse: str | None = None
    random_weights: bool = False

    def __post_init__(self) -> None:
        names = self.tokenizer
        names = split_names(names) if isinstance(names, str) else list(map(str, names))
        object.__setattr__(self, "tokenizer", tuple(names))
        object.__setattr__(self, "out", Path(self.out))
        if self.tasks is not None:
            object.__setattr__(self, "tasks", tuple(dict.fromkeys(self.tasks)))
        if self.reuse not in (None, *REUSE):
            raise AudiotokError(f"reuse is None or one of {', '.join(REUSE)}, not {self.reuse!r}")
        if self.executor not in EXECUTORS or (self.address and self.executor != "ray"):
            raise AudiotokError(
                f"the executor is one of {', '.join(EXECUTORS)}, and an address is for ray alone: "
                f"not {self.executor!r} with the address {self.address!r}"
            )
        if self.checkpoint is not None and len(names) != 1:
            raise AudiotokError(
                f"--checkpoint is the weights of one codec, but {len(names)} are named: "
                f"{', '.join(names)}"
            )
        if self.random_weights and (self.checkpoint is not None or self.reuse is not None):
            conflicting = "a checkpoint" if self.checkpoint is not None else self.reuse
            raise AudiotokError(
                f"--random-weights and {conflicting} exclude each other: nothing of random weights "
                "is kept or reused; leave out one"
            )
        for option, number, minimum in ("limit", self.limit, 1), ("workers", self.workers, 0):
            if number is not None and number < minimum:
                raise AudiotokError(f"--{option} {number}: expected {minimum} or more")


def split_names(text: str) -> list[str]:
    """Codec names separated by commas; `name:key=value,key=value` stays one name."""
    names: list[str] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        if "=" in part and ":" not in part and names:
            names[-1] += f",{part}"
        else:
            names.append(part)
    if not names:
        raise AudiotokError("no codec is named: expected e.g. --tokenizer wavtokenizer,opus-6k")
    return names
