"""From names to codecs."""

import logging
import re
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch
from support import tiny_codec

import audiotok
from audiotok.codec import checkpoints, devices, families, registry
from audiotok.errors import CheckpointError, CodecError

TINY = str(Path(tiny_codec.__file__))


@pytest.fixture
def fresh():
    families.all_families.cache_clear()
    yield
    families.all_families.cache_clear()


def test_names_are_unique_and_cards_are_of_their_family():
    cards = audiotok.list_codecs()
    names = [card.name for card in cards]
    assert names == sorted(set(names))
    assert {"mulaw", "opus-6k", "opus-24k", "resample-16k", "random", "wavtokenizer-mini"} < set(
        names
    )
    for card in cards:
        assert registry.find_card(card.name) == card
        assert card.kind in ("neural", "baseline") and card.description and card.verified


def test_a_family_s_name_is_its_default(caplog, monkeypatch):
    monkeypatch.setattr(registry, "_announced", set())
    with caplog.at_level(logging.INFO, logger="audiotok"):
        codec = audiotok.load("opus")
        assert codec.card.name == "opus-12k"
        assert caplog.messages == [f"opus is opus-12k ({codec.card.description})"]
        caplog.clear()
        audiotok.load("opus", quiet=True)
        audiotok.load("opus-12k")
        audiotok.load("mulaw")
        assert caplog.messages == []
    assert registry.find_card("wavtokenizer").name == "wavtokenizer-mini"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wavtokeniser", "there is no codec 'wavtokeniser': did you mean wavtokenizer"),
        ("mu-law", "did you mean mulaw"),
        ("units:k=100", "there is no codec 'units': did you mean units:hubert or units:wavlm"),
        ("xyz", "known codecs: .*mulaw.*opus"),
        ("", "known codecs: "),
        ("mulaw:bits=4", "mulaw has no option 'bits=4'; options: it has none"),
        ("random:seed=x", "option seed of random is a int, not 'x'"),
        ("random:sead=1", "random has no option 'sead=1'; options: seed"),
        ("no/codec.py", "no/codec.py does not exist"),
    ],
)
def test_refuses_names(name, message):
    with pytest.raises(CodecError, match=message) as caught:
        audiotok.load(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("device", "message"),
    [("gpu", "no device 'gpu'"), ("cuda:99", "device 'cuda:99' is not there: . GPUs found")],
)
def test_refuses_devices(device, message):
    with pytest.raises(CodecError, match=message):
        audiotok.load("mulaw", device=device)


def test_device_auto():
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert audiotok.load("mulaw", device="auto").device.type == expected


def test_a_file_by_its_path():
    codec = audiotok.load(TINY)
    assert codec.card.name == "tiny-a"
    assert audiotok.load(TINY + "::tiny-a").fingerprint == codec.fingerprint
    loud = audiotok.load(TINY + ":loudness=2")
    assert loud.card.name == "tiny-a:loudness=2.0"
    assert audiotok.load(TINY + "::tiny-a:loudness=2").card == loud.card
    tokens = codec.encode((torch.linspace(-1, 1, 500), 16_000))
    louder, sound = loud.decode(tokens), codec.decode(tokens)
    assert torch.equal(louder.waveform, 2 * sound.waveform)
    with pytest.raises(CodecError, match="there is no codec 'tiny-b': did you mean tiny-a"):
        audiotok.load(TINY + "::tiny-b")


def test_a_file_with_a_checkpoint(tmp_path):
    path = tmp_path / "w.safetensors"
    checkpoints.save(path, tiny_codec.state(seed=5), {})
    codec = audiotok.load(TINY, checkpoint=path)
    assert codec.fingerprint != audiotok.load(TINY).fingerprint
    assert torch.equal(codec.codebook(0), tiny_codec.state(seed=5)["codebooks.0"])
    with pytest.raises(CheckpointError, match="is not a file: expected weights for tiny-a"):
        audiotok.load(TINY, checkpoint=tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 / 0", "cannot be imported: ZeroDivisionError: division by zero"),
        ("import nowhere_at_all", "cannot be imported: ModuleNotFoundError"),
        ("raise SystemExit(0)", "cannot be imported: SystemExit"),
        ("x =", "cannot be imported: SyntaxError"),
        ("x = 1", "has 0 Codec classes with CARDS, expected 1"),
        ("from audiotok.codecs.classical import MuLaw", "has 0 Codec classes"),
        ("from audiotok import CodecCard\nCodecCard(name='a')", "ValidationError"),
    ],
)
def test_files_that_are_no_codec(tmp_path, text, message):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(CodecError, match=message) as caught:
        audiotok.load(str(path))
    assert "\n" not in str(caught.value)


def test_plug_ins(monkeypatch, caplog, fresh):
    plugins = [
        EntryPoint("tiny", "support.tiny_codec:Tiny", "audiotok.codecs"),
        EntryPoint("broken", "no_such_module:Thing", "audiotok.codecs"),
    ]
    monkeypatch.setattr(families, "entry_points", lambda group: plugins)
    assert audiotok.load("tiny").card.name == "tiny-a"
    assert "tiny-a" in [card.name for card in audiotok.list_codecs()]
    assert "no_such_module:Thing is left out: No module named" in caplog.text


PLUGIN = """
import sys
from support.tiny_codec import Tiny
class Bare(Tiny):
    CARDS = ()
class Wrong(Tiny):
    CARDS = "tiny"
class Dangling(Tiny):
    DEFAULT = "nowhere"
    CARDS = (Tiny.CARDS[0].model_copy(update={"name": "q", "family": "q"}),)
class Ours(Tiny):
    CARDS = (Tiny.CARDS[0].model_copy(update={"name": "mulaw"}),)
class Shadow(Tiny):
    CARDS = (Tiny.CARDS[0].model_copy(update={"name": "wavtokenizer", "family": "x"}),)
class Prefix(Tiny):
    CARDS, PREFIX = (), "hf:"
class Same(Tiny):
    pass
class No:
    pass
def __getattr__(name):
    sys.exit("goodbye") if name == "Exit" else exec("raise KeyError(name)")
"""


def test_plug_ins_that_cannot_be_used_are_named_and_left_out(monkeypatch, caplog, fresh, tmp_path):
    (tmp_path / "bad_plugin.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    bad = {
        "Bare": "no CARDS", "Wrong": "no tuple of CodecCard", "Dangling": "'nowhere' is none of",
        "Ours": "'mulaw' is the name of another", "Shadow": "'wavtokenizer' is the name of another",
        "Prefix": "'hf:' is the name of another", "No": "no subclass", "Exit": "goodbye",
        "Gone": "Gone", "Same": "'tiny",
    }  # fmt: skip
    plugins = [EntryPoint("tiny", "support.tiny_codec:Tiny", "audiotok.codecs")]
    plugins += [EntryPoint(name, f"bad_plugin:{name}", "audiotok.codecs") for name in bad]
    before = len(audiotok.list_codecs())
    families.all_families.cache_clear()
    monkeypatch.setattr(families, "entry_points", lambda group: plugins)
    assert len(audiotok.list_codecs()) == before + len(tiny_codec.Tiny.CARDS)
    assert audiotok.load("tiny").card.name == "tiny-a"
    for name, why in bad.items():
        (line,) = (one for one in caplog.messages if f"bad_plugin:{name} " in one)
        assert "is left out" in line and why in line


def test_two_families_of_one_name(monkeypatch, fresh):
    class Other(tiny_codec.Tiny):
        pass

    monkeypatch.setattr(families, "families_of", lambda module: [tiny_codec.Tiny, Other])
    with pytest.raises(CodecError, match="two families have a codec 'tiny-a'"):
        audiotok.list_codecs()


def test_weights_for_what_has_none(tmp_path):
    (tmp_path / "w").write_bytes(b"")
    with pytest.raises(CodecError, match="mulaw has no weights"):
        audiotok.load("mulaw", checkpoint=tmp_path / "w")


def test_import_stays_light():
    program = "import audiotok, sys; print({'torch', 'numpy', 'pydantic'} & set(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "set()"


def test_public_names():
    for name in ("load", "list_codecs", "Audio", "Tokens", "Codec", "CodecCard", "errors"):
        assert name in dir(audiotok) and getattr(audiotok, name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        audiotok.nothing  # noqa: B018


@pytest.mark.parametrize("device", ["mps", "xpu", "meta", "cuda", "cuda:7", "abacus", ""])
def test_devices_that_cannot_compute(device, monkeypatch):
    def ones(*_, **__):
        raise AssertionError("Torch not compiled\nwith that")

    monkeypatch.setattr(devices.torch, "ones", ones)
    monkeypatch.setattr(devices.torch.cuda, "device_count", lambda: 0)
    for find in (registry.find_device, lambda name: registry.load("mulaw", device=name)):
        with pytest.raises(CodecError, match=re.escape(f"device {device!r}")):
            find(device)


def test_a_device_without_data_cannot_compute():
    with pytest.raises(CodecError, match="'meta' cannot be used by this PyTorch"):
        registry.find_device("meta")
    assert registry.find_device("cpu").type == "cpu"


def test_a_file_of_the_same_name_elsewhere_is_another_codec(tmp_path, monkeypatch):
    from support import bench_kit

    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        text = bench_kit.CODEC.replace('name="shy"', f'name="{name}"')
        (tmp_path / name / "codec.py").write_text(text)
        monkeypatch.chdir(tmp_path / name)
        assert registry.find_card("codec.py").name == name
    (tmp_path / "two" / "codec.py").write_text(text.replace('"two"', '"changed"'))
    assert registry.find_card("codec.py").name == "changed"


def test_tokens_of_a_trained_file_are_decoded_with_that_file():
    with pytest.raises(CodecError, match="the hash of a file of weights; give that file"):
        registry.find_card("my-codec@12345678")
