"""`audiotok.bench`: measure codecs, resume after crashes, and write rows and a summary.

For each clip this process does: read -> encode -> bytes -> decode. Worker processes score.
A plan holds all that scores depend on; results of different plans are never mixed.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd

from audiotok.codec import checkpoints, registry
from audiotok.errors import AudiotokError, ResultsError
from audiotok.harness.cache import Cache, open_cache
from audiotok.harness.plan import Observer, Setting, Subject, make_setting
from audiotok.harness.runner import Runner
from audiotok.harness.settings import BenchSettings
from audiotok.harness.suite import Suite, load_suite
from audiotok.results import results
from audiotok.results.results import FLOOR, GIVEN, Result
from audiotok.system.names import Recorded


def bench(
    tokenizer: str | Sequence[str] = (),
    data: str | Path | None = None,
    *,
    checkpoint: str | Path | None = None,
    baselines: bool = True,
    suite: str | Path = "smoke",
    tasks: Sequence[str] | None = None,
    limit: int | None = None,
    out: str | Path = "results",
    device: str = "auto",
    workers: int | None = None,
    executor: str = "local",
    address: str | None = None,
    reuse: str | None = None,
    random_weights: bool = False,
) -> pd.DataFrame:
    """Measure codecs; results that are already in `out` are reused.

    Args:
        tokenizer: a codec's name, or several; none for a suite of given reconstructions.
        data: "bundled", a folder, a manifest, "librispeech/<split>"; None: the suite's.

    The other arguments are attributes of `audiotok.harness.settings.BenchSettings`.

    Returns:
        One row per codec (the reference itself first, random codes last), one column per metric:
        means over clips, or numbers of the whole corpus; NaN if nothing was measured.

    If clips failed for a transient reason (memory, disk, a process that died), a UserWarning gives
    their number; these failures are not stored, and the same call tries the clips again.
    """
    measured = run(BenchSettings(**locals()))
    for result in measured:
        if line := results.retry_message(result):
            warnings.warn(line, stacklevel=2)
    return results.table(measured)


def run(settings: BenchSettings, observer: Observer | None = None) -> list[Result]:
    """As `bench`, but reports to an observer and returns `Result` objects."""
    if not settings.random_weights:
        return _run(settings, observer or Observer())
    with tempfile.TemporaryDirectory(prefix="audiotok-random-weights-") as folder:
        measured = _run(replace(settings, out=folder), observer or Observer())
        for result in measured:
            _ = result.rows, result.times  # read before their files are removed
        return measured


def _run(settings: BenchSettings, observer: Observer) -> list[Result]:
    registry.find_device(settings.device)
    suite = load_suite(settings.suite)
    _refuse_names(suite, settings.tokenizer)
    tokenizers = [name for typed in settings.tokenizer for name in registry.expand(typed)]
    cards: dict[str, str] = {}  # full name -> name as typed
    families: dict[str, tuple] = {}  # full name -> family and card
    baselines = [name for name in suite.baselines if name not in settings.tokenizer]
    baselines = baselines if settings.baselines else []
    for name in [*tokenizers, *baselines, *([] if suite.given else [FLOOR])]:
        family, card = registry.find(name)
        other = cards.setdefault(card.name, name)
        if families.setdefault(card.name, (family, card)) != (family, card):
            raise AudiotokError(
                f"{other} and {name} are both named {card.name}, and a table has one row for "
                "each name: give one of the cards another name"
            )
    for name in tokenizers:  # report missing weights before anything is measured
        if _on_random_weights(settings, name):
            registry.check_random(name)
        else:
            checkpoints.resolve(registry.find_card(name), settings.checkpoint)
    for name in baselines:
        if isinstance(name, Recorded):
            registry.check_recorded(name)
    setting = make_setting(settings, suite, observer)

    if settings.random_weights:
        cache = Cache(settings.out / "cache", 0, observer.note)  # stores nothing
    else:
        cache = open_cache(observer.note)
    measured: list[Result] = []
    with ExitStack() as stack:
        stack.callback(cache.close)
        runner = Runner(setting, cache, stack)
        todo = _subjects(setting, list(cards.values()), tokenizers)
        for wait in False, True:  # first the subjects that no other process measures
            in_use = []
            for make_subject in todo:
                result = runner.result(make_subject(), wait)
                if result is None:
                    in_use.append(make_subject)
                else:
                    setting.observer.row(result)
                    measured.append(result)
            todo = in_use
    _refuse_empty(measured)
    return sorted(measured, key=results.order)


def _on_random_weights(settings: BenchSettings, name: str) -> bool:
    """Whether a codec runs on random weights: requested, and its own do not ship with audiotok."""
    weights = registry.find_card(name).weights
    return settings.random_weights and weights is not None and not weights.bundled


def _refuse_names(suite: Suite, tokenizers: Sequence[str]) -> None:
    """Raises AudiotokError if no codec is named, or one for a suite of given reconstructions."""
    if suite.given and tokenizers:
        raise AudiotokError(
            f"the suite {suite.name} measures the reconstructions that a manifest brings, not "
            f"{', '.join(tokenizers)}: leave out --tokenizer, or name another suite"
        )
    if not suite.given and not tokenizers:
        raise AudiotokError("no codec is named: expected e.g. --tokenizer wavtokenizer,opus-6k")


def _refuse_empty(measured: Sequence[Result]) -> None:
    """Raises ResultsError if no row has a number and no failure is transient."""
    if any(result.transient_failures or result.has_values for result in measured):
        return
    clips = measured[0].summary["data"]["clips"]
    failures = [failure for result in measured for failure in result.summary["failures"]]
    first = f", first {failures[0]['clip']}: {failures[0]['message']}" if failures else ""
    raise ResultsError(
        f"nothing was measured: none of the {clips} clips has a value in any column{first}; see "
        f"{measured[0].folder.parent}"
    )


def _subjects(
    setting: Setting, names: Sequence[str], tokenizers: Sequence[str]
) -> list[Callable[[], Subject]]:
    """Functions that make the rows of the table; each loads its codec when it is called."""
    settings = setting.settings

    def coded(name: str) -> Subject:
        checkpoint = settings.checkpoint if name in tokenizers else None
        codec = registry.load(
            name,
            checkpoint,
            settings.device,
            quiet=True,
            random_weights=name in tokenizers and _on_random_weights(settings, name),
        )
        return Subject(setting, codec, own_weights=checkpoint is not None)

    reference = partial(Subject, setting, None)
    count = len({registry.find(name)[1].name for name in tokenizers})  # these are first in `names`
    if setting.given is not None:
        subjects = [reference] if setting.given.originals else []
        return subjects + [
            partial(Subject, setting, None, given=name) for name in setting.given.codecs
        ]
    references = [reference]
    if any(clip.reference for clip in setting.corpus):
        references.append(partial(Subject, setting, None, given=GIVEN))
    first = [partial(coded, name) for name in names[:count]]  # the user waits for these
    return first + references + [partial(coded, name) for name in names[count:]]
