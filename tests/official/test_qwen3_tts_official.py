"""Qwen3-TTS's 12 Hz tokenizer against stored codes and sound of the package qwen-tts, whose model
needs another transformers than ours: golden/, written by make_golden_qwen3_tts.py."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from support import official_weights, tiny_qwen3_tts
from support.promises import OF_THE_CARD

import audiotok
from audiotok.errors import CheckpointError
from audiotok.testing import check_codec

pytest.importorskip("transformers", minversion="5.23")
NAME = "qwen3-tts-12hz"
_made = []


@pytest.fixture
def golden(tmp_path_factory):
    """The folder of the official files, the tensors of the golden file and what it says."""
    if not _made:
        path = Path(__file__).parent / "golden" / "qwen3_tts.safetensors"
        with safe_open(path, "pt") as file:
            kept, about = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118
        folder = tmp_path_factory.mktemp("qwen3")
        tiny_qwen3_tts.write(folder, kept, json.loads(about["shapes"]))
        _made.append((folder, kept, about))
    return _made[0]


def test_the_values_of_the_official_package(golden):
    folder, kept, about = golden
    assert about["version"] == "0.1.1" and about["date"]
    codec = audiotok.load(NAME, folder)
    waveform = official_weights.sound(24_000, float(about["seconds"]))[0]
    codes, expected = codec.encode((waveform, 24_000)).codes[0], kept["codes"].long()
    assert codes.shape == expected.shape and min(len(row.unique()) for row in expected) >= 100
    assert (codes != expected).any(0).double().mean() <= 0.02  # near ties
    sound = codec.decode_codes(expected[None])[0, 0, int(about["from"]) :]
    given = kept["sound"]
    assert (sound[: len(given)] - given).abs().max() <= 1e-5 * float(about["peak"])


def test_conforms(golden, forked_processes):
    slow = ("codebooks", "merge")  # each decodes dozens of sounds; by Mimi's class, tested there
    promises = [promise for promise in OF_THE_CARD if promise.name not in slow]
    check_codec(audiotok.load(NAME, golden[0]), promises)


def test_the_window_of_the_decoder_is_kept_by_streams(golden):
    """Attention of the decoder looks back on 9 frames here; sound of 40 goes through."""
    codec = audiotok.load(NAME, golden[0])
    codes = golden[1]["codes"].long()[None, :, :40]
    whole = codec.decode_codes(codes)[0]
    with codec.stream() as stream:
        parts = [stream.decode(codes[..., n : n + 5], last=n == 35) for n in range(0, 40, 5)]
    difference = (torch.cat(parts, -1) - whole).abs().max()
    assert difference <= 1e-5 * whole.abs().max()
    assert not torch.equal(codec.decode_codes(codes[:, :8]), whole[None])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s, c: s.pop("decoder.pre_conv.conv.bias"), "1 missing: pre_conv.conv.bias"),
        (lambda s, c: s.update({"decoder.more": torch.ones(1)}), "1 extra: more"),
        (lambda s, c: s.update({"other": torch.ones(1)}), "has 1 extra: other"),
        (lambda s, c: s.pop("encoder.downsample.conv.weight"), "1 missing: .*downsample"),
        (lambda s, c: s.update({"encoder.more": torch.ones(1)}), "1 extra"),
        (lambda s, c: c.update(model_type="mimi"), "model_type 'mimi', expected 'qwen3_tts"),
        (lambda s, c: c["decoder_config"].update(upsample_rates=[2]), "are .8, 2048, 16., expec"),
        (lambda s, c: c["decoder_config"].update(hidden_act="relu"), "decoder_config that is ref"),
        (lambda s, c: c["decoder_config"].update(decoder_dim=2**20), "much larger than its wei"),
    ],
)
def test_files_load_strictly(change, message, golden, tmp_path):
    state = load_file(golden[0] / "model.safetensors")
    config = json.loads((golden[0] / "config.json").read_text())
    change(state, config)
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=message) as caught:
        audiotok.load(NAME, tmp_path)
    assert "\n" not in str(caught.value)


def test_random_weights(monkeypatch):
    sizes = {"encoder": tiny_qwen3_tts.ENCODER, "decoder": tiny_qwen3_tts.DECODER}
    monkeypatch.setattr(audiotok.codecs.qwen3_tts, "SIZES", sizes)
    codec = audiotok.load(NAME, random_weights=True)
    tokens = codec.encode((official_weights.sound(24_000, 3)[0], 24_000))
    assert min(len(row.unique()) for row in tokens.codes[0]) > 5
    assert codec.decode(tokens).num_samples == 3 * 24_000


def test_the_card():
    card = audiotok.codec.registry.find_card("qwen3-tts")
    assert (card.name, card.frame_rate, card.bitrate) == (NAME, 12.5, 2200)
