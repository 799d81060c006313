"""Recipes and suites that nobody wrote in good faith end in one line, at once."""

import time

import pytest

from audiotok.errors import AudiotokError, RecipeError, ResultsError
from audiotok.harness.suite import load_suite
from audiotok.recogniser import recipe as recognisers
from audiotok.speech_lm import recipe as language_models
from audiotok.system import yaml_files
from audiotok.training import load_recipe

LAUGHS = "x0: &a0 [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"x{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
)
MERGES = "m0: &m0 {a: 1, b: 2, c: 3}\n" + "".join(
    f"m{i}: &m{i} {{<<: [{','.join([f'*m{i - 1}'] * 10)}]}}\n" for i in range(1, 12)
)
TEXTS = [
    "", "null", "[]", "x", "5", "name: x\nfamily: [a]", "name: x\nfamily: wavtokenizer\naxes: [1]",
    "name: x\nfamily: wavtokenizer\naxes: {q: [1]}\nchoices: {q: {a: {}}}",
    'name: "x{"\nfamily: wavtokenizer\naxes: {q: a}\nchoices: {q: {a: {}}}',
    'name: "x{q:99999999999}"\nfamily: wavtokenizer\naxes: {q: a}\nchoices: {q: {a: {}}}',
    "name: x\naxes: {q: a}\nchoices:", "name: x\naxes: {q: a}\nchoices: {q: {a: s}}",
    "name: x\naxes: {q: a}\nchoices: {q: [a]}", "name: 2020-99-99", "steps: " + "9" * 5000,
    "a: " + "[" * 3000 + "]" * 3000, "{" * 3000, LAUGHS, MERGES, "a: &a [*a]", "a: *b",
    "!!python/object/apply:os.system [ls]", "!!python/name:os.system", "? [a]\n: b", "1: 2",
    "? {a: b}\n: c", "a: !!binary x", "a: !!int x", "a: !!timestamp x", "a\0b: c", "\ud800",
    "- a\nb: c", "x: {<<: 5}", "a: !!set {b, c}", "a: .inf", "%YAML 9.9\n---\na", "a: b\n---\nc: d",
]  # fmt: skip


def refused(read, path):
    started = time.process_time()
    with pytest.raises(AudiotokError) as caught:
        read(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 2000
    assert time.process_time() - started < 10


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_texts(tmp_path, text):
    path = tmp_path / "r.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    for read in (load_recipe, language_models.load, recognisers.load, load_suite):
        refused(read, path)


def test_files(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("a: 1\n" + "#" * (yaml_files.BYTES + 1))
    with pytest.raises(RecipeError, match="more than 1048576 bytes"):
        load_recipe(path)
    path.write_bytes(b"\xff\xfe\x00")
    refused(load_recipe, path)
    refused(load_recipe, tmp_path)
    path.write_text(LAUGHS)
    with pytest.raises(ResultsError, match="aliases expand to more than 100000 values"):
        load_suite(path)


def test_aliases_within_bounds(tmp_path):
    (tmp_path / "a.yaml").write_text("a: &x [1, 2]\nb: *x\nc: {<<: {d: 1}}\n")
    read = yaml_files.read(tmp_path / "a.yaml", lambda keys: "{}")
    assert read == {"a": [1, 2], "b": [1, 2], "c": {"d": 1}}
