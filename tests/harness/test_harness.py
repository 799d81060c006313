"""A run: its table and files, what is measured again, several processes, settings and tasks."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import filelock
import pytest
from support import bench_kit
from support.bench_kit import CLIPS, Notes, contents, run

from audiotok import tasks
from audiotok.errors import AudiotokError, CodecError, MetricError, ResultsError
from audiotok.harness import harness
from audiotok.harness.settings import split_names
from audiotok.results import results
from audiotok.tasks import Column, Task


@pytest.fixture
def kit(tmp_path, monkeypatch):
    bench_kit.set_up(monkeypatch, tmp_path, CLIPS)


def test_two_codecs_of_one_name(kit):
    Path("loud.py").write_text(bench_kit.CODEC.replace("/ 128", "/ 64"))
    with pytest.raises(AudiotokError, match=r"shy.py and loud.py are both named shy, and a table"):
        run(["shy.py", "loud.py"])
    Path("other").mkdir()
    Path("other/shy.py").write_text(bench_kit.CODEC.replace('"shy"', '"bold"'))
    results, _ = run(["shy.py", "shy.py::shy", "other/shy.py"], baselines=False)
    assert {"shy", "bold"} <= {one.codec for one in results}
    for path in ("shy.py", "other/shy.py"):  # each is found again by other processes
        kind = harness.registry.find(path)
        assert harness.registry.name_for(*kind).endswith(f"{path}::{kind[1].name}")


def test_a_table_has_ceiling_codec_and_floor(kit):
    measured, observer = run()
    assert [(r.codec, r.role) for r in measured] == [
        ("reference", "ceiling"), ("mulaw", "baseline"), ("resample-16k", "baseline"),
    ]  # fmt: skip
    assert measured[0].scores["level_error"]["mean"] == 0
    assert measured[0].scores["bitrate"] == measured[0].scores["bitrate"] | {"mean": None, "n": 0}
    assert measured[1].scores["bitrate"]["mean"] == 128_000
    assert measured[2].scores["level_error"]["n"] == 4
    assert ("mulaw", 4, 4) in observer.scored
    table = results.table(measured)
    assert list(table.index) == ["reference", "mulaw", "resample-16k"]
    assert table.loc["mulaw", "level_error"] > table.loc["reference", "level_error"]


def test_files_of_a_result(kit):
    measured, _ = run()
    folder = measured[2].folder
    assert folder.parent.parent == Path("results/tiny-v3")
    assert folder.parent.name.startswith("clips-")
    files = {p.name for p in folder.iterdir()}
    assert files == {"rows.parquet", "summary.json", "times.parquet", "run.json"}
    rows = measured[2].rows
    assert list(rows["clip"]) == CLIPS
    assert set(rows["codec"]) == {"resample-16k"}
    assert list(rows["level_words"]) == ["some words"] * 4
    assert not any("seconds" in name or "rtf" in name for name in rows)
    summary, run_ = measured[2].summary, measured[2].run
    assert summary["codec"]["fingerprint"] and summary["packages"]["torch"]
    assert run_["hardware"] and run_["times"]["rtf_encode"]["mean"] > 0
    assert summary["plan"]["tasks"]["level"] == {"task": 2}
    low, high = summary["scores"]["level_total"]["ci95"]
    assert low <= summary["scores"]["level_total"]["mean"] <= high


def test_measured_once_and_the_same_again(kit):
    run()
    before = contents()
    _, observer = run()
    assert contents() == before
    assert observer.scored == []
    assert len([note for note in observer.notes if "measured before" in note]) == 3
    run(out="again", workers=2)
    assert list(contents("again").values()) == list(before.values())


def test_other_clips_limits_and_tasks_have_other_folders(kit):
    whole, _ = run(data="clips")
    fewer, _ = run(data="clips", limit=2)
    tokens, _ = run(data="clips", tasks=["tokens"])
    bench_kit.write_clips(Path("clips"), ["zz"])
    more, _ = run(data="clips")
    folders = {measured[0].folder.parent for measured in (whole, fewer, tokens, more)}
    assert len(folders) == 4
    assert [measured[0].summary["data"]["clips"] for measured in (whole, fewer, more)] == [4, 2, 5]
    assert list(tokens[1].summary["plan"]["tasks"]) == ["tokens"]


def test_a_new_version_of_a_task_is_measured_again(kit, monkeypatch):
    run()
    monkeypatch.setattr(bench_kit.Level, "version", 3)
    measured, observer = run()
    assert any("measured again" in n and "tasks.level.task 2 -> 3" in n for n in observer.notes)
    assert measured[0].summary["plan"]["tasks"]["level"] == {"task": 3}


def test_a_changed_row_file_is_measured_again(kit):
    measured, _ = run()
    before = contents()
    (measured[1].folder / "rows.parquet").write_bytes(b"PAR1")
    _, observer = run()
    assert any("mulaw: measured again" in note for note in observer.notes)
    assert contents() == before


def test_reconstructions_that_come_with_a_corpus_are_a_row(kit):
    bench_kit.write_clips(Path("given"), ["a", "a-original-loud"])
    Path("given.tsv").write_text("audio\treference\ngiven/a.wav\tgiven/a-original-loud.wav\n")
    measured, _ = run(data="given.tsv")
    assert [r.codec for r in measured] == ["reference", "given", "mulaw", "resample-16k"]
    error = {r.codec: r.scores["level_error"]["mean"] for r in measured}
    assert error["reference"] == 0
    assert error["given"] > 0.3
    assert error["resample-16k"] < 0.01


def test_a_second_process_waits_for_the_same_codec_and_measures_others(kit):
    measured, _ = run(out="before", limit=1)
    lock = filelock.FileLock(
        Path("results/tiny-v3") / measured[0].folder.parent.name / ".mulaw.lock"
    )
    Path(lock.lock_file).parent.mkdir(parents=True)

    class Releasing(Notes):
        def note(self, text):
            super().note(text)
            if "waits for another" in text:
                lock.release()

    observer = Releasing()
    with lock:
        again, _ = run(limit=1, observer=observer)
    assert [r.codec for r in again] == ["reference", "mulaw", "resample-16k"]
    notes = [note.partition(" in ")[0].partition(" that ")[0] for note in observer.notes]
    assert notes == [
        "resample-16k: measured", "reference: measured", "mulaw: waits for another process",
        "mulaw: measured",
    ]  # fmt: skip


def test_processes_on_one_folder_share_the_work(kit):
    bench_kit.write_suite(Path("tiny.yaml"), tasks=["level", "tokens"])
    forks = multiprocessing.get_context("fork")
    answers = forks.Queue()
    started = [
        forks.Process(target=lambda names=names: answers.put([r.codec for r in run(names)[0]]))
        for names in (["resample-16k"], ["resample-16k", "resample-24k"])
    ]
    for process in started:
        process.start()
    outputs = sorted((answers.get(timeout=600) for _ in started), key=len)
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [0, 0]
    assert outputs[1] == ["reference", "mulaw", "resample-16k", "resample-24k"]
    assert len(contents(Path("results"))) == 8
    assert not list(Path("results").rglob("run-*"))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"tokenizer": "opus-6kk"}, CodecError, "opus-6k"),
        ({"tokenizer": ","}, AudiotokError, "no codec is named"),
        ({"suite": "smok"}, ResultsError, "did you mean smoke"),
        ({"tasks": ["tokenz"]}, MetricError, "tokens"),
        ({"limit": 0}, AudiotokError, "--limit 0: expected 1 or more"),
        ({"workers": -1}, AudiotokError, "--workers -1: expected 0 or more"),
        ({"tokenizer": "mulaw,opus-6k", "checkpoint": "x"}, AudiotokError, "one codec, but 2"),
    ],
)
def test_mistakes_are_said_in_one_line(kit, options, error, message):
    with pytest.raises(error, match=message) as raised:
        run(**options)
    assert "\n" not in str(raised.value)
    assert not Path("results").exists()


def test_names_with_options_stay_whole():
    assert split_names("a, b:x=1,y=2,c") == ["a", "b:x=1,y=2", "c"]


def test_a_suite_that_is_none(kit):
    Path("bad.yaml").write_text("name: x\nversion: one\n")
    with pytest.raises(
        ResultsError, match="bad.yaml is not a suite: version Input should be a valid int"
    ):
        run(suite="bad.yaml")
    Path("bad.yaml").write_text("a: [")
    with pytest.raises(ResultsError, match="bad.yaml is not a suite"):
        run(suite="bad.yaml")


def test_bench_gives_a_table(kit):
    table = harness.bench("mulaw", "clips", suite="tiny.yaml", limit=1, workers=0)
    assert table.loc["mulaw", "bitrate"] == 128_000
    assert table.loc["reference", "level_error"] == 0


def test_tokens_without_a_decoder_are_measured_as_far_as_they_go(kit):
    needs = 'verified="never", needs="a vocoder"'
    Path("units.py").write_text(bench_kit.CODEC.replace('verified="never"', needs))
    bench_kit.write_suite(Path("tiny.yaml"), tasks=["level", "tokens"])
    table = harness.bench("units.py", "clips", suite="tiny.yaml", workers=0, baselines=False)
    assert table.loc["shy", ["clips", "n", "failed"]].tolist() == [4, 3, 1]  # one is too loud
    assert table.loc["shy", "bitrate"] > 0
    counts = table.attrs["coverage"]["shy"]["level_error"]
    assert counts == {"n": 0, "failed": 1, "not_applicable": 3}


def test_coverage_stands_beside_numbers_that_are_not_of_all_clips(kit):
    names = ["a", "b-loud", "c-raises", "d-peakless"]
    bench_kit.write_clips(Path("some"), names)
    bench_kit.write_suite(Path("tiny.yaml"), tasks=["level", "tokens"])
    table = harness.bench("shy.py", "some", suite="tiny.yaml", workers=0)
    assert list(table.columns[:4]) == ["role", "clips", "n", "failed"]
    assert table.loc["shy", ["clips", "n", "failed"]].tolist() == [4, 1, 3]
    counts = table.attrs["coverage"]["shy"]
    assert counts["level_error"] == {"n": 2, "failed": 2, "not_applicable": 0}
    assert counts["peak_error"] == {"n": 1, "failed": 3, "not_applicable": 0}
    counts = table.attrs["coverage"]["reference"]
    assert counts["bitrate"] == {"n": 0, "failed": 0, "not_applicable": 4}
    assert sum(counts["level_error"].values()) == table.loc["reference", "clips"] == 4


def test_clips_without_a_text_beside_clips_with_one_are_said(kit):
    rows = ["audio\ttext", "clips/a.wav\tsome words", "clips/b.wav\t"]
    Path("part.tsv").write_text("\n".join(rows))
    bench_kit.write_suite(Path("tiny.yaml"), tasks=["level"])
    _, observer = run("mulaw", "part.tsv")
    assert "1 of 2 clips of part count as sound without speech" in observer.notes[0]


class Watcher(Task):
    """Sees how often codes change, and ranks clips among all of them."""

    name = "watcher"
    observes = concludes = True
    columns = (
        Column("changes", "", None, 2, "share of codes unlike the one before"),
        Column("rank", "", None, 0, "of the clip by its changes"),
    )

    def observe(self, codec, reference, tokens):
        if reference.waveform.abs().max() > 0.9:
            raise MetricError("too loud to watch")
        again = codec.encode(reference)
        assert again.codes.equal(tokens.codes)
        return float((again.codes[..., 1:] != again.codes[..., :-1]).double().mean())

    def score(self, item):
        return {} if item.observed is None else {"changes": item.observed}

    def conclude(self, corpus, tokens, note, codec=None):
        if tokens is None:
            return {}
        note(f"{sum(one is not None for one in tokens)} of {len(corpus)} clips")
        return {index: {"rank": float(index)} for index in range(len(tokens))}


def test_tasks_see_the_codec_and_all_clips_together(kit, monkeypatch):
    get_task = tasks.get
    monkeypatch.setattr(tasks, "get", lambda n: Watcher() if n == "watcher" else get_task(n))
    bench_kit.write_suite(Path("tiny.yaml"), tasks=["level", "watcher"])
    measured, observer = run("shy.py", baselines=False)
    reference, mulaw, shy = measured[0], measured[2], measured[1]
    assert reference.scores["changes"]["n"] == 0 and reference.scores["rank"]["n"] == 0
    assert mulaw.scores["changes"] | {"n": 3, "failed": 1} == mulaw.scores["changes"]
    assert mulaw.scores["rank"]["mean"] == 1.5
    assert mulaw.summary["failures"][0]["message"] == "too loud to watch"
    assert "shy: 3 of 4 clips" in observer.notes and shy.scores["level_error"]["n"] == 3
