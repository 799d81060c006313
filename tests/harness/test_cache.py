from __future__ import annotations

import os

import pytest

from audiotok.errors import ResultsError
from audiotok.harness import cache
from audiotok.harness.cache import Cache, open_cache

KEY = {"codec": "x", "sound": "0" * 64}


@pytest.fixture
def notes():
    return []


@pytest.fixture
def store(tmp_path, notes):
    store = Cache(tmp_path, 1_000_000, notes.append)
    store.put("tokens", KEY, b"some\ncontent", {"seconds_encode": 0.1})
    return store


def files(store: Cache, kind: str = "tokens"):
    return sorted((store.folder / kind).glob("*/*"))


def test_what_was_put_is_found_under_its_key_alone(store, notes):
    entry = store.get("tokens", KEY)
    assert (entry.content, entry.about) == (b"some\ncontent", {"seconds_encode": 0.1})
    assert store.get("tokens", dict(reversed(KEY.items()))) == entry
    assert store.get("tokens", KEY | {"sound": "1" * 64}) is None
    assert store.get("waveforms", KEY) is None
    store.put("tokens", KEY, b"other")
    assert store.get("tokens", KEY).content == b"other"
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
def test_poison_is_noticed_named_and_never_used(store, notes, poison, reason):
    [path] = files(store)
    path.write_bytes(poison(path.read_bytes()))
    assert store.get("tokens", KEY) is None
    assert len(notes) == 1 and reason in notes[0] and str(path) in notes[0]
    assert not path.exists()
    store.put("tokens", KEY, b"made again")
    assert store.get("tokens", KEY).content == b"made again"


def test_an_entry_in_the_place_of_another_is_noticed(store, notes):
    [path] = files(store)
    store.put("tokens", KEY | {"codec": "y"}, b"of y")
    [other] = set(files(store)) - {path}
    path.write_bytes(other.read_bytes())
    assert store.get("tokens", KEY) is None
    assert "has another key" in notes[0]


def test_waveforms_go_first_and_the_oldest_before(store, notes):
    for number in range(4):
        store.put("waveforms", {"clip": number}, bytes(1000))
    for age, path in enumerate(files(store, "waveforms")):
        os.utime(path, (1_000_000 - age,) * 2)
    oldest_last = files(store, "waveforms")
    (store.folder / "waveforms" / "00").mkdir(exist_ok=True)
    left = store.folder / "waveforms" / "00" / ".audiotok-0123456789abcdef.tmp"
    left.write_bytes(bytes(10))
    os.utime(left, (0, 0))
    store.limit = 3000
    store.prune()
    assert set(files(store, "waveforms")) == set(oldest_last[:2])
    store.limit = 100
    store.prune()
    assert files(store, "waveforms") == [] == files(store)


def test_files_of_the_user_are_not_pruned(store):
    name = "ab" + "0" * 62
    names = ["alice/thesis.wav", "ab/notes.txt", f"ab/{name}", "ab/.mine.tmp", "cd/" + name]
    names.append("ab/.0123456789abcdef.tmp")
    for name in names:
        path = store.folder / "waveforms" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(10_000))
        os.utime(path, (0, 0))
    entry = max(files(store), key=os.path.getsize).read_bytes()
    (store.folder / "waveforms" / "ab" / ("cd" + "0" * 62)).write_bytes(entry)  # not its place
    os.symlink(files(store)[0], store.folder / "waveforms" / "ab" / ("ab" + "1" * 62))
    before = set(files(store, "waveforms"))
    store.limit = 1
    store.prune()
    assert set(files(store, "waveforms")) == before and files(store) == []


def test_it_stays_near_its_limit_by_itself(tmp_path, notes):
    store = Cache(tmp_path, 10_000, notes.append)
    for number in range(50):
        store.put("waveforms", {"clip": number}, bytes(1000))
    assert 5_000 < sum(path.stat().st_size for path in files(store, "waveforms")) < 13_000


def test_what_cannot_be_written_is_said_once(tmp_path, notes):
    (tmp_path / "file").write_text("")
    store = Cache(tmp_path / "file" / "cache", 1000, notes.append)
    for number in range(3):
        store.put("tokens", {"clip": number}, b"x")
    assert len(notes) == 1 and "cannot write" in notes[0] and "nothing more is cached" in notes[0]
    assert store.get("tokens", {"clip": 0}) is None


def test_the_environment_says_where_and_how_much(monkeypatch, tmp_path, notes):
    monkeypatch.setenv("AUDIOTOK_CACHE", str(tmp_path / "mine"))
    monkeypatch.setenv("AUDIOTOK_CACHE_BYTES", "0")
    store = open_cache(notes.append)
    store.put("tokens", KEY, b"x")
    assert store.folder == tmp_path / "mine" and not store.folder.exists()
    monkeypatch.delenv("AUDIOTOK_CACHE")
    monkeypatch.delenv("AUDIOTOK_CACHE_BYTES")
    monkeypatch.setenv("AUDIOTOK_HOME", str(tmp_path))
    assert (open_cache(print).folder, open_cache(print).limit) == (tmp_path / "bench", cache.BYTES)
    monkeypatch.setenv("AUDIOTOK_CACHE_BYTES", "10G")
    with pytest.raises(ResultsError, match="AUDIOTOK_CACHE_BYTES is '10G': expected a number"):
        open_cache(print)


def test_it_protects_from_accidents_alone_and_says_so(store, notes):
    """An entry with hashes that fit is believed, whoever wrote it: the documentation says so."""
    store.put("scores", KEY, b"[{}, []]")
    assert store.get("scores", KEY).content == b"[{}, []]" and not notes
    assert "protect against accidents only" in cache.__doc__
