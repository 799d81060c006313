"""S3Tokenizer v1 to v3 against the package and its stored codes, on official files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from support import official_weights, tiny_s3tokenizer
from support.promises import OF_THE_CARD, WITHOUT_PROCESSES

import audiotok
from audiotok.errors import CheckpointError
from audiotok.testing import check_codec

s3tokenizer = pytest.importorskip("s3tokenizer")
VERSIONS = ("v1", "v1-25hz", "v2", "v3")


@pytest.fixture(scope="module")
def golden():
    """The tensors of the golden file, and what it says about itself."""
    with safe_open(Path(__file__).parent / "golden" / "s3tokenizer.safetensors", "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118


@pytest.fixture(scope="module")
def files(golden, tmp_path_factory):
    """{version: official file with the weights of the golden codes}."""
    folder, made = tmp_path_factory.mktemp("s3"), {}
    for name in VERSIONS:
        number = int(name[1])
        tensors = tiny_s3tokenizer.state(number) | tiny_s3tokenizer.quantizer(name, golden[0])
        made[name] = tiny_s3tokenizer.write_onnx(folder / f"{name}.onnx", tensors, number)
    return made


@pytest.mark.parametrize("name", VERSIONS)
def test_codes_of_the_golden_file(name, golden, files):
    kept, about = golden
    assert about["version"] and about["date"]
    codec = audiotok.load(f"s3tokenizer-{name}", files[name])
    waveform = official_weights.sound(16_000, int(about["seconds"]))[0]
    codes = codec.encode((waveform, 16_000)).codes[0, 0]
    expected = kept[f"{name} codes"].long()
    assert codes.shape == expected.shape and len(expected.unique()) >= 100
    assert (codes != expected).double().mean() <= 0.01  # near ties, of another PyTorch


@torch.no_grad()
@pytest.mark.parametrize("name", VERSIONS)
def test_codes_equal_those_of_the_package(name, files):
    model = tiny_s3tokenizer.official(name)
    model.init_from_onnx(str(files[name]))
    codec = audiotok.load(f"s3tokenizer-{name}", files[name])
    for seconds in (0.5, 3.33):
        waveform = official_weights.sound(16_000, seconds)
        mel = s3tokenizer.log_mel_spectrogram(waveform[0, 0])
        expected, _ = model.quantize(mel[None], torch.tensor([mel.shape[1]]))
        codes = codec.encode((waveform[0], 16_000)).codes[0]
        count = expected.shape[1]
        assert torch.equal(codes[:, :count], expected.long())
        assert (codes[:, count:] == codes[:, count - 1 : count]).all()


def test_long_sound_has_the_windows_of_the_package():
    codec = object.__new__(audiotok.codecs.s3tokenizer.S3Tokenizer)
    codec.card = audiotok.codec.registry.find_card("s3tokenizer-v2")
    assert list(codec._windows(30 * 25)) == [(0, 0, 750, 750)]
    assert list(codec._windows(1500)) == [
        (0, 0, 700, 750), (650, 700, 1350, 1400), (1300, 1350, 1500, 1500),
    ]  # fmt: skip
    for frames in (1, 751, 1350, 1401, 5000):
        kept = [(start, stop) for _, start, stop, _ in codec._windows(frames)]
        assert [start for start, _ in kept[1:]] == [stop for _, stop in kept[:-1]]
        assert kept[0][0] == 0 and kept[-1][1] == frames


@pytest.mark.parametrize("name", ["v1-25hz", "v2", "v3"])
def test_conforms(name, files, forked_processes):
    promises = WITHOUT_PROCESSES if name == "v2" else OF_THE_CARD
    check_codec(audiotok.load(f"s3tokenizer-{name}", files[name]), promises)


def test_files_load_strictly(files, golden, tmp_path):
    tensors = tiny_s3tokenizer.state(2) | tiny_s3tokenizer.quantizer("v2", golden[0])
    codec = audiotok.load("s3tokenizer-v2", files["v2"])
    sound = (official_weights.sound(16_000, 1)[0], 16_000)
    torch.save(tensors, tmp_path / "v2.pt")  # as the package converts it
    plain = audiotok.load("s3tokenizer-v2", tmp_path / "v2.pt")
    assert torch.equal(plain.encode(sound).codes, codec.encode(sound).codes)
    assert plain.fingerprint == codec.fingerprint
    del tensors["encoder.blocks.1.attn.out.bias"]
    torch.save(tensors, tmp_path / "less.pt")
    (tmp_path / "noise.onnx").write_bytes(np.random.default_rng(0).bytes(1000))
    for name, file, message in (
        ("v2", tmp_path / "less.pt", "1 missing: encoder.blocks.1.attn.out.bias"),
        ("v3", files["v1"], "is no ONNX file|does not fit|has 4096 codes|missing"),
        ("v2", files["v1"], "has 4096 codes, the card says 6561"),
        ("v1", files["v2"], "has 6561 codes, the card says 4096"),
        ("v2", tmp_path / "noise.onnx", "is no ONNX file of an S3Tokenizer"),
    ):
        with pytest.raises(CheckpointError, match=message) as caught:
            audiotok.load(f"s3tokenizer-{name}", file)
        assert "\n" not in str(caught.value)


def test_random_weights(monkeypatch):
    module = audiotok.codecs.s3tokenizer.S3Tokenizer
    build = module._build
    monkeypatch.setattr(module, "_build", lambda self: build(self, **tiny_s3tokenizer.SIZES))
    for name in VERSIONS:
        codec = audiotok.load(f"s3tokenizer-{name}", random_weights=True)
        tokens = codec.encode((official_weights.sound(16_000, 4)[0], 16_000))
        assert len(tokens.codes.unique()) > 10
