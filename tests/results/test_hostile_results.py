"""Hostile results: validate names what is wrong, every other reader gives its work or one line.

The suite runs a few changes, and one reader beside validate after each; AUDIOTOK_FUZZ=N runs N.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import json
import os
import random
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
from support.result_kit import put

from audiotok.errors import AudiotokError, ResultsError
from audiotok.report import hub, leaderboard
from audiotok.results import comparison, published, results, validating
from audiotok.results.schema import MAX_BYTES

ROUNDS = int(os.environ.get("AUDIOTOK_FUZZ", "16"))
ROWS = {"pesq": [1.5, 2.0, 2.5], "mel_distance": [0.1, 0.2, 0.3], "stoi": [0.5, 0.6, 0.7]}
TURN = itertools.count()  # so that readers take turns
CARD = {
    "taxonomy": {"quantizer": "RVQ"}, "licence_weights": "MIT", "training_data": ["LibriSpeech"],
    "bitrate": 900.0, "token_rate": 75.0, "frame_rate": 75.0, "codebook_sizes": [4096],
    "weights": {"repository": "org/name", "revision": None}, "streamable": True, "causal": True,
    "sample_rate_out": 24_000, "verified": "no",
}  # fmt: skip
HOSTILE = [
    None, True, -1, 0, 10**18, 10**400, 1e308, -1e308, float("inf"), float("nan"), "", "x" * 20_000,
    "\ud800", "\0", "../../x", "<script>", [], {}, [[]], ["a"], {"a": {}}, 1.5, [1, 2, 3],
    [None, None], [1e308, -1e308],
]  # fmt: skip


@pytest.fixture(scope="module")
def sound_results(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    put(root, "reference", ROWS, role="ceiling")
    put(root, "one", ROWS, **CARD)
    put(root, "two", {name: [v * 1.1 for v in values] for name, values in ROWS.items()}, **CARD)
    put(root, "random", ROWS, role="floor")
    return root


@pytest.fixture
def root(sound_results, tmp_path):
    shutil.copytree(sound_results, tmp_path / "results")
    return tmp_path / "results"


def folder_of(root: Path) -> Path:
    return next(root.glob("*/*/one"))


def readers():
    found = [
        leaderboard.build,
        lambda root: comparison.compare("one", "two", results=root),
        lambda root: published.beside(root),
        lambda root: results.table(results.read_all(root)),
    ]
    for module, call in (("jinja2", _site), ("huggingface_hub", _card)):
        try:
            __import__(module)
            found.append(call)
        except ImportError:
            pass
    return found


def _site(root):
    from audiotok.report import site

    return site.build(root)


def _card(root):
    return hub.front_matter(root, "one")


def survives(root: Path) -> list[str]:
    """What validate says; the other readers work, or raise one line that names the folder."""
    _, findings = validating.validate(root)
    known = readers()
    for read in known if ROUNDS >= 100 else [known[next(TURN) % len(known)]]:
        try:
            read(root)
        except AudiotokError as error:
            assert "\n" not in str(error) and len(str(error)) < 1_000 and str(error).isprintable()
    lines = [str(finding) for finding in findings if finding.error]
    assert all("\n" not in line and line.isprintable() and len(line) < 1_000 for line in lines)
    return lines


def places(value, path=()):
    """The paths of all values in nested JSON."""
    yield path
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(item, (*path, key))


def changed(content, path, value, *, remove=False):
    content = copy.deepcopy(content)
    if not path:
        return value
    place = content
    for key in path[:-1]:
        place = place[key]
    if remove:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return content


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


@pytest.mark.parametrize("name", ["summary.json", "run.json"])
def test_changed_values(root, name):
    file, generator = folder_of(root) / name, random.Random(name)
    content = json.loads(file.read_bytes())
    paths = list(places(content))
    for _ in range(ROUNDS):
        path = generator.choice(paths)
        remove = bool(path) and generator.random() < 0.2
        value = generator.choice(HOSTILE)
        file.write_text(json.dumps(changed(content, path, value, remove=remove)))
        lines = survives(root)
        assert lines or name == "run.json", (path, value, remove)  # the hash at least is another


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
    made = change(frame)
    made = frame if made is None else made
    if isinstance(made, pd.DataFrame):
        made = pyarrow.Table.from_pandas(made, preserve_index=False)
    pyarrow.parquet.write_table(made, file)
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


def test_flipped_bytes_of_rows(root):
    file, generator = folder_of(root) / "rows.parquet", random.Random(0)
    whole = file.read_bytes()
    for _ in range(ROUNDS // 2):
        torn = bytearray(whole)
        for _ in range(generator.choice((1, 1, 3, 20))):
            torn[generator.randrange(len(torn))] = generator.randrange(256)
        if torn != whole:
            file.write_bytes(torn)
            assert survives(root)


def test_committed_results_pass(monkeypatch):
    """A few of them; `audiotok validate results` reads all."""
    found = sorted((Path(__file__).parents[2] / "results").glob("*/*/reference"))
    for folder in found[:4]:
        result = results.read(folder)
        assert len(result.rows) == len(result.times) == result.summary["data"]["clips"]
