"""Bench: a plan, a run that survives crashes, rows, a summary. `audiotok.bench` is its function.

Per clip, in this process: read -> encode -> bytes -> decode. Beside it, worker processes score.
A plan says all that scores depend on; results of another plan are never mixed with it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pandas as pd

from audiotok.codec import checkpoints, registry
from audiotok.errors import AudiotokError
from audiotok.harness.cache import opened
from audiotok.harness.coding import FRESH, ONLY_CACHE
from audiotok.harness.plan import Observer, Setting, Subject, make_setting
from audiotok.harness.runner import ONLY_MISSING, Runner
from audiotok.harness.suite import load_suite
from audiotok.results import results
from audiotok.results.results import FLOOR, Result
from audiotok.system.dependencies import torchaudio
from audiotok.system.names import Recorded

EXECUTORS = ("local", "ray")
REUSE = (ONLY_MISSING, ONLY_CACHE, FRESH)


def bench(
    tokenizer: str | Sequence[str],
    data: str | Path | None = None,
    suite: str | Path = "smoke",
    limit: int | None = None,
    tasks: Sequence[str] | None = None,
    out: str | Path = "results",
    device: str = "cpu",
    checkpoint: str | Path | None = None,
    workers: int | None = None,
    baselines: bool = True,
    reuse: str | None = None,
    executor: str = "local",
    address: str | None = None,
) -> pd.DataFrame:
    """Measures codecs; what was measured before is taken from `out`.

    Args:
        tokenizer: a codec's name, or several; `codebooks=*` and `merge=*` stand for all of them.
        data: "bundled", a folder, a manifest, "librispeech/<split>"; None: the suite's.
        suite: name of a suite that ships, or a YAML file.
        limit: only the first so many clips.
        tasks: only these of the suite's tasks.
        out: folder of all results.
        device: "cpu", "cuda", "cuda:1", "auto".
        checkpoint: weights for the one codec in `tokenizer`.
        workers: processes that score; None: as many as there are cores, at most 8; 0: none.
        baselines: measure the suite's baselines as well.
        reuse: of what was measured before. None: all that would come out the same. "only-missing":
            finished results also where versions or weights have changed since. "only-cache": run
            no codec, only score what the cache holds. "fresh": nothing.
        executor: who scores, "local" processes or "ray", a cluster at `address`; codecs run here.

    Returns:
        One row per codec (the reference itself first, random codes last), one column per metric:
        means over clips, or numbers of the whole corpus; NaN where nothing was measured.

    Where clips failed for what may pass (memory, disk, a process that died), a UserWarning says how
    many; nothing is stored of these, and the same call tries them again.
    """
    found = run(
        tokenizer,
        data,
        suite,
        limit,
        tasks,
        out,
        device,
        checkpoint,
        workers,
        baselines,
        reuse,
        executor=executor,
        address=address,
    )
    for result in found:
        if line := results.to_try_again(result):
            warnings.warn(line, stacklevel=2)
    return results.table(found)


def run(
    tokenizer: str | Sequence[str],
    data_name: str | Path | None = None,
    suite: str | Path = "smoke",
    limit: int | None = None,
    task_names: Sequence[str] | None = None,
    out: str | Path = "results",
    device: str = "cpu",
    checkpoint: str | Path | None = None,
    workers: int | None = None,
    baselines: bool = True,
    reuse: str | None = None,
    observer: Observer | None = None,
    executor: str = "local",
    address: str | None = None,
) -> list[Result]:
    """`bench`, but tells an observer, and returns the results themselves."""
    if reuse not in (None, *REUSE):
        raise AudiotokError(f"reuse is None or one of {', '.join(REUSE)}, not {reuse!r}")
    if executor not in EXECUTORS or (address is not None and executor != "ray"):
        raise AudiotokError(
            f"the executor is one of {', '.join(EXECUTORS)}, and an address is for ray alone: not "
            f"{executor!r} with the address {address!r}"
        )
    torchaudio()  # where it does not work every clip would fail
    suite = load_suite(suite)
    typed = split_names(tokenizer) if isinstance(tokenizer, str) else list(tokenizer)
    if checkpoint is not None and len(typed) != 1:
        raise AudiotokError(
            f"--checkpoint is the weights of one codec, but {len(typed)} are named: "
            f"{', '.join(typed)}"
        )
    asked = [name for one in typed for name in registry.expand(one)]
    cards: dict[str, str] = {}  # full name -> name as typed
    beside = [name for name in suite.baselines if name not in typed] if baselines else []
    for name in [*asked, *beside, FLOOR]:
        cards.setdefault(registry.find_card(name).name, name)
    for name in asked:  # weights that are missing are said before anything is measured
        checkpoints.resolve(registry.find_card(name), checkpoint)
    for name in beside:
        if isinstance(name, Recorded):
            registry.check_recorded(name)
    setting = make_setting(suite, data_name, limit, task_names, Path(out), workers, observer)

    cache = opened(setting.observer.note)
    found: list[Result] = []
    with ExitStack() as stack:
        stack.callback(cache.close)
        runner = Runner(setting, cache, reuse, stack, executor, address)
        todo = _subjects(setting, list(cards.values()), asked, checkpoint, device)
        for wait in False, True:  # what another process measures comes last
            busy = []
            for make in todo:
                result = runner.result(make(), wait)
                (busy if result is None else found).append(make if result is None else result)
            todo = busy
    return sorted(found, key=results.order)


def _subjects(
    setting: Setting,
    names: Sequence[str],
    asked: Sequence[str],
    checkpoint: str | Path | None,
    device: str,
) -> list[Callable[[], Subject]]:
    """What gives the rows of the table; each loads its codec when it is called."""

    def coded(name: str) -> Subject:
        own = checkpoint if name in asked else None
        codec = registry.load(name, own, device, quiet=True)
        return Subject(setting, codec, own_weights=own is not None)

    found = [partial(Subject, setting, None)]
    if any(clip.reference for clip in setting.corpus):
        found.append(partial(Subject, setting, None, given=True))
    return found + [partial(coded, name) for name in names]


def split_names(text: str) -> list[str]:
    """Codec names separated by commas; `name:key=value,key=value` stays one name."""
    found: list[str] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        if "=" in part and ":" not in part and found:
            found[-1] += f",{part}"
        else:
            found.append(part)
    if not found:
        raise AudiotokError("no codec is named: expected e.g. --tokenizer wavtokenizer,opus-6k")
    return found
