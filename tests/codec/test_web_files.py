"""Weights at a plain address: from a server on this machine."""

import hashlib
import http.server
import threading

import pytest
from support import tiny_codec

from audiotok.codec import checkpoints
from audiotok.codec.codec import Weights
from audiotok.errors import CheckpointError

FILES = {"a.bin": b"a" * 3_000_000, "b.bin": b"b"}


def _sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def server(tmp_path, monkeypatch):
    """The address of a server of FILES; `requests` holds the paths that were asked for."""
    monkeypatch.setenv("AUDIOTOK_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)

    class Handler(http.server.BaseHTTPRequestHandler):
        requests = []
        cut = False

        def do_GET(self):  # noqa: N802 (the name that the base class calls)
            self.requests.append(self.path)
            data = FILES.get(self.path.rpartition("/")[2])
            self.send_response(404 if data is None else 200)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write((data or b"")[: 100 if self.cut else None])

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        Handler.address = f"http://127.0.0.1:{running.server_port}/files"
        yield Handler
        running.shutdown()
        thread.join()


def card(server, first=FILES["a.bin"], **more):
    weights = {"url": server.address, "file": "a.bin", "beside": ("b.bin",), **more}
    hashes = {"sha256": _sha256(first), "beside_sha256": (_sha256(FILES["b.bin"]),)}
    update = {"weights": Weights(**hashes, **weights)}
    return tiny_codec.Tiny.CARDS[0].model_copy(update=update)


def test_files_are_downloaded_once(server, tmp_path):
    for _ in range(2):
        path = checkpoints.resolve(card(server))
        assert path.read_bytes() == FILES["a.bin"]
        assert path.with_name("b.bin").read_bytes() == b"b"
    assert path.is_relative_to(tmp_path / "home")
    assert sorted(server.requests) == ["/files/a.bin", "/files/b.bin"]


def test_another_file_is_not_kept(server, tmp_path):
    with pytest.raises(CheckpointError, match="was not kept") as caught:
        checkpoints.resolve(card(server, first=b"another"))
    assert "\n" not in str(caught.value)
    assert not [path for path in (tmp_path / "home").rglob("*") if path.is_file()]


def test_half_a_file_is_not_kept(server, tmp_path):
    server.cut = True
    with pytest.raises(CheckpointError):
        checkpoints.resolve(card(server))
    assert not list((tmp_path / "home").rglob("a.bin"))


def test_a_file_that_is_not_there_says_how_to_get_it(server):
    with pytest.raises(CheckpointError, match=r"\(HTTPError\): get http.*/c.bin and put it at"):
        checkpoints.resolve(card(server, file="c.bin"))


def test_offline_is_respected(server, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match="could not be downloaded"):
        checkpoints.resolve(card(server))
    with pytest.raises(checkpoints.NotFetchedError, match="is not on this machine"):
        checkpoints.resolve(card(server), fetch=False)
    assert not server.requests


def test_a_changed_file_beside_is_refused(server):
    path = checkpoints.resolve(card(server))
    path.with_name("b.bin").write_bytes(b"c")
    with pytest.raises(CheckpointError, match="b.bin has sha256"):
        checkpoints.resolve(card(server))


def test_an_address_without_hashes_is_no_card():
    with pytest.raises(ValueError, match="sha256 of each file"):
        tiny_codec.Tiny.CARDS[0].model_validate(
            tiny_codec.Tiny.CARDS[0].model_dump()
            | {"weights": {"url": "http://x", "file": "a", "beside": ("b",)}}
        )
