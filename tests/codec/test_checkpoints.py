"""Finding, verifying, reading, loading and writing weights. The Hub is played by a folder."""

import hashlib
import os
import shutil
import struct
import subprocess
import sys
import zipfile

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


def test_offline_names_every_file_of_the_codec(hub, tmp_path):
    missing = card(repository="some/one", file="w.bin", beside=("config.json", "more.json"))
    home, root = tmp_path / "home" / "tiny-a", "https://huggingface.co/some/one/resolve/main"
    steps = [f"get {root}/{n} and put it at {home / n}" for n in ("w.bin", "config.json")]
    refuses(f"^tiny-a needs w.bin and config.json and .*{'; '.join(steps)}; get ",
            checkpoints.resolve, missing)  # fmt: skip
    home.mkdir(parents=True)
    for name in ("w.bin", "config.json", "more.json"):
        (home / name).write_bytes(b"x")
    assert checkpoints.resolve(missing) == home / "w.bin"


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


SAVING = """
import sys, torch
from audiotok import checkpoints
metadata = {key: "é" + key for key in sys.argv[2]}
checkpoints.save(sys.argv[1], {"b": torch.ones(1).half(), "a": torch.zeros(2, 3)}, metadata)
"""


def test_the_same_content_is_the_same_bytes(tmp_path, monkeypatch):
    """Also in another process: safetensors writes metadata in random order."""
    command = [sys.executable, "-c", SAVING, str(tmp_path / "there"), "abcdefgh"]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONHASHSEED": "1"})
    for name, order in (("here", "hgfedcba"), ("again", "efghabcd")):
        monkeypatch.setattr(sys, "argv", ["", str(tmp_path / name), order])
        exec(SAVING, {})
        assert (tmp_path / name).read_bytes() == (tmp_path / "there").read_bytes()
    state, metadata = checkpoints.read_state(tmp_path / "there")
    assert state["b"].dtype == torch.float16 and metadata == {key: f"é{key}" for key in "abcdefgh"}
    checkpoints.save(tmp_path / "plain", {"b": STATE["b"]}, {})
    assert checkpoints.read_state(tmp_path / "plain") == ({"b": STATE["b"]}, {})


def zipped(path, target):
    """The same zip, compressed."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": torch.ones(1).expand(10**12)}, "unpack to 4000000000000, more than 4 times"),
        ({f"a{n}": STATE["a"].expand(2000, 2, 3) for n in range(9)}, "more than 4 times as many"),
        ({"a": torch.ones(2, device="meta")}, "a is torch.strided, meta, torch.float32: expected"),
        ({"a": torch.eye(3).to_sparse()}, "a is torch.sparse_coo, cpu, torch.float32: expected"),
        (
            {"a": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)},
            "torch.qint8: expected a plain tensor",
        ),
    ],
)
def test_tensors_that_are_larger_than_their_file(tmp_path, state, message):
    torch.save(state, tmp_path / "w.pth")
    refuses(message, checkpoints.read_state, tmp_path / "w.pth")


def test_zips_that_unpack_to_much_more(tmp_path, monkeypatch):
    torch.save({"a": torch.zeros(500_000)}, tmp_path / "w.pth")
    zipped(tmp_path / "w.pth", tmp_path / "bomb.pth")
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was unpacked"))
    refuses(
        "is refused: its .* bytes unpack to 2000.*, more than 4 times as many",
        checkpoints.read_state,
        tmp_path / "bomb.pth",
    )


def test_tied_weights_are_no_bomb(tmp_path):
    tied = torch.randn(100, 100)
    torch.save({"a": tied, "b": tied, "c": tied.T}, tmp_path / "w.pth")
    assert torch.equal(checkpoints.read_state(tmp_path / "w.pth")[0]["c"], tied.T)


def test_headers_that_promise_much(tmp_path):
    path, deep = tmp_path / "w.safetensors", b'{"a":' * 50_000
    for header in (
        b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}',
        b'{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}',
        deep,
        b'{"__metadata__":' + deep,
        b'{"__metadata__":{"a":1}}',
    ):
        path.write_bytes(struct.pack("<Q", len(header)) + header)
        refuses("cannot be read", checkpoints.read_state, path)
        refuses("cannot be read", checkpoints.read_metadata, path)
    path.write_bytes(struct.pack("<Q", 2**40) + b"{")
    refuses("cannot be read", checkpoints.read_metadata, path)


def test_pipes_and_devices(tmp_path):
    os.mkfifo(tmp_path / "w.safetensors")
    for path in (tmp_path / "w.safetensors", "/dev/zero"):
        for read in (checkpoints.read_state, checkpoints.read_metadata):
            refuses("it is a pipe or a device", read, path)


@pytest.mark.parametrize("kind", [torch.int64, torch.bool, torch.complex64, torch.uint8])
def test_other_kinds_of_numbers(kind):
    module = torch.nn.Linear(3, 2)
    state = {"weight": STATE["a"].to(kind), "bias": torch.zeros(2, dtype=torch.float16)}
    name = str(kind).removeprefix("torch.")
    refuses(
        f"does not fit Linear: 1 mistyped: weight {name} instead of float32;",
        *(checkpoints.load_strict, module, state, "w"),
    )
    counting = torch.nn.BatchNorm1d(2)
    invalid = counting.state_dict() | {"num_batches_tracked": torch.tensor(1.0)}
    with pytest.raises(CheckpointError, match="num_batches_tracked float32 instead of int64"):
        checkpoints.load_strict(counting, invalid, "w")


def test_load_strict():
    module = torch.nn.Linear(3, 2)
    checkpoints.load_strict(module, {"weight": STATE["a"], "bias": torch.zeros(2)}, "w")
    assert torch.equal(module.weight, STATE["a"])
    invalid = {
        "weight": torch.zeros(3, 3),
        "extra": torch.zeros(1),
        **{f"x{i}": STATE["b"] for i in range(9)},
    }
    refuses(
        r"w does not fit Linear: 1 missing: bias; 10 extra: extra, x0, x1, ...; "
        r"1 misshapen: weight \(3, 3\) instead of \(2, 3\)",
        checkpoints.load_strict,
        module,
        invalid,
        "w",
    )


def test_save_refuses_places(tmp_path):
    refuses("cannot write", checkpoints.save, tmp_path / "no" / "w", STATE, {})
