from __future__ import annotations

import csv
import io
import json
import subprocess
import sys

import pandas
import pytest
from support.result_kit import whole

from audiotok.errors import ResultsError
from audiotok.report import leaderboard
from audiotok.results import results
from audiotok.system import names


def score(mean, task="quality", failed=0, better=True):
    return {
        "mean": mean, "ci95": None if mean is None else [mean - 1, mean + 1], "n": 4,
        "failed": failed, "unit": "dB", "higher_is_better": better, "digits": 1,
        "description": "how good", "task": task,
    }  # fmt: skip


def put(
    folder, name, role, mean, limit=None, tasks=("quality",), failed=0, version=1, licence=None
):
    setting = f"smoke-v{version}/clips-0a0b" + (f"-first{limit}" if limit else "")
    path = folder / setting / names.part(name)
    path.mkdir(parents=True)
    codec = {"name": name, "role": role, "family": name}
    if role != "ceiling":
        codec |= {"bitrate": 900.0, "token_rate": 75.0, "training_data": ["A|B"]}
    if licence:
        codec["licence_weights"] = licence
    failures = [{"clip": "c", "stage": "encode", "message": "loud"}] * failed
    rows = pandas.DataFrame({"codec": [name], "clip": ["c"]})
    results.write_rows(path / "times.parquet", rows)
    suite = {"name": "smoke", "version": version, "tasks": ["quality", "asr"]}
    summary = {
        "codec": codec, "suite": suite,
        "data": {"name": "clips", "sha256": "0a0b" * 16, "clips": 4, "limit": limit},
        "plan": {"tasks": dict.fromkeys(tasks, {"task": 1})},
        "scores": {"goodness": score(mean, failed=failed)},
        "failures": failures, "not_measured": {"asr": "no recogniser"},
        "rows_sha256": results.write_rows(path / "rows.parquet", rows),
    }  # fmt: skip
    times = {} if role == "ceiling" else {"rtf": score(7.0, "speed")}
    summary, run = whole(summary, {"times": times})
    results.write_json(path / "summary.json", summary)
    results.write_json(path / "run.json", run)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "results"
    put(folder, "random", "floor", -3.0)
    put(folder, "opus-6k", "baseline", 5.0)
    put(folder, "zebra", "neural", None, failed=2)
    put(folder, "aardvark:k=1", "neural", 6.25)
    put(folder, "reference", "ceiling", 40.0)
    put(folder, "aardvark:k=1", "neural", 6.0, limit=2)
    return folder


def table(files):
    return list(csv.DictReader(io.StringIO(files["leaderboard.csv"].decode())))


def test_the_board(folder):
    files = leaderboard.build(folder)
    text = files["LEADERBOARD.md"].decode()
    rows = [line.split(" | ")[0].strip("| ") for line in text.splitlines() if line[:2] == "| "]
    names = ["aardvark:k=1 ?", "opus-6k °", "zebra ?", "random (floor)", "reference (ceiling)"]
    assert [row for row in rows if row in names] == [
        "aardvark:k=1 ?", "opus-6k °", "zebra ?", "random (floor)", "reference (ceiling)",
    ]  # fmt: skip
    assert "| zebra ? | 0.75 to 1.5 kbit/s | 0.90 | – |" in text
    assert "| aardvark:k=1 ? | 0.75 to 1.5 kbit/s | 0.90 | **6.2** |" in text
    assert "| codec | band | kbit/s | Goodness, dB ↑ |" in text
    assert "Not shown: 1 partial results" in text
    rows = table(files)
    assert {row["codec"] for row in rows} == {
        "reference", "aardvark:k=1", "opus-6k", "zebra", "random",
    }  # fmt: skip
    missing = next(r for r in rows if r["codec"] == "zebra" and r["column"] == "goodness")
    assert (missing["mean"], missing["failed"]) == ("", "2")


def test_coverage(folder):
    put(folder, "partial", "neural", 3.0, failed=1)
    path = folder / "smoke-v1/clips-0a0b/partial/summary.json"
    content = json.loads(path.read_text())
    content["scores"]["goodness"]["n"] = 2
    results.write_json(path, content)
    rows = table(leaderboard.build(folder))
    row = next(r for r in rows if (r["codec"], r["column"]) == ("partial", "goodness"))
    assert (row["n"], row["failed"], row["not_applicable"]) == ("2", "1", "1")


def test_weights_that_restrict_their_use_are_marked(folder):
    assert "§" not in leaderboard.build(folder)["LEADERBOARD.md"].decode()
    put(folder, "fenced", "neural", 3.0, licence="CC-BY-NC-4.0")
    put(folder, "free", "neural", 3.0, licence="MIT")
    text = leaderboard.build(folder)["LEADERBOARD.md"].decode()
    assert "| fenced § ? |" in text and "| free ? |" in text
    assert text.count("§ the licence of the weights restricts their use, or is unclear.") == 1
    assert "§" not in leaderboard.build(folder)["leaderboard.csv"].decode()


def test_a_codec_has_one_row_with_its_newest_suite(folder):
    put(folder, "aardvark:k=1", "neural", 1.0, version=2)
    files = leaderboard.build(folder)
    lines = files["LEADERBOARD.md"].decode().splitlines()
    (row,) = [line for line in lines if line.startswith("| aardvark:k=1 ?")]
    assert "| 1.0 |" in row and "opus-6k" in "".join(lines)
    means = {r["version"]: r["mean"] for r in table(files)
             if (r["codec"], r["column"]) == ("aardvark:k=1", "goodness")}  # fmt: skip
    assert means == {"1": "6.25", "2": "1.0"}


def test_the_page_is_short_however_many_codecs_there_are(folder, monkeypatch):
    assert leaderboard._LINES == 150
    monkeypatch.setattr(leaderboard, "_LINES", 40)
    for number in range(14):
        put(folder, f"codec{number:03d}", "neural", float(number))
    files = leaderboard.build(folder)
    text = files["LEADERBOARD.md"].decode()
    assert 30 < text.count("\n") <= 40 and "more are in leaderboard.csv" in text
    assert len({row["codec"] for row in table(files)}) == 19


def test_check_sees_every_difference(folder, tmp_path):
    assert len(leaderboard.check(folder, tmp_path)) == 2
    paths = leaderboard.write(folder, tmp_path)
    assert leaderboard.check(folder, tmp_path) == []
    paths[0].write_text(paths[0].read_text().replace("**6.2**", "**6.3**"))
    assert leaderboard.check(folder, tmp_path) == [paths[0]]
    leaderboard.write(folder, tmp_path)
    put(folder, "newcomer", "neural", 9.0)
    assert leaderboard.check(folder, tmp_path) == paths


def test_an_edited_result_is_refused(folder):
    path = next(folder.glob("*/*/zebra/rows.parquet"))
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ResultsError, match="rows.parquet was changed"):
        leaderboard.build(folder)


def test_no_results(tmp_path):
    with pytest.raises(ResultsError, match="audiotok bench"):
        leaderboard.build(tmp_path / "results")
    assert "No codec was measured" in leaderboard.build(tmp_path)["LEADERBOARD.md"].decode()


def test_it_needs_no_torch(folder, tmp_path):
    code = (
        "import sys; from audiotok.report import leaderboard; leaderboard.write(*sys.argv[1:]);"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, folder, tmp_path], check=True)
