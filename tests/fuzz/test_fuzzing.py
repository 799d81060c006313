"""The fuzzer itself: what no reader may do ends it."""

import pytest
from support import fuzzing

from audiotok.errors import AudiotokError

GOOD = bytes(100)


def raises(error):
    def read(path):
        if path.read_bytes() != GOOD:
            raise error

    return read


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ValueError("no"), "ValueError: no"),
        (AudiotokError("a\nb"), "more than one line"),
        (AudiotokError("a" * 5_000), "5000 characters"),
    ],
)
def test_wrong_errors_are_noticed(tmp_path, error, says):
    with pytest.raises(AssertionError, match=says):
        fuzzing.fuzz(tmp_path / "a", [GOOD], raises(error))
    assert (tmp_path / "a.failed").exists()


def test_what_takes_too_long_is_noticed(tmp_path, monkeypatch):
    def read(path):
        while path.read_bytes() != GOOD:
            pass

    monkeypatch.setattr(fuzzing, "MOST_SECONDS", 0.1)
    with pytest.raises(AssertionError, match="(it took|stopped after) 0"):
        fuzzing.fuzz(tmp_path / "a", [GOOD], read)


def test_what_takes_too_much_memory_is_noticed(tmp_path, monkeypatch):
    def read(path):
        bytearray(2**28 if path.read_bytes() != GOOD else 1)

    monkeypatch.setattr(fuzzing, "MOST_BYTES", 2**20)
    monkeypatch.setattr(fuzzing, "_peak", iter((0, 2**21)).__next__)
    with pytest.raises(AssertionError, match="2097152 bytes of memory"):
        fuzzing.fuzz(tmp_path / "a", [GOOD], read)


def test_what_is_read_as_something_else_is_noticed(tmp_path):
    with pytest.raises(AssertionError, match="read as something else"):
        fuzzing.fuzz(tmp_path / "a", [GOOD], lambda path: path.read_bytes(), exact=True)
    counts = fuzzing.fuzz(tmp_path / "a", [GOOD], lambda path: path.read_bytes())
    assert counts["other"] == counts["tried"] - counts["same"] > 0
