from __future__ import annotations

import json
import shutil

import pytest
from support.result_kit import put, spread

from audiotok import tasks
from audiotok.errors import ResultsError
from audiotok.harness import harness, summary
from audiotok.harness.settings import BenchSettings
from audiotok.results import results
from audiotok.results.validating import validate

WORDS = [float(3 + n % 5) for n in range(40)]
RATES = [float(n % 4) / 4 for n in range(40)]


@pytest.fixture
def one(tmp_path):
    rows = {"pesq": spread(2.3456), "stoi": spread(0.8, width=0.01), "wer": RATES, "words": WORDS}
    return put(tmp_path, "one", rows)


def errors(root):
    return [str(finding) for finding in validate(root)[1] if finding.error]


def warnings(root):
    return [str(finding) for finding in validate(root)[1] if not finding.error]


def test_what_was_written_is_valid(one, tmp_path):
    assert validate(tmp_path) == (1, [])


def test_an_old_result_still_loads(tmp_path):
    """Files of the first release had no hash of the summary."""
    folder = put(tmp_path, "old", {"pesq": spread(2)}, seal=False)
    assert "summary_sha256" not in json.loads((folder / "run.json").read_text())
    assert results.read(folder).scores["pesq"]["n"] == 40
    assert validate(tmp_path) == (1, [])


def edited(folder, column, **score):
    """Changes a score in a summary, and seals it again."""
    result = results.read(folder)
    result.summary["scores"][column] |= score
    results.write_json(folder / "summary.json", result.summary)
    run = result.run | {"summary_sha256": results.content_sha256(result.summary)}
    results.write_json(folder / "run.json", run)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": 40}, "pesq: n is 40, but 38 rows have a value"),
        ({"n": 40}, "pesq: n 40, failed 2, of 40 clips"),
        ({"failed": 0}, "pesq: 0 clips failed, but the failures are of 2"),
        ({"failed": 1}, "pesq: 1 clips failed, but the failures are of 2"),
        ({"n": 0}, "but n is 0"),
    ],
)
def test_counts_that_are_not_those_of_the_rows(tmp_path, change, message):
    folder = put(tmp_path, "one", {"pesq": [float("nan")] * 2 + spread(2.3456, 38)})
    assert validate(tmp_path) == (1, [])
    edited(folder, "pesq", **change)
    assert any(message in text for text in errors(tmp_path))


def test_the_clips_of_a_number_without_values_of_clips(tmp_path):
    """Phones were found in 3 of 5 clips, so phone_share is of 3."""
    names = ("phone_bits", "phone_chance", "phone_entropy", "phone_frames")
    values = {
        name: [value] * 3 + [None] * 2 for name, value in zip(names, (1, 0.5, 3, 9), strict=True)
    }
    task = tasks.get("token_information")
    entries = [
        {"clip": str(i), "failures": [], "values": {k: v[i] for k, v in values.items() if v[i]}}
        for i in range(5)
    ]
    failure = {"stage": "conclude", "message": "", "task": task.name}
    entries[4]["failures"] = [failure | {"column": c} for c in ("phone_share", "phone_bits")]
    scores = summary.scores(entries, [task], [], 0)
    assert (scores["phone_share"]["n"], scores["phone_share"]["failed"]) == (3, 1)
    assert (scores["phone_bits"]["n"], scores["phone_frames"]["failed"]) == (3, 0)
    assert (scores["speaker_share"]["n"], scores["speaker_share"]["mean"]) == (0, None)


@pytest.mark.parametrize("seal", [True, False])
@pytest.mark.parametrize("column", ["pesq", "wer"])
def test_one_digit_edited(tmp_path, column, seal):
    folder = put(tmp_path, "one", {"pesq": spread(2.3456), "wer": RATES, "words": WORDS}, seal=seal)
    path = folder / "summary.json"
    content = json.loads(path.read_text())
    number = f'"mean": {content["scores"][column]["mean"]}'
    digit = str((int(number[-1]) + 1) % 10)
    path.write_text(path.read_text().replace(number, number[:-1] + digit))
    messages = errors(tmp_path)
    assert any(f"{column}: " in text and "the rows" in text for text in messages)
    assert any("summary.json was changed" in text for text in messages) == seal


def test_a_digit_anywhere_in_the_summary_breaks_its_seal(one, tmp_path):
    path = one / "summary.json"
    path.write_text(path.read_text().replace('"python": "3.11.7"', '"python": "3.11.8"'))
    assert len(errors(tmp_path)) == 1 and "summary.json was changed" in errors(tmp_path)[0]


def test_rows_of_another_hash(one, tmp_path):
    frame = results.read(one).rows
    frame.loc[3, "stoi"] += 1e-3
    results.write_rows(one / "rows.parquet", frame)
    messages = errors(tmp_path)
    assert any("rows.parquet was changed: its sha256 is" in text for text in messages)
    assert any("stoi: mean" in text for text in messages)


@pytest.mark.parametrize("name", ["rows.parquet", "summary.json", "run.json", "times.parquet"])
def test_a_file_that_is_missing_or_torn(one, tmp_path, name):
    whole = (one / name).read_bytes()
    (one / name).write_bytes(whole[: len(whole) // 2])
    assert any(f"{name}" in text and "cannot be read" in text for text in errors(tmp_path))
    (one / name).unlink()
    assert errors(tmp_path) == [
        f"error: {one}: {name} missing: restore the folder or measure again"
    ]


def test_schema(one, tmp_path):
    path = one / "summary.json"
    content = json.loads(path.read_text())
    for change, message in (
        ({"schema": 2}, "is of schema 2, this audiotok reads 1"),
        ({"codec": {"name": "one", "role": "best"}}, "codec.role: Input should be 'ceiling'"),
        ({"scores": {"pesq": {"mean": "high"}}}, "scores.pesq.mean: "),
        ({"data": content["data"] | {"clips": 0}}, "data.clips: "),
    ):
        results.write_json(path, content | change)
        assert any(message in text for text in errors(tmp_path)), (message, errors(tmp_path))
    del content["packages"]
    results.write_json(path, content)
    assert any("packages: Field required" in text for text in errors(tmp_path))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"stoi": [1.5, 0.9]}, "stoi: 1.5 is out of its range, -1 to 1"),
        ({"pesq": [0.0, -0.6]}, "pesq: -0.6 is out of its range, -0.5 to 5"),
        ({"wer": [-0.1, 0.2], "words": [2.0, 2.0]}, "wer: -0.1 is out of its range, 0 to inf"),
        ({"pairs_speaker": [0.5, 1.5]}, "pairs_speaker: 1.5 is out of its range, 0 to 1"),
        ({"mel_distance": [float("inf"), 2.0]}, "mel_distance has an infinite number"),
    ],
)
def test_ranges(tmp_path, rows, message):
    put(tmp_path, "one", rows)
    assert any(message in text for text in errors(tmp_path)), errors(tmp_path)


def test_rounding_is_no_violation(tmp_path):
    put(tmp_path, "one", {"stoi": [1.0000001, 1.0]})
    assert errors(tmp_path) == []


def test_a_folder_moved_or_renamed(one, tmp_path):
    shutil.copytree(one, one.with_name("two"))
    assert any("holds one: expected a folder one" in text for text in errors(tmp_path))
    shutil.rmtree(one.with_name("two"))
    other = tmp_path / "smoke-v2/clips-0a0b0a0b/one"
    shutil.copytree(one, other)
    assert any("belongs into smoke-v1/clips-0a0b0a0b" in text for text in errors(tmp_path))


def test_mixed_versions_name_both(one, tmp_path):
    put(tmp_path, "two", {"pesq": spread(2)}, packages={"torch": "2.11.0+cpu", "pesq": "0.0.4"})
    assert errors(tmp_path) == []  # a build of the same version
    put(tmp_path, "two", {"pesq": spread(2)}, packages={"torch": "2.12.0"})
    (text,) = errors(tmp_path)
    assert "one and " in text and "two are mixed: torch is 2.11.0 in the one and 2.12.0" in text
    put(tmp_path, "two", {"pesq": spread(2)}, versions={"task": 7})
    now = tasks.get("reconstruction").version
    assert f"reconstruction (task) is v{now} in the one and v7 in the other" in errors(tmp_path)[0]


def test_provenance_and_unfinished_runs_are_warnings(one, tmp_path):
    put(tmp_path, "dirty", {"pesq": spread(2)}, git={"commit": "abc", "dirty": True})
    folder = put(tmp_path, "wheel", {"pesq": spread(2)})
    run = json.loads((folder / "run.json").read_text()) | {"git": None}
    results.write_json(folder / "run.json", run)
    (one.with_name("later") / "run-0123").mkdir(parents=True)
    messages = warnings(tmp_path)
    assert errors(tmp_path) == [] and len(messages) == 3
    assert any("dirty: measured with changes to commit abc" in text for text in messages)
    assert any("wheel: which commit measured it is not known" in text for text in messages)
    assert any("later: a run that is not finished" in text for text in messages)


def test_one_network_under_two_names(one, tmp_path):
    for name in ("x", "y"):
        folder = put(tmp_path, name, {"pesq": spread(2)}, network_sha256="ab", seal=False)
        content = json.loads((folder / "summary.json").read_text())
        content["plan"]["codec"]["network_sha256"] = "ab"
        results.write_json(folder / "summary.json", content)
    assert any("x and y are one network" in text for text in warnings(tmp_path))


def test_what_is_no_folder_of_results(tmp_path):
    with pytest.raises(ResultsError, match="is not a folder"):
        validate(tmp_path / "nowhere")
    with pytest.raises(ResultsError, match="holds no results: expected what"):
        validate(tmp_path)


def test_what_bench_writes_is_valid(tmp_path, monkeypatch):
    from support import bench_kit

    bench_kit.install(monkeypatch.setattr)
    clips = bench_kit.write_clips(tmp_path / "clips", ["a", "b", "c-peakless"])
    table = "audio\tspeaker\tsession\na.wav\tanna\t\nb.wav\tben\t\nc-peakless.wav\t\tmonday\n"
    (clips / "manifest.tsv").write_text(table)
    suite = bench_kit.write_suite(tmp_path / "tiny.yaml")
    out = tmp_path / "results"
    about = {"data": clips, "suite": suite, "out": out, "workers": 0}
    harness.run(BenchSettings(tokenizer="resample-16k", **about))
    count, findings = validate(out)
    assert count == 3 and [str(f) for f in findings if f.error] == []
    run = json.loads(next(out.glob("*/*/resample-16k/run.json")).read_text())
    assert len(run["summary_sha256"]) == 64
    result = results.read(next(out.glob("*/*/resample-16k")))
    assert list(result.rows.columns[:4]) == ["codec", "clip", "speaker", "session"]
    for rows in (result.rows, result.times):
        assert list(rows["speaker"][:2]) == ["anna", "ben"] and rows["speaker"].isna()[2]
    assert result.scores["level_error"]["interval"] == "t over 2 speakers and 1 session"
    assert result.scores["peak_error"]["interval"] == "t over 2 speakers"
    assert result.scores["rtf_encode"]["interval"] == "t over 2 speakers and 1 session"
