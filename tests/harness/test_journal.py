from __future__ import annotations

import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.token_kit import make

from audiotok.errors import ResultsError
from audiotok.harness.journal import Journal, other_runs
from audiotok.results.identity import differences
from audiotok.tokens import Tokens

PLAN = {"suite": {"name": "x", "version": 1}, "seed": 0}


def filled(folder, count=3, tokens=False):
    journal = Journal(folder, PLAN)
    for index in range(count):
        if tokens:
            journal.tokens.add(index, make(num_frames=5 + index).to_bytes())
        journal.append({"index": index, "clip": f"c{index}", "values": {"x": 0.1}, "failures": []})
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
def test_a_damaged_line_costs_its_clip_and_no_other(tmp_path_factory, data):
    """Whatever becomes of a stretch of bytes: the lines that it does not touch are kept."""
    folder = tmp_path_factory.mktemp("run")
    journal = filled(folder)
    whole = journal.path.read_bytes()
    start = data.draw(st.integers(0, len(whole) - 1))
    end = data.draw(st.sampled_from([start, start + 1, start + 9, start + 200, len(whole)]))
    put = data.draw(st.sampled_from([b"", b"\xff\x00", b"{", b"\n", b"[" * 10_000, b"7"]))
    damaged = whole[:start] + put + whole[end:]
    journal.path.write_bytes(damaged)
    originals = whole.splitlines(keepends=True)
    *lines, tail = damaged.split(b"\n")
    lines = [line + b"\n" for line in lines]
    untouched = [n for n, line in enumerate(originals[1:]) if line in lines]
    reopened = Journal(folder, PLAN)
    reopened.close()
    assert reopened.entries == {n: journal.entries[n] for n in untouched}
    assert (reopened.damaged > 0) == (tail != b"" or not set(lines) <= set(originals))
    again = Journal(folder, PLAN)
    for index in set(range(3)) - set(untouched):
        again.append(journal.entries[index])
    again.close()
    assert again.damaged == 0
    assert sorted(journal.path.read_bytes().splitlines()) == sorted(whole.splitlines())


@pytest.mark.parametrize("line", range(4))
def test_no_flipped_bit_is_believed(tmp_path, line):
    """A changed digit of a score is JSON as good as before."""
    journal = filled(tmp_path)
    lines = journal.path.read_bytes().splitlines(keepends=True)
    for at in range(0, len(lines[line]) - 1, 5):
        torn = bytearray(lines[line])
        torn[at] ^= 1
        journal.path.write_bytes(b"".join([*lines[:line], torn, *lines[line + 1 :]]))
        reopened = Journal(tmp_path, PLAN)
        reopened.close()
        assert reopened.damaged == 1
        left = {n: entry for n, entry in journal.entries.items() if n != line - 1}
        assert reopened.entries == left


@pytest.mark.parametrize("damage", ["gone", "cut", "flipped", "folder"])
def test_an_entry_without_its_tokens_is_dropped(tmp_path, damage):
    journal = filled(tmp_path, tokens=True)
    file = journal.tokens.folder / "000000001.atok"
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    if damage == "cut":
        os.truncate(file, 20)
    elif damage == "flipped":
        file.write_bytes(content)
    else:
        file.unlink()
    if damage == "folder":
        file.mkdir()
    reopened = Journal(tmp_path, PLAN)
    assert (sorted(reopened.entries), reopened.damaged) == ([0, 2], 1)


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_file_is_refused_in_one_line(tmp_path, kind):
    journal = filled(tmp_path)
    journal.path.unlink()
    journal.path.mkdir() if kind == "folder" else os.mkfifo(journal.path)
    with pytest.raises(ResultsError, match="cannot write .*journal.jsonl: [^\n]+$"):
        Journal(tmp_path, PLAN)


def test_journals_of_other_plans_that_are_damaged_say_nothing(tmp_path):
    for number, raw in enumerate([b"", b"\xff\n1\n", b"[" * 100_000 + b"\n1\n", b'{"a": 1}\n1\n']):
        other = filled(tmp_path / f"run-{number}")
        other.path.write_bytes(raw)
        other.path.parent.rename(tmp_path / f"run-{number:012x}")
    (tmp_path / "run-aaaaaaaaaaaa" / "journal.jsonl").mkdir(parents=True)
    assert list(other_runs(Journal(tmp_path, PLAN))) == []


def test_a_stopped_run_of_another_plan_is_found(tmp_path):
    filled(tmp_path)
    assert list(other_runs(Journal(tmp_path, PLAN | {"seed": 1}))) == [(PLAN, 3)]


def test_failures_that_may_pass_are_no_entries(tmp_path):
    journal = Journal(tmp_path, PLAN)
    for index, message in enumerate(["MemoryError: ", "ValueError: no level"]):
        failure = {"stage": "score", "message": message}
        journal.append({"index": index, "clip": "x", "values": {}, "failures": [failure]})
    journal.close()
    assert list(Journal(tmp_path, PLAN).entries) == [1]


def test_another_plan_is_refused_with_what_differs(tmp_path):
    """Two plans may share the twelve digits of their hash that name the folder."""
    journal = filled(tmp_path)
    other = Journal(tmp_path, PLAN | {"seed": 1})
    journal.path.write_bytes(other.path.read_bytes())
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
def test_what_is_no_entry_is_dropped(tmp_path, line):
    journal = filled(tmp_path, 1).path
    whole = journal.read_bytes()
    journal.write_bytes(whole + line + b"\n")
    again = Journal(tmp_path, PLAN)
    again.close()
    assert list(again.entries) == [0]
    assert journal.read_bytes() == whole
