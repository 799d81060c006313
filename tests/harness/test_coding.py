from __future__ import annotations

from pathlib import Path

import pytest
from support import bench_kit

from audiotok import tasks
from audiotok.codec import Codec
from audiotok.errors import AudiotokError, CodecError, MetricError, ResultsError
from audiotok.harness import coding, harness
from audiotok.harness.plan import Observer
from audiotok.harness.settings import BenchSettings
from audiotok.tasks import Column, Task

CLIPS = ["a", "b", "c"]
LIAR = bench_kit.CODEC.replace("return (codes - 128) / 128", "return {memory}").replace(
    "return (waveform * 128", "{keep}\n        return 0 * (waveform * 128"
)


class Notes(Observer):
    def __init__(self):
        self.notes: list[str] = []

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def kit(tmp_path, monkeypatch):
    bench_kit.install(monkeypatch.setattr)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUDIOTOK_CACHE", "cache")
    bench_kit.write_suite(Path("tiny.yaml"), tasks=["level", "tokens", "rank"])
    bench_kit.write_clips(Path("clips"), CLIPS)


@pytest.fixture
def calls(monkeypatch):
    """What codecs do, in order: "encode" and "decode"."""
    calls = []
    for name in ("encode", "decode"):
        body = getattr(Codec, name)

        def noted(*arguments, name=name, body=body):
            calls.append(name)
            return body(*arguments)

        monkeypatch.setattr(Codec, name, noted)
    return calls


def run(tokenizer="mulaw", data="clips", **options):
    observer = Notes()
    options = {"suite": "tiny.yaml", "workers": 0} | options
    settings = BenchSettings(tokenizer=tokenizer, data=data, **options)
    return harness.run(settings, observer), observer.notes


def contents(folder="results") -> list[bytes]:
    names = ("rows.parquet", "summary.json")
    return [p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.name in names]


def entries(kind: str) -> list[Path]:
    return sorted(Path("cache", kind).glob("*/*"))


def test_the_same_out_of_the_cache(kit, calls):
    run()
    assert calls == ["encode", "decode"] * (1 + len(CLIPS))  # the first call is not the timed one
    run(out="again")
    assert len(calls) == 8
    assert contents("again") == contents() and len(contents()) == 4
    assert len(entries("tokens")) == len(entries("waveforms")) == len(CLIPS)


def test_a_changed_metric_runs_no_codec_and_no_other_task(kit, calls, monkeypatch):
    run()
    calls.clear()
    scored = []
    body = tasks.tokens.TokenStatistics.score
    monkeypatch.setattr(
        tasks.tokens.TokenStatistics, "score", lambda *a: scored.append(a) or body(*a)
    )
    monkeypatch.setattr(bench_kit.Level, "version", 3)
    monkeypatch.setattr(bench_kit.Level, "score", lambda self, item: {"level_error": 7.0})
    results, notes = run()
    assert any("mulaw: measured again" in note for note in notes)
    assert (
        results[1].scores["level_error"]["mean"] == 7 and results[1].scores["bitrate"]["mean"] > 0
    )
    assert calls == [] and scored == []


class Watching(bench_kit.Level):
    """Encodes each clip once more."""

    observes = True

    def observe(self, codec, reference, tokens):
        return codec.encode(reference).num_frames

    def score(self, item):
        return super().score(item) | ({"peak_error": item.observed} if item.tokens else {})


def test_what_a_task_saw_of_the_codec_is_kept_with_its_score(kit, calls, monkeypatch):
    monkeypatch.setattr(bench_kit, "Level", Watching)
    bench_kit.install(monkeypatch.setattr)
    first, _ = run()
    assert calls.count("encode") == 1 + 2 * len(CLIPS)
    assert first[1].scores["peak_error"]["mean"] == 4000
    calls.clear()
    run(out="again")
    monkeypatch.setattr(tasks.tokens.TokenStatistics, "version", 99)
    run()
    assert calls == [] and contents("again") != contents()
    monkeypatch.setattr(Watching, "version", 99)
    with pytest.raises(ResultsError, match="the clip a is not in the cache"):
        run(reuse="only-cache")
    run()
    assert calls.count("decode") == 1 and calls.count("encode") == 1 + len(CLIPS)


def test_other_clips_are_coded_and_known_ones_are_not(kit, calls):
    run(limit=2)
    calls.clear()
    results, _ = run()
    assert calls.count("decode") == 2 and results[1].scores["level_error"]["n"] == 3
    bench_kit.write_clips(Path("other"), ["renamed"])  # the sound of clip a
    calls.clear()
    run(data="other")
    assert calls == []


def test_other_code_and_other_weights_are_coded_again(kit, calls):
    Path("shy.py").write_text(bench_kit.CODEC)
    first, _ = run("shy.py", baselines=False)
    Path("more.py").write_text(bench_kit.CODEC.replace("(codes - 128) / 128", "(codes - 128) / 64"))
    calls.clear()
    second, _ = run("more.py", baselines=False, out="more")
    assert calls.count("encode") == 4  # the name and the fingerprint are the same
    assert [r.codec for r in first] == [r.codec for r in second] == ["reference", "shy", "mulaw"]
    assert first[1].scores["level_error"] != second[1].scores["level_error"]


@pytest.mark.parametrize("kind", ["tokens", "waveforms", "scores"])
@pytest.mark.parametrize("how", ["changed", "torn", "exchanged"])
def test_a_poisoned_cache_is_noticed_and_gives_the_same(kit, kind, how):
    run()
    cached = entries(kind)
    assert len(cached) >= 3
    whole = [path.read_bytes() for path in cached]
    for path, data, other in zip(cached, whole, whole[1:] + whole[:1], strict=True):
        poisoned = {
            "changed": data[:-1] + bytes([data[-1] ^ 1]),
            "torn": data[: len(data) - 5],
            "exchanged": other,
        }
        path.write_bytes(poisoned[how])
    _, notes = run(out="again")
    assert any("is ignored and computed again" in note and kind in note for note in notes)
    assert contents("again") == contents()
    _, notes = run(out="once more")
    assert not any("cache" in note for note in notes)


def test_only_cache_runs_no_codec(kit, calls, monkeypatch):
    with pytest.raises(ResultsError, match="mulaw: the clip a is not in the cache .*only-cache"):
        run(reuse="only-cache")
    assert calls == []
    run()
    calls.clear()
    monkeypatch.setattr(bench_kit.Level, "version", 3)
    results, _ = run(reuse="only-cache")
    assert calls == [] and results[1].summary["plan"]["tasks"]["level"] == {"task": 3}
    for path in entries("tokens"):
        path.unlink()
    with pytest.raises(ResultsError, match="the clip a is not in the cache"):
        run(reuse="only-cache", out="again")


def test_only_missing_keeps_what_is_finished_and_says_so(kit, calls, monkeypatch):
    run()
    before = contents()
    calls.clear()
    monkeypatch.setattr(bench_kit.Level, "version", 3)
    results, notes = run("mulaw,resample-16k", reuse="only-missing")
    assert [r.summary["plan"]["tasks"]["level"]["task"] for r in results] == [2, 2, 3]
    assert any(
        "mulaw: reused, although this changed: tasks.level.task 2 -> 3" in note for note in notes
    )
    assert set(before) < set(contents())
    results[1].folder.joinpath("rows.parquet").write_bytes(b"torn")
    _, notes = run(reuse="only-missing")
    assert any("mulaw: measured again" in note for note in notes)


def test_fresh_measures_anew_and_replaces(kit, calls):
    run()
    before = contents()
    for path in entries("scores"):
        path.write_bytes(b"poison that nobody reads")
    calls.clear()
    _, notes = run(reuse="fresh")
    assert calls.count("decode") == 4 and contents() == before
    assert not any("cache" in note or "before" in note for note in notes)
    _, notes = run(out="again")  # and filled the cache
    assert contents("again") == before and not any("cache" in note for note in notes)
    with pytest.raises(AudiotokError, match="reuse is None or one of only-missing, .* not 'all'"):
        run(reuse="all")


def test_times_are_those_of_the_same_hardware_or_taken_anew(kit, calls, monkeypatch):
    bench_kit.write_suite(Path("tiny.yaml"), tasks=["level", "speed"])
    first, _ = run()
    calls.clear()
    again, _ = run(out="again")
    assert calls == []
    assert again[1].run["times"] == first[1].run["times"]
    assert again[1].run["clips_timed_before"] == 3 and first[1].run["clips_timed_before"] == 0
    monkeypatch.setattr(coding, "hardware", lambda device: "another machine")
    calls.clear()
    only, _ = run(out="only", reuse="only-cache")
    assert calls == [] and only[1].run["times"]["rtf_encode"]["mean"] is None
    assert only[1].run["clips_not_timed"] == 3
    again, notes = run(out="only")
    assert "mulaw: measured again, because it has no times" in notes
    assert again[1].run["times"]["rtf_encode"]["mean"] > 0
    calls.clear()
    Path("cache").rename("elsewhere")
    other, _ = run(out="other")
    assert calls.count("encode") > 3 and calls.count("decode") > 3
    assert other[1].run["times"] != first[1].run["times"]
    assert contents("other") == contents() == contents("only")


def test_a_cache_that_cannot_be_written_costs_nothing_else(kit, monkeypatch):
    run()
    Path("file").write_text("")
    monkeypatch.setenv("AUDIOTOK_CACHE", "file/cache")
    _, notes = run(out="again")
    assert len([note for note in notes if "nothing more is cached" in note]) == 1
    assert contents("again") == contents()


class Failing(Task):
    name = "failing"
    columns = (Column("share", "", None, 2, "of all"),)
    concludes = True

    def score(self, item):
        return {}

    def conclude(self, corpus, tokens, note, codec=None):
        if tokens is None:
            return {0: {"share": float("nan")}}
        raise MetricError("too few clips")


def test_a_conclusion_that_fails_costs_its_columns_alone(kit, monkeypatch):
    get_task = tasks.get
    monkeypatch.setattr(tasks, "get", lambda n: Failing() if n == "failing" else get_task(n))
    bench_kit.write_suite(Path("tiny.yaml"), tasks=["level", "failing"])
    results, _ = run()
    share = results[1].scores["share"]
    assert (share["n"], share["failed"], share["mean"]) == (0, 3, None)
    assert results[1].scores["level_error"]["n"] == 3
    failure = {"stage": "conclude", "task": "failing", "message": "too few clips", "clip": "a"}
    assert results[1].summary["failures"][0] == failure | {"transient": False}
    assert "share is nan" in results[0].summary["failures"][0]["message"]


def test_a_conclusion_is_kept_for_the_same_tokens(kit, monkeypatch):
    concluded = []
    body = bench_kit.Rank.conclude
    monkeypatch.setattr(
        bench_kit.Rank, "conclude", lambda self, *a: concluded.append(a) or body(self, *a)
    )
    results, _ = run()
    assert results[1].scores["rank"]["mean"] == 1 and len(concluded) == 2
    again, _ = run(out="again")
    assert contents("again") == contents() and len(concluded) == 2
    run(limit=2)
    assert len(concluded) == 4


def test_a_task_that_looks_at_the_corpus_is_scored_for_each(kit):
    class Looks(bench_kit.Level):
        def prepare(self, corpus):
            self.first = corpus.clips[0]

    from audiotok import data
    from audiotok.tasks.reconstruction import Reconstruction

    corpus = data.load("clips")
    assert Looks().cache_key(corpus) != Looks().cache_key(corpus.first(2))
    assert bench_kit.Level().cache_key(corpus) == bench_kit.Level().cache_key(corpus.first(2))
    task = Reconstruction()
    task.prepare(corpus)
    assert task.cache_key(corpus) == task.cache_key(corpus.first(2))


@pytest.mark.parametrize(
    ("keep", "memory", "workers"),
    [
        ("self.kept = waveform", "self.kept", 0),
        ("keep[waveform.shape[-1]] = waveform", "keep[codes.shape[-1]]", 1),
    ],
)
def test_a_codec_that_returns_its_input_is_refused(kit, keep, memory, workers):
    source = LIAR.replace("{keep}", keep).replace("{memory}", memory)
    Path("liar.py").write_text(source.replace("class Shy", "keep = {}\n\nclass Shy"))
    for _ in range(2):  # the cache does not help it
        with pytest.raises(CodecError, match="shy is not measured: .*in another process"):
            run("liar.py", baselines=False, workers=workers)
        assert not list(Path("results").rglob("shy/*"))


def test_an_honest_stranger_is_measured(kit):
    Path("shy.py").write_text(bench_kit.CODEC)
    results, _ = run("shy.py", baselines=False, workers=1)
    assert results[1].codec == "shy" and results[1].scores["level_error"]["n"] == len(CLIPS)
