from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audiotok.errors import ResultsError
from audiotok.harness.journal import Journal
from audiotok.results.identity import differences
from audiotok.tokens import Tokens

PLAN = {"suite": {"name": "x", "version": 1}, "seed": 0}


def filled(folder, count=3):
    journal = Journal(folder, PLAN)
    for index in range(count):
        journal.append({"index": index, "clip": f"c{index}", "values": {"x": 0.1 * index}})
    journal.close()
    return journal


def test_what_was_appended_is_there_again(tmp_path):
    assert Journal(tmp_path, PLAN).entries == {}
    written = filled(tmp_path)
    again = Journal(tmp_path, PLAN)
    assert again.entries == written.entries
    assert len(again.entries) == 3


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_torn_and_damaged_lines_are_dropped_and_written_anew(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("run")
    journal = filled(folder)
    whole = journal.path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    journal.path.write_bytes(whole[:cut] + data.draw(st.sampled_from([b"", b"\xff\x00", b"{"])))
    torn = Journal(folder, PLAN)
    lines = whole[:cut].count(b"\n")
    assert sorted(torn.entries) == list(range(max(0, lines - 1)))
    for index in range(3):
        if index not in torn.entries:
            torn.append(journal.entries[index])
    torn.close()
    assert journal.path.read_bytes() == whole


def test_a_line_that_is_no_entry_is_dropped(tmp_path):
    journal = filled(tmp_path)
    lines = journal.path.read_bytes().splitlines(keepends=True)
    journal.path.write_bytes(b"".join([*lines[:2], b"[1]\n", *lines[2:]]))
    assert sorted(Journal(tmp_path, PLAN).entries) == [0]


def test_failures_that_may_pass_are_no_entries(tmp_path):
    journal = Journal(tmp_path, PLAN)
    for index, message in enumerate(["MemoryError: ", "ValueError: no level"]):
        failure = {"stage": "score", "message": message}
        journal.append({"index": index, "clip": "x", "values": {}, "failures": [failure]})
    journal.close()
    assert list(Journal(tmp_path, PLAN).entries) == [1]


def test_another_plan_is_refused_with_what_differs(tmp_path):
    journal = filled(tmp_path)
    lines = journal.path.read_bytes().splitlines(keepends=True)
    journal.path.write_bytes(json.dumps(PLAN | {"seed": 1}).encode() + b"\n" + b"".join(lines[1:]))
    with pytest.raises(ResultsError, match=r"another plan \(seed 1 -> 0\): remove"):
        Journal(tmp_path, PLAN)


def test_other_plans_have_other_folders(tmp_path):
    filled(tmp_path)
    other = Journal(tmp_path, PLAN | {"seed": 1})
    assert other.entries == {}
    other.remove()
    assert list(tmp_path.iterdir()) == []


def test_differences_name_the_innermost_key():
    old = {"a": {"b": 1, "c": 2}, "d": "x" * 64}
    new = {"a": {"b": 1, "c": 3}, "e": 5}
    assert differences(old, new) == "a.c 2 -> 3, d xxxxxxxxxxxx… -> None, e None -> 5"


def test_tokens_are_kept_in_the_order_of_clips(tmp_path):
    journal = Journal(tmp_path, PLAN)
    for index in (11, 2):
        codes = torch.full((1, 1, 3), index)
        tokens = Tokens(codes, "test", "f" * 64, 3, 8000, (16,))
        journal.tokens.add(index, tokens.to_bytes())
    stored = journal.tokens
    assert len(stored) == 2
    assert [int(t.codes[0, 0, 0]) for t in stored] == [2, 11]
    assert int(stored[1].codes[0, 0, 0]) == 11


DAMAGED = {
    "nested deeply": b"[" * 100_000 + b"]" * 100_000,
    "a nested entry": b'{"index": 1, "values": ' + b'{"a":' * 9999 + b"1" + b"}" * 10_000,
    "a huge integer": b'{"index": ' + b"9" * 5000 + b"}",
    "no number": b'{"index": 1, "clip": "c1", "values": {"x": NaN}, "failures": []}',
    "infinite": b'{"index": 1, "clip": "c1", "values": {"x": 1e999}, "failures": []}',
    "half a surrogate pair": b'{"index": 1, "clip": "\\ud83d", "values": {}, "failures": []}',
    "no values": b'{"index": 1, "clip": "c1", "failures": []}',
    "values of another kind": b'{"index": 1, "clip": "c1", "values": [1], "failures": []}',
    "a value of another kind": b'{"index": 1, "clip": "c1", "values": {"x": [1]}, "failures": []}',
    "a text for a number": b'{"index": 1, "clip": "c1", "values": {"x": "a"}, "failures": []}',
    "failures of another kind": b'{"index": 1, "clip": "c1", "values": {}, "failures": [1]}',
    "failures without any": b'{"index": 1, "clip": "c1", "values": {}, "failures": null}',
    "another clip": b'{"index": 1, "clip": "c2", "values": {}, "failures": []}',
    "a clip beyond the last": b'{"index": 7, "clip": "c7", "values": {}, "failures": []}',
    "other keys": b'{"index": 1, "clip": "c1", "values": {}, "failures": [], "more": 1}',
}


@pytest.mark.parametrize("line", DAMAGED.values(), ids=DAMAGED)
def test_what_is_no_entry_of_this_run_is_dropped(tmp_path, line):
    journal = filled(tmp_path, 1).path
    whole = journal.read_bytes()
    journal.write_bytes(whole + line + b"\n")
    again = Journal(tmp_path, PLAN, clips=["c0", "c1", "c2"], numbers={"x"})
    again.close()
    assert list(again.entries) == [0]
    assert journal.read_bytes() == whole
