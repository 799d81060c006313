from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from support.result_kit import SHA256, put

from audiotok.errors import ResultsError
from audiotok.results import results


def test_json_is_sorted_rounded_and_ends_with_a_newline():
    content = {"b": 1 / 3, "a": [np.float32(0.1), np.int64(3), float("nan")], "ü": "é"}
    text = results.to_json(content).decode()
    assert text == '{\n "a": [\n  0.1,\n  3,\n  null\n ],\n "b": 0.333333,\n "ü": "é"\n}\n'
    assert results.to_json(json.loads(text)).decode() == text


def test_cells():
    score = {"mean": 0.12345, "ci95": [0.1, 0.2], "n": 6, "clips": 6}
    score |= {"failed": 0, "digits": 2}
    assert results.cell(score) == "0.12"
    assert results.cell(score, interval=True) == "0.12 [0.10, 0.20]"
    assert results.cell(score | {"n": 4, "clips": 6, "failed": 2}) == "0.12 (4 of 6, 2 failed)"
    assert results.cell(score | {"n": 4, "clips": 6}) == "0.12 (4 of 6)"
    missing = score | {"mean": None, "n": 0, "clips": 6}
    assert results.cell(missing | {"failed": 6}) == "– (6 failed)"
    assert results.cell(missing) == results.cell(None) == "–"


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("encodec-24k:codebooks=8,merge=2", "encodec-24k+codebooks=8,merge=2"),
        ("../../etc", "etc++"),
        ("..", "name++"),
        ("a/b\\c d", "a+b+c+d++"),
    ],
)
def test_names_never_leave_their_folder(tmp_path, name, folder):
    path = results.codec_folder(tmp_path, name)
    assert path.parent == tmp_path and path.name.startswith(folder)


def test_settings_that_differ_have_other_folders():
    data = {"name": "clips", "sha256": "0123456789abcdef", "limit": None}
    assert str(results.setting("smoke", 1, data)) == "smoke-v1/clips-01234567"
    part = results.setting("smoke", 1, data | {"limit": 5}, ["asr", "tokens"])
    assert str(part) == "smoke-v1/clips-01234567-first5-asr-tokens"


def test_folders_of_before_are_still_read_and_not_taken_for_others(tmp_path):
    name, data = "a|b", {"name": "Clips", "sha256": SHA256, "limit": None, "clips": 2}
    about = ("smoke", 1, data)
    before = tmp_path / "smoke-v1" / f"Clips-{SHA256[:8]}"
    assert results.setting_folder(tmp_path, *about) != before
    put(tmp_path, "random", {"stoi": [0.1, 0.2]}, data="Clips")
    (folder,) = tmp_path.glob("*/*")
    folder.rename(before)
    assert results.setting_folder(tmp_path, *about) == before
    assert results.setting_folder(tmp_path, "smoke", 1, data | {"name": "clips"}) != before
    (before / "random").rename(before / "a+b")
    assert results.codec_folder(before, name) == before / results.names.part(name)
    summary = json.loads((before / "a+b" / "summary.json").read_text())
    summary["codec"]["name"] = name
    (before / "a+b" / "summary.json").write_text(json.dumps(summary))
    assert results.codec_folder(before, name) == before / "a+b"
    assert results.codec_folder(before, "a+b") != before / "a+b"


def test_two_results_of_one_codec(tmp_path):
    put(tmp_path, "random", {"stoi": [0.1, 0.2]})
    (folder,) = tmp_path.glob("*/*/random")
    shutil.copytree(folder, folder.with_name("other"))
    with pytest.raises(ResultsError, match="other and .*random are both of random: remove one"):
        results.refuse_mixed(results.read_all(tmp_path))


def test_a_result_that_cannot_be_read_is_one_line(tmp_path):
    assert results.read(tmp_path) is None
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "summary.json").write_text("{")
    with pytest.raises(ResultsError, match="cannot be read .* measure again"):
        results.read(tmp_path)
    (tmp_path / "summary.json").write_text('{"schema": 99}')
    with pytest.raises(ResultsError, match="is of schema 99, this audiotok reads 1"):
        results.read(tmp_path)
    with pytest.raises(ResultsError, match="is not a folder"):
        results.read_all(tmp_path / "nowhere")
