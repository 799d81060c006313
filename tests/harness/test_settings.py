from __future__ import annotations

import inspect
from dataclasses import FrozenInstanceError, fields

import pytest

import audiotok
from audiotok.errors import AudiotokError
from audiotok.harness.settings import BenchSettings, split_names


def test_bench_takes_exactly_the_settings():
    parameters = inspect.signature(audiotok.bench).parameters
    defaults = {field.name: field.default for field in fields(BenchSettings)}
    assert parameters.keys() == defaults.keys()
    for name, parameter in parameters.items():
        if name not in ("tokenizer",):
            assert parameter.default == defaults[name], name
    text = inspect.getdoc(BenchSettings)
    assert all(f"{name}" in text for name in defaults)


def test_they_are_one_frozen_object():
    settings = BenchSettings(tokenizer="a, b:x=1,y=2,c", tasks=["x", "y", "x"])
    assert settings.tokenizer == ("a", "b:x=1,y=2", "c") and settings.tasks == ("x", "y")
    assert settings == BenchSettings(tokenizer=["a", "b:x=1,y=2", "c"], tasks=("x", "y"))
    with pytest.raises(FrozenInstanceError):
        settings.limit = 3
    assert split_names("a,,b") == ["a", "b"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"limit": 0}, "--limit 0: expected 1 or more"),
        ({"workers": -1}, "--workers -1: expected 0 or more"),
        ({"reuse": "all"}, "one of only-missing, only-cache, fresh, not 'all'"),
        ({"executor": "slurm"}, "one of local, ray"),
        ({"address": "auto"}, "for ray alone"),
        ({"tokenizer": ["a", "b"], "checkpoint": "x"}, "one codec, but 2"),
        ({"tokenizer": ","}, "no codec is named"),
    ],
)
def test_what_contradicts_is_one_line(changes, message):
    with pytest.raises(AudiotokError, match=message) as error:
        BenchSettings(**{"tokenizer": "a"} | changes)
    assert "\n" not in str(error.value)
