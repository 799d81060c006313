from __future__ import annotations

import os

import pytest

from audiotok.errors import ResultsError
from audiotok.harness import cache
from audiotok.harness.cache import Cache, opened

KEY = {"codec": "x", "sound": "0" * 64}


@pytest.fixture
def notes():
    return []


@pytest.fixture
def kept(tmp_path, notes):
    found = Cache(tmp_path, 1_000_000, notes.append)
    found.put("tokens", KEY, b"some\ncontent", {"seconds_encode": 0.1})
    return found


def files(found: Cache, kind: str = "tokens"):
    return sorted((found.folder / kind).glob("*/*"))


def test_what_was_put_is_found_under_its_key_alone(kept, notes):
    entry = kept.get("tokens", KEY)
    assert (entry.content, entry.about) == (b"some\ncontent", {"seconds_encode": 0.1})
    assert kept.get("tokens", dict(reversed(KEY.items()))) == entry
    assert kept.get("tokens", KEY | {"sound": "1" * 64}) is None
    assert kept.get("waveforms", KEY) is None
    kept.put("tokens", KEY, b"other")
    assert kept.get("tokens", KEY).content == b"other"
    assert notes == []


def flipped(data: bytes) -> bytes:
    return data[:-3] + bytes([data[-3] ^ 1]) + data[-2:]


@pytest.mark.parametrize(
    ("poison", "reason"),
    [
        (flipped, "content was changed"),
        (lambda data: data[:-4], "content was changed or torn"),
        (lambda data: data + b"x", "content was changed"),
        (lambda data: data.replace(b"0.1", b"0.2"), "first line was changed"),
        (lambda data: data.replace(b'"x"', b'"y"'), "first line was changed"),
        (lambda data: data[:40], "first line is not that of an entry"),
        (lambda data: b"", "first line is not that of an entry"),
        (lambda data: b"[]\n", "first line is not that of an entry"),
        (lambda data: b'{"seal": 1}\n', "first line was changed"),
    ],
)
def test_poison_is_noticed_named_and_never_used(kept, notes, poison, reason):
    [path] = files(kept)
    path.write_bytes(poison(path.read_bytes()))
    assert kept.get("tokens", KEY) is None
    assert len(notes) == 1 and reason in notes[0] and str(path) in notes[0]
    assert not path.exists()
    kept.put("tokens", KEY, b"made again")
    assert kept.get("tokens", KEY).content == b"made again"


def test_an_entry_in_the_place_of_another_is_noticed(kept, notes):
    [path] = files(kept)
    kept.put("tokens", KEY | {"codec": "y"}, b"of y")
    [other] = set(files(kept)) - {path}
    path.write_bytes(other.read_bytes())
    assert kept.get("tokens", KEY) is None
    assert "of another key" in notes[0]


def test_waveforms_go_first_and_the_oldest_before(kept, notes):
    for number in range(4):
        kept.put("waveforms", {"clip": number}, bytes(1000))
    for age, path in enumerate(files(kept, "waveforms")):
        os.utime(path, (1_000_000 - age,) * 2)
    oldest_last = files(kept, "waveforms")
    (kept.folder / "waveforms" / "00").mkdir(exist_ok=True)
    left = kept.folder / "waveforms" / "00" / ".audiotok-0123456789abcdef.tmp"
    left.write_bytes(bytes(10))
    os.utime(left, (0, 0))
    kept.limit = 3000
    kept.prune()
    assert set(files(kept, "waveforms")) == set(oldest_last[:2])
    kept.limit = 100
    kept.prune()
    assert files(kept, "waveforms") == [] == files(kept)


def test_files_of_the_user_are_not_pruned(kept):
    name = "ab" + "0" * 62
    names = ["alice/thesis.wav", "ab/notes.txt", f"ab/{name}", "ab/.mine.tmp", "cd/" + name]
    names.append("ab/.0123456789abcdef.tmp")
    for name in names:
        path = kept.folder / "waveforms" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(10_000))
        os.utime(path, (0, 0))
    entry = max(files(kept), key=os.path.getsize).read_bytes()
    (kept.folder / "waveforms" / "ab" / ("cd" + "0" * 62)).write_bytes(entry)  # not its place
    os.symlink(files(kept)[0], kept.folder / "waveforms" / "ab" / ("ab" + "1" * 62))
    before = set(files(kept, "waveforms"))
    kept.limit = 1
    kept.prune()
    assert set(files(kept, "waveforms")) == before and files(kept) == []


def test_it_stays_near_its_limit_by_itself(tmp_path, notes):
    kept = Cache(tmp_path, 10_000, notes.append)
    for number in range(50):
        kept.put("waveforms", {"clip": number}, bytes(1000))
    assert 5_000 < sum(path.stat().st_size for path in files(kept, "waveforms")) < 13_000


def test_what_cannot_be_written_is_said_once(tmp_path, notes):
    (tmp_path / "file").write_text("")
    kept = Cache(tmp_path / "file" / "cache", 1000, notes.append)
    for number in range(3):
        kept.put("tokens", {"clip": number}, b"x")
    assert len(notes) == 1 and "cannot write" in notes[0] and "nothing more is kept" in notes[0]
    assert kept.get("tokens", {"clip": 0}) is None


def test_the_environment_says_where_and_how_much(monkeypatch, tmp_path, notes):
    monkeypatch.setenv("AUDIOTOK_CACHE", str(tmp_path / "mine"))
    monkeypatch.setenv("AUDIOTOK_CACHE_BYTES", "0")
    kept = opened(notes.append)
    kept.put("tokens", KEY, b"x")
    assert kept.folder == tmp_path / "mine" and not kept.folder.exists()
    monkeypatch.delenv("AUDIOTOK_CACHE")
    monkeypatch.delenv("AUDIOTOK_CACHE_BYTES")
    monkeypatch.setenv("AUDIOTOK_HOME", str(tmp_path))
    assert (opened(print).folder, opened(print).limit) == (tmp_path / "bench", cache.BYTES)
    monkeypatch.setenv("AUDIOTOK_CACHE_BYTES", "10G")
    with pytest.raises(ResultsError, match="AUDIOTOK_CACHE_BYTES is '10G': expected a number"):
        opened(print)


def test_it_protects_from_accidents_alone_and_says_so(kept, notes):
    """An entry with hashes that fit is believed, whoever wrote it: the documentation says so."""
    kept.put("scores", KEY, b"[{}, []]")
    assert kept.get("scores", KEY).content == b"[{}, []]" and not notes
    assert "protect against accidents only" in cache.__doc__
