"""What tasks are ranked by: written out, few, and of quality."""

from __future__ import annotations

import re

import pytest

from audiotok import tasks

COSTS = re.compile(r"bit|byte|(?<!sepa)rate|macs|parameters|seconds|rtf|latency|_ms|memory|entropy")
PARTS = re.compile(r"_seed_|_diverged|_16k|_aligned")


@pytest.mark.parametrize("name", tasks.names())
def test_what_is_read_from_the_source_is_the_attribute(name):
    task = tasks.get(name)
    for attribute in ("ranked", "quality", "costs"):
        assert tasks.declared(name, attribute) == getattr(task, attribute)
    assert "ranked" in vars(type(task)), "written out, with its reason in the docstring"
    assert re.search(r"[Rr]anked", type(task).__doc__)


@pytest.mark.parametrize("name", tasks.names())
def test_ranked_columns_are_few_have_a_direction_and_are_no_cost(name):
    task = tasks.get(name)
    columns = {column.name: column for column in task.columns}
    missing = set(task.left_out())
    task.grammar = "a corpus with a grammar has other columns"
    columns |= {column.name: column for column in task.columns}
    assert len(task.ranked) <= 3
    for column in (*task.ranked, *task.quality):
        assert not PARTS.search(column)
        assert not COSTS.search(column) or column.startswith("mel")
        assert column in missing or columns[column].higher_is_better is not None
    for column in task.costs:
        assert columns[column].higher_is_better is not True


def test_tasks_that_a_constant_code_wins_rank_nothing():
    names = ("tokens", "stability", "streaming", "cost", "speed", "streaming_speed", "mos")
    assert all(tasks.declared(name, "ranked") == () for name in (*names, "token_information"))


def test_verification_is_ranked_by_its_error_rate_and_probes_by_one_number():
    assert tasks.declared("probe_verification", "ranked") == ("probe_eer",)
    assert tasks.declared("probe_asr", "ranked") == ("probe_wer",)
    assert tasks.declared("asr", "ranked") == ("wer", "wer_closed")
    assert tasks.declared("speaker", "ranked") == ("speaker_similarity",)


def test_unknown_tasks_rank_nothing():
    assert tasks.declared("no_such_task", "ranked") == ()
    assert tasks.declared("_probe", "ranked") == ()
    assert tasks.declared("asr_whisper:large-v3", "ranked") == ("wer_whisper",)
