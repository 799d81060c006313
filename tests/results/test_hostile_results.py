"""Hostile results: validate names what is wrong, every other reader gives its work or one line."""

import contextlib
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
from support import hostile_results
from support.hostile_results import folder_of, readers, survives

from audiotok.errors import ResultsError
from audiotok.report import leaderboard
from audiotok.results import results
from audiotok.results.schema import MAX_BYTES


@pytest.fixture(scope="module")
def sound_results(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    hostile_results.write(root)
    return root


@pytest.fixture
def root(sound_results, tmp_path):
    shutil.copytree(sound_results, tmp_path / "results")
    return tmp_path / "results"


def test_a_column_that_only_some_summaries_have(root):
    """Its rows are there, so the ranking asked for a mean that is not."""
    file = folder_of(root) / "summary.json"
    content = json.loads(file.read_bytes())
    del content["scores"]["mel_distance"]
    results.write_json(file, content)
    for read in readers():
        with contextlib.suppress(ResultsError):  # any other exception fails
            read(root)


def test_the_results_are_right_before(root):
    assert survives(root) == []


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"[]", b"3", b"null", b"[" * 100_000, b'{"a":' * 150 + b"1" + b"}" * 150,
        b"\xff\xfe", b'{"schema": NaN}', b'{"schema": ' + b"9" * 5_000 + b"}", b'"\\ud800"',
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["summary.json", "run.json"])
def test_bytes_that_are_no_result(root, name, raw):
    (folder_of(root) / name).write_bytes(raw)
    assert any(name in line for line in survives(root))
    with pytest.raises(ResultsError, match=f"one/{name}"):
        leaderboard.build(root)


@pytest.mark.parametrize("name", ["summary.json", "run.json", "rows.parquet", "times.parquet"])
def test_files_that_are_none(root, name):
    file = folder_of(root) / name
    size = file.stat().st_size
    with open(file, "r+b") as opened:
        opened.truncate(MAX_BYTES * 4)  # sparse
    assert survives(root)
    os.truncate(file, size // 2)
    assert survives(root)
    file.unlink()
    os.mkfifo(file)
    assert survives(root)
    file.unlink()
    file.mkdir()
    assert survives(root)


def rows_changed(root: Path, change, name="rows.parquet") -> list[str]:
    file = folder_of(root) / name
    frame = pd.read_parquet(file)
    changed = change(frame)
    changed = frame if changed is None else changed
    if isinstance(changed, pd.DataFrame):
        changed = pyarrow.Table.from_pandas(changed, preserve_index=False)
    pyarrow.parquet.write_table(changed, file)
    return survives(root)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f.drop(columns="clip"), "has no column clip"),
        (lambda f: f.drop(columns="codec"), "has no column codec"),
        (lambda f: f.assign(clip=[1, 2, 3]), "the column clip is of int64, expected strings"),
        (lambda f: f.assign(codec=[1.0] * 3), "the column codec is of double, expected strings"),
        (lambda f: f.assign(clip=["a", "a", "b"]), "the clip a is there twice"),
        (lambda f: f.assign(clip=["a", None, "b"]), "a row has no codec or no clip"),
        (lambda f: f.assign(pesq=["a", "b", "c"]), "the column pesq is of .*, expected float64"),
        (lambda f: f.assign(pesq=[1, 2, 3]), "the column pesq is of int64, expected float64"),
        (lambda f: f.assign(pesq=[True] * 3), "the column pesq is of bool, expected float64"),
        (lambda f: f.assign(pesq=[[1.0]] * 3), "the column pesq is of list"),
        (lambda f: f.assign(pesq=[np.inf, 1, 1]), "pesq has an infinite number"),
        (lambda f: f.assign(pesq=[np.nan] * 3), "rows.parquet was changed"),
        (lambda f: f.assign(transcript=["a", "b", None]), "rows.parquet was changed"),
        (lambda f: f.assign(transcript=[b"a"] * 3), "the column transcript is of binary"),
        (lambda f: f.iloc[:0], "0 rows of 0 clips, expected 3"),
        (lambda f: f.rename(columns={"pesq": "a\nb\ud7ff\x1b"}), "rows.parquet was changed"),
        (
            lambda f: pyarrow.table([f["clip"], f["codec"], f["clip"]], ["clip", "codec", "clip"]),
            "two columns of one name",
        ),
        (lambda f: f.assign(pesq=[1e308, -1e308, 1e308]), "rows.parquet was changed"),
    ],
)
def test_changed_rows(root, change, says):
    lines = rows_changed(root, change)
    assert any(re.search(says, line) for line in lines), lines


def test_committed_results_pass(monkeypatch):
    """A few of them; `audiotok validate results` reads all."""
    folders = sorted((Path(__file__).parents[2] / "results").glob("*/*/reference"))
    for folder in folders[:4]:
        result = results.read(folder)
        assert len(result.rows) == len(result.times) == result.summary["data"]["clips"]
