"""What goes wrong in a run: failed clips, what may pass, kills, folders and disks."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from support import bench_kit
from support.bench_kit import CLIPS, contents, run

from audiotok.errors import AudiotokError, CorpusError, ResultsError
from audiotok.harness import harness
from audiotok.results import results
from audiotok.results.validating import validate


@pytest.fixture
def kit(tmp_path, monkeypatch):
    bench_kit.set_up(monkeypatch, tmp_path, CLIPS)


def test_failures_are_counted_and_never_numbers(kit):
    names = ["a", "b-loud", "c-raises", "d-peakless", "e-infinite", "f"]
    bench_kit.write_clips(Path("bad"), names)
    (Path("bad") / "g.wav").write_bytes(b"RIFF no sound")
    try:
        measured, _ = run("shy.py", "bad")
    except CorpusError:  # a corpus that refuses unreadable files at once is as good
        (Path("bad") / "g.wav").unlink()
        measured, _ = run("shy.py", "bad")
    unread = int((Path("bad") / "g.wav").exists())
    shy = next(r for r in measured if r.codec == "shy")
    assert shy.role == "neural"
    level, peak = shy.scores["level_error"], shy.scores["peak_error"]
    assert (level["n"], level["failed"]) == (4, 2 + unread)
    assert (peak["n"], peak["failed"]) == (2, 4 + unread)
    assert (shy.scores["bitrate"]["failed"]) == 1 + unread
    failures = {f["clip"]: f for f in shy.summary["failures"]}
    assert failures["b-loud"] == {
        "clip": "b-loud", "stage": "encode", "message": "RuntimeError: too loud",
        "transient": False,
    }  # fmt: skip
    assert failures["c-raises"]["task"] == "level"
    assert failures["d-peakless"]["column"] == "peak_error"
    assert "inf" in failures["e-infinite"]["message"]
    rows = shy.rows.set_index("clip")
    assert rows.loc["c-raises"].isna()["level_error"] and rows.loc["c-raises", "bitrate"] == 64_000


def test_a_scoring_process_that_dies_costs_its_clip(kit):
    bench_kit.write_clips(Path("deadly"), ["a", "b-dies", "c", "d"])
    bench_kit.write_suite(Path("tiny.yaml"), tasks=["level"])
    measured, _ = run("mulaw", "deadly", workers=1)  # the floor: each death costs a new process
    score = next(r for r in measured if r.codec == "mulaw")
    assert (score.scores["level_error"]["n"], score.scores["level_error"]["failed"]) == (3, 1)
    assert "signal 9" in score.transient_failures[0]["message"]
    assert not (score.folder / "summary.json").exists() and list(score.folder.glob("run-*"))


@pytest.fixture
def disk(monkeypatch):
    """Full for these clips, while it is `full`; `tries` are the clips that were scored."""
    state = SimpleNamespace(full=True, clips=["b", "d"], tries=[])
    body = bench_kit.Level.score

    def score(self, item):
        state.tries.append(item.clip.id)
        if state.full and item.clip.id in state.clips:
            raise OSError(28, "No space left on device")
        return body(self, item)

    monkeypatch.setattr(bench_kit.Level, "score", score)
    monkeypatch.setenv("AUDIOTOK_CACHE_BYTES", "0")
    return state


def test_what_may_pass_is_no_result_and_exactly_these_clips_are_tried_again(kit, disk):
    names = ["a", "b", "c-raises", "d"]
    bench_kit.write_clips(Path("abcd"), names)
    bench_kit.write_suite(Path("tiny.yaml"), tasks=["level"])
    disk.full = False
    run(data="abcd")
    whole = contents()
    shutil.rmtree("results")
    disk.full, disk.tries = True, []
    measured, _ = run(data="abcd")
    assert [disk.tries.count(name) for name in names] == [3, 6, 3, 6]  # of three rows
    for result in measured:
        assert [failure["clip"] for failure in result.transient_failures] == ["b", "d"]
        assert result.scores["level_error"]["n"] == 1 and len(result.rows) == 4
        message = "2 of 4 clips could not be measured for now, first b: OSError: [Errno 28]"
        assert message in results.retry_message(result)
    assert not contents() and len(list(Path("results").rglob("run-*"))) == 3
    disk.full, disk.tries = False, []
    measured, observer = run(data="abcd")
    assert sorted(disk.tries) == ["b"] * 3 + ["d"] * 3
    assert "mulaw: continues after 2 of 4 clips" in observer.notes
    assert contents() == whole
    assert {failure["clip"] for failure in measured[0].summary["failures"]} == {"c-raises"}
    assert not list(Path("results").rglob("run-*"))


def test_trying_again_ends(kit, disk):
    disk.clips = [f"clip-{number}" for number in range(9)]
    bench_kit.write_clips(Path("many"), disk.clips)
    bench_kit.write_suite(Path("tiny.yaml"), tasks=["level"])
    message = "mulaw: 9 of 9 clips could not be measured for now"
    with pytest.warns(UserWarning, match=message):
        harness.bench("mulaw", "many", suite="tiny.yaml", workers=0)
    assert len(disk.tries) == 2 * (9 + 3)  # two rows; three clips once more


def test_old_results_with_such_failures_are_found_and_measured_again(kit):
    bench_kit.write_suite(Path("tiny.yaml"), tasks=["level"])
    measured, _ = run()
    before = contents()
    folder = measured[1].folder
    summary, run_ = measured[1].summary, measured[1].run
    old = {"clip": "a", "stage": "encode", "message": "RuntimeError: CUDA out of memory"}
    content = summary | {"failures": [old]}
    results.write_json(folder / "summary.json", content)
    results.write_json(
        folder / "run.json", run_ | {"summary_sha256": results.content_sha256(content)}
    )
    errors = [str(finding) for finding in validate("results")[1] if finding.error]
    assert len(errors) == 1 and "1 of 4 clips could not be measured for now, first a:" in errors[0]
    for reuse in (None, "only-missing"):
        results.write_json(folder / "summary.json", content)
        _, observer = run(reuse=reuse)
        assert any("mulaw: measured in" in note for note in observer.notes), observer.notes
        assert contents() == before


def test_killed_ten_times_it_goes_on_to_the_same_result(tmp_path):
    bench_kit.write_clips(tmp_path / "clips", CLIPS)
    bench_kit.write_suite(tmp_path / "tiny.yaml", tasks=["level", "tokens", "rank"])
    moments = random.Random(0)
    points = [-30, 0, *(moments.randint(3, 16) for _ in range(8))]
    driver = [sys.executable, Path(__file__).parents[1] / "support" / "bench_driver.py"]
    command = [*driver, *(tmp_path / name for name in ("clips", "tiny.yaml", "killed")), *points]
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])},
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    died, once, again = map(int, done.stdout.split())
    assert died == 10
    assert once == 2 * (len(CLIPS) + 1)  # two codecs; the first clip once more, for the times
    assert again <= once + 2 * died  # at most a clip, and the first call of a codec, each time
    whole = contents(tmp_path / "killed-whole").values()
    assert list(contents(tmp_path / "killed").values()) == list(whole) and len(whole) == 6
    assert not [*(tmp_path / "killed").rglob("*.tmp"), *(tmp_path / "killed").rglob("run-*")]


def test_folders_that_cannot_be_written(kit):
    Path("file").write_text("")
    with pytest.raises(ResultsError, match="cannot write into file/.*--out"):
        run(out="file/results")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_a_read_only_folder_is_one_line_and_finished_results_are_read(kit):
    run()
    folders = [Path("results"), *(path for path in Path("results").rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        _, observer = run()
        assert len([note for note in observer.notes if "measured before" in note]) == 3
        with pytest.raises(ResultsError, match="cannot write into .*Permission denied.*--out"):
            run(limit=1)
    finally:
        for folder in folders:
            folder.chmod(0o755)


@pytest.mark.parametrize("size", [100, 1500, 4000])
def test_a_full_disk_is_one_line_and_no_loss(kit, size):
    resource = pytest.importorskip("resource")
    run(out="whole")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        with pytest.raises(ResultsError, match="cannot write .*File too large; ") as error:
            run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(error.value)
    run()
    assert list(contents().values()) == list(contents("whole").values())


def test_a_run_that_measures_nothing_is_an_error(kit):
    bench_kit.write_suite(Path("tiny.yaml"), tasks=["level"])
    Path("broken").mkdir()
    Path("broken/a.wav").write_bytes(b"")
    Path("broken/b.wav").write_text("hello")
    for _ in range(2):  # also where that was measured before
        with pytest.raises(
            AudiotokError, match="2 clips has a value in any column, first a: "
        ) as e:
            run("mulaw", "broken")
        assert "\n" not in str(e.value)
