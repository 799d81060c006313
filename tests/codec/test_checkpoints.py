"""Finding, verifying, reading, loading and writing weights. The Hub is played by a folder."""

import hashlib
import shutil

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError
from safetensors import safe_open
from support import tiny_codec

from audiotok.codec import Weights, checkpoints
from audiotok.errors import CheckpointError

STATE = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(1)}


def card(**weights):
    return tiny_codec.Tiny.CARDS[0].model_copy(update={"weights": Weights(**weights)})


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A folder hub/<repository>/<revision>/<file> instead of the Hub; counts the downloads."""
    monkeypatch.setenv("AUDIOTOK_HOME", str(tmp_path / "home"))
    folder = tmp_path / "hub" / "some/one" / "v1"
    folder.mkdir(parents=True)
    checkpoints.save(folder / "w.safetensors", STATE, {})
    downloads = []

    def download(repository, file, revision=None, local_files_only=False):
        downloads.append(file)
        source = tmp_path / "hub" / repository / (revision or "main") / file
        if not source.is_file():
            raise LocalEntryNotFoundError("the Hub cannot be reached:\nmany\nlines")
        return shutil.copy(source, tmp_path / "cached")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    download.file = folder / "w.safetensors"
    download.downloads = downloads
    return download


def online(**more):
    return card(repository="some/one", file="w.safetensors", revision="v1", **more)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def refuses(message, call, *args):
    with pytest.raises(CheckpointError, match=message) as caught:
        call(*args)
    assert "\n" not in str(caught.value)


# --- resolve -------------------------------------------------------------------------------------


def test_downloads_and_verifies(hub):
    size = hub.file.stat().st_size
    path = checkpoints.resolve(online(sha256=digest(hub.file), size=size))
    assert checkpoints.read_state(path)[0]["a"].shape == (2, 3)
    assert hub.downloads == ["w.safetensors"]


def test_refuses_another_file(hub):
    good = digest(hub.file)
    data = bytearray(hub.file.read_bytes())
    data[-1] ^= 1
    hub.file.write_bytes(data)
    refuses(f"has sha256 .*, expected {good}", checkpoints.resolve, online(sha256=good))
    refuses("bytes, expected 7", checkpoints.resolve, online(size=7))


def test_offline_says_which_file_to_put_where(hub, tmp_path):
    missing = card(repository="some/one", file="sub/w.ckpt", revision="v1", size=1_750_000_000)
    place = tmp_path / "home" / "tiny-a" / "w.ckpt"
    refuses(
        r"tiny-a needs sub/w.ckpt \(1750 MB\), which could not be downloaded \(LocalEntryNotFound"
        r"Error\): get https://huggingface.co/some/one/resolve/v1/sub/w.ckpt and put it at "
        rf"{place}, or give it with --checkpoint",
        checkpoints.resolve,
        missing,
    )
    place.parent.mkdir(parents=True)
    place.write_bytes(b"x")
    assert checkpoints.resolve(missing.model_copy(update={"weights": Weights(
        repository="some/one", file="sub/w.ckpt")})) == place  # fmt: skip
    refuses("has 1 bytes, expected 1750000000", checkpoints.resolve, missing)


@pytest.mark.parametrize("kind", [ConnectionError, TimeoutError, PermissionError, ValueError])
def test_every_way_not_to_reach_the_hub(hub, monkeypatch, kind):
    def fail(*args, **kwargs):
        raise kind("no\nnetwork")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    refuses(rf"could not be downloaded \({kind.__name__}\)", checkpoints.resolve, online())


def test_what_the_hub_s_client_raises_is_an_os_error():
    assert issubclass(RepositoryNotFoundError, OSError)


def test_a_given_file_comes_first(hub, tmp_path):
    path = tmp_path / "mine.ckpt"
    refuses("mine.ckpt is not a file: expected weights", checkpoints.resolve, online(), path)
    path.write_bytes(b"anything")
    assert checkpoints.resolve(online(sha256="0" * 64), path) == path
    assert hub.downloads == []


def test_no_weights():
    assert checkpoints.resolve(tiny_codec.Tiny.CARDS[0]) is None


def test_bundled(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "BUNDLED", tmp_path)
    refuses("w.st is missing, though tiny-a ships", checkpoints.resolve, card(bundled="w.st"))
    (tmp_path / "w.st").write_bytes(b"abc")
    assert checkpoints.resolve(card(bundled="w.st")) == tmp_path / "w.st"
    refuses("has sha256 ba7816bf", checkpoints.resolve, card(bundled="w.st", sha256="0" * 64))


# --- reading, loading, writing -------------------------------------------------------------------


def test_safetensors_round_trip(tmp_path):
    path = tmp_path / "w.safetensors"
    checkpoints.save(path, {"a": STATE["a"].T, "b": STATE["b"]}, {"name": "tiny"})
    state, metadata = checkpoints.read_state(path)
    assert torch.equal(state["a"], STATE["a"].T) and metadata == {"name": "tiny"}
    with safe_open(path, framework="pt") as file:
        assert file.metadata() == {"name": "tiny"}
    first = path.read_bytes()
    checkpoints.save(path, {"b": STATE["b"], "a": STATE["a"].T}, {"name": "tiny"})
    assert path.read_bytes() == first


@pytest.mark.parametrize("legacy", [False, True])
def test_pytorch_checkpoints(tmp_path, legacy):
    path = tmp_path / "w.ckpt"
    torch.save(
        {"state_dict": STATE, "epoch": 3, "hyper_parameters": {"lr": 0.1}},
        path,
        _use_new_zipfile_serialization=not legacy,
    )
    state, metadata = checkpoints.read_state(path)
    assert set(state) == {"a", "b"} and metadata == {}
    torch.save(STATE, path)
    assert set(checkpoints.read_state(path)[0]) == {"a", "b"}


def test_files_that_are_no_weights(tmp_path):
    path = tmp_path / "w.ckpt"
    refuses("cannot be read: .*No such file", checkpoints.read_state, path)
    refuses("cannot be read: .*Is a directory", checkpoints.read_state, tmp_path)
    for content in ([1, 2], {"a": 1}, {"state_dict": {"a": "text"}}, STATE["a"]):
        torch.save(content, path)
        refuses("holds no state dict", checkpoints.read_state, path)
    torch.save(STATE, path)
    whole = path.read_bytes()
    for data in (b"", b"x", b"hello world, no weights", whole[: len(whole) // 2], bytes(100)):
        path.write_bytes(data)
        refuses("is refused: it is damaged", checkpoints.read_state, path)
    for data in (b"\xff" * 8 + b"{}", b"\x09" + bytes(7) + b'{"a": 1}', b"\x00" * 8 + b"{"):
        path.write_bytes(data)
        refuses("cannot be read", checkpoints.read_state, path)


def test_load_strict():
    module = torch.nn.Linear(3, 2)
    checkpoints.load_strict(module, {"weight": STATE["a"], "bias": torch.zeros(2)}, "w")
    assert torch.equal(module.weight, STATE["a"])
    wrong = {
        "weight": torch.zeros(3, 3),
        "extra": torch.zeros(1),
        **{f"x{i}": STATE["b"] for i in range(9)},
    }
    refuses(
        r"w does not fit Linear: 1 missing: bias; 10 extra: extra, x0, x1, ...; "
        r"1 misshapen: weight \(3, 3\) instead of \(2, 3\)",
        checkpoints.load_strict,
        module,
        wrong,
        "w",
    )


def test_save_refuses_places(tmp_path):
    refuses("cannot write", checkpoints.save, tmp_path / "no" / "w", STATE, {})
