"""Different names never share a part of a path or an id, and each is safe on every system."""

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audiotok.data import _ids
from audiotok.judges import pretrained
from audiotok.system import names

ODD = st.text(max_size=8) | st.text("aAbB.:@=+|/\\ _-1äÄßſKK한é\u0301\x00\u202e", max_size=6)
LONG = st.builds(lambda a, n, b: a + "x" * n + b, ODD, st.integers(100, 400), ODD)
PAIR = st.tuples(ODD | LONG, ODD | LONG)
SHORT = settings(max_examples=150, deadline=None)

UNSAFE = [
    "", ".", "..", "../../x", "/abs/x", "a/b", "C:\\x", "C:x", "a\\b", "a\0b", "a\nb", "a\tb",
    ".hidden", "-rf", "_x", "a.", "a ", " a", "nul", "NUL.tar", "com1", "Aux", "lpt¹", "x" * 121,
    "한" * 67, "e\u0301", "a\u202eb", "a\ud800", "\u0301a", "a:b", "a*b", "a|b", 5, None, b"a",
]  # fmt: skip


@pytest.mark.parametrize("name", UNSAFE)
def test_what_is_no_name_of_a_file(name):
    assert names.problem(name)


@pytest.mark.parametrize("name", ["a", "A-1_b.c", "你好", "привет", "कि", "é", "6930-75918-0000"])
def test_what_is(name):
    assert names.problem(name) is None


@SHORT
@given(PAIR)
@example(("Foo", "foo"))
@example(("é", "e\u0301"))
@example(("a|b", "a+b"))
@example(("a@0123abcd", "a+0123abcd"))
@example(("a:k=1", "a+k=1"))
@example(("a:merge=1/2", "a:merge=1+2"))
@example(("x" * 120, "x" * 121))
@example(("nul", "NUL"))
@example((names.part("a|b"), "a|b"))
def test_parts_of_paths(pair):
    parts = [names.part(name) for name in pair]
    for part in parts:
        assert names.problem(part, "._-=,+") is None
    if pair[0] != pair[1]:
        assert names.key(parts[0]) != names.key(parts[1])


@SHORT
@given(st.lists((ODD | LONG).map(lambda text: text + ".wav"), max_size=6))
@example(["a.wav", "a.flac", "A.wav"])
@example(["a/b.wav", "a__b.wav"])
@example(["é.wav", "e\u0301.wav"])
def test_ids(paths):
    ids = _ids.derive(paths)
    for one in ids:
        assert names.problem(one) is None
    assert len({names.key(one) for one in ids}) == len(set(paths))


def test_an_id_that_looks_like_the_hash_of_another():
    path = "a b.wav"
    first = _ids.derive([path])[0]
    assert first == "a_b-" + names.digest(path, 8)
    assert len(set(_ids.derive([path, first + ".wav"]))) == 2


@SHORT
@given(PAIR)
@example(("large-v3", "large_v3"))
@example(("a", "A"))
def test_columns_of_models(pair):
    if pair[0] != pair[1]:
        assert pretrained.slug(pair[0]) != pretrained.slug(pair[1])
    assert pretrained.slug("large-v3") == "_large_v3" and pretrained.slug("") == ""


def test_letters_stay_and_names_that_need_no_cleaning_too():
    assert _ids.derive(["你好.wav", "b/世界.flac"]) == ["你好", "b__世界"]
    assert _ids.derive([unicodedata.normalize("NFD", "é.wav")]) == ["é"]
    for name in ("bundled", "fsdd-words", "wavtokenizer-mini", "opus-6k", "x=1,y=2"):
        assert names.part(name) == name
    assert names.part("rvq-small:codebooks=8,merge=2") == "rvq-small+codebooks=8,merge=2"
    assert names.part("lm-spt-mini@ac26cbe9:semantic_only=main") == (
        "lm-spt-mini+ac26cbe9+semantic_only=main"
    )
    assert names.part("hf:org/x") == "hf+org+x++" + names.digest("hf:org/x", 12)


def test_two_names_for_one_file():
    assert names.twice(["a", "b", "A"]) == ("a", "A")
    assert names.twice(["a", "a"]) == ("a", "a")
    assert names.twice(["a", "b"]) is None


@pytest.mark.parametrize(
    "value", ["../x", "a/../../x", "/etc/x", "C:\\x", "\\\\host\\x", "a\\..\\b", "a\0", "a\n"]
)
def test_paths_out_of_a_folder(tmp_path, value):
    with pytest.raises(ValueError):
        names.inside(tmp_path, value)
    assert names.inside(tmp_path, "a/b.wav") == tmp_path / "a" / "b.wav"
