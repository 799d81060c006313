"""BigCodec against outputs of the official code, its formats, long sound, and what it refuses."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from support import official_weights
from support import tiny_bigcodec as tiny
from support.parity import assert_close_to_peak, cosine_margin, near_ties
from support.promises import OF_THE_CARD
from support.stack_parity import speech

import audiotok
from audiotok.codecs import bigcodec
from audiotok.codecs.bigcodec import BigCodec
from audiotok.errors import CheckpointError
from audiotok.nn.alias_free import REACH, AliasFreeSnake, low_pass
from audiotok.nn.quantizers.base import rows_of
from audiotok.testing import check_codec

GOLDEN = Path(__file__).parents[1] / "official" / "golden" / "bigcodec.safetensors"


@pytest.fixture(scope="module")
def codec(tmp_path_factory):
    return audiotok.load("bigcodec", tiny.save(tmp_path_factory.mktemp("bigcodec") / "a.pt"))


def test_the_values_of_the_official_code(tmp_path):
    """Of Aria-K-Alethia/BigCodec at the commit in the file; the weights come from a seed."""
    with safe_open(GOLDEN, "pt") as file:
        kept, about = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118
    assert about["commit"] == "09845ab1f5bc7a3d1589c16de820ef15bc2afefe"
    state = official_weights.state(kept, json.loads(about["shapes"]), 8192)
    parts = {"CodecEnc": {}, "generator": {}}
    for key, tensor in state.items():
        name, _, rest = key.partition(".")
        parts[name][rest] = tensor
    torch.save(parts, tmp_path / "bigcodec.pt")
    codec = audiotok.load("bigcodec", tmp_path / "bigcodec.pt")
    torch.testing.assert_close(low_pass(), kept["filter"])
    waveform, expected = official_weights.sound(16000, 4), kept["codes 0"].long()[None, None]
    with torch.inference_mode():
        latents, codes = codec._encode_latents(waveform), codec._encode(waveform)
        sound = codec._decode(expected)
        stage = codec.network.quantizer.stages[0]
        margin = cosine_margin(rows_of(stage.in_proj(latents)), stage.codebook)
    given = kept["latents"]
    assert (latents[0, :, :64] - given).abs().max() <= 1e-5 * given.abs().max()
    near_ties(codes, expected, margin[None])
    assert (sound[0, 0, :4000] - kept["sound"]).abs().max() <= 1e-5 * float(about["peak"])


def test_keeps_the_promises_of_a_card(codec):
    check_codec(codec, OF_THE_CARD)


def test_card(codec):
    card = BigCodec.CARDS[0]
    assert (card.frame_rate, round(card.bitrate), card.lookahead) == (80, 1040, 5376)
    assert codec.network.config.model_copy(update={"num_filters": 48}).reach == card.lookahead


def test_random_weights(monkeypatch):
    monkeypatch.setattr(bigcodec, "_SIZES", tiny.SIZES)
    one, two = (audiotok.load("bigcodec", random_weights=True) for _ in range(2))
    tokens = one.encode(audiotok.Audio(speech(16_000, 1)[0], 16_000))
    assert tokens.codes.shape == (1, 1, 80) and tokens.codes.unique().numel() > 1
    assert torch.equal(one.decode(tokens).waveform, two.decode(tokens).waveform)


def test_both_official_formats_load(codec, tmp_path):
    """bigcodec.pt, and a state dict of the training code with its discriminators and losses."""
    parts = tiny.official(tiny.network())
    state = {
        f"model.{n}.{key}": tensor for n, part in parts.items() for key, tensor in part.items()
    }
    state |= {"model.discriminator.x": torch.ones(2), "model.spec_discriminator.x": torch.ones(2)}
    state |= {"criteria.mel_loss.window": torch.ones(2)}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "last.ckpt")
    trained = audiotok.load("bigcodec", tmp_path / "last.ckpt")
    ours = tiny.network().state_dict()
    for key, tensor in trained.network.state_dict().items():
        torch.testing.assert_close(tensor, ours[key], rtol=1e-5, atol=1e-7)
        assert torch.equal(tensor, codec.network.state_dict()[key])
    assert trained.fingerprint == codec.fingerprint


def test_long_sound_in_pieces_is_as_the_whole(codec, monkeypatch):
    """The LSTM keeps its state from piece to piece, so short pieces change nothing."""
    sound = (speech(16000, 5)[0, :, :-77], 16000)
    whole = codec.encode(sound)
    decoded = codec.decode(whole).waveform
    for name, seconds in (("window", 1.0), ("context", 0.1), ("piece", 0.3)):
        monkeypatch.setattr(codec, f"{name}_seconds", seconds)
    monkeypatch.setattr(codec, "_encode", None)
    monkeypatch.setattr(codec, "_decode", None)
    assert (codec.encode(sound).codes == whole.codes).double().mean() > 0.99
    assert_close_to_peak(codec.decode(whole).waveform, decoded)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.pop("CodecEnc"), "lacks 'encoder.0.weight': it is not a whole BigCodec"),
        (lambda p: p["CodecEnc"].pop("block.7.act.beta"), "1 missing: encoder.7.beta"),
        (lambda p: p["generator"].update({"model.9.x": torch.ones(1)}), "1 extra: decoder.9.x"),
        (
            lambda p: p["CodecEnc"].update({"block.7.upsample.filter": torch.ones(1, 1, 12)}),
            "CodecEnc.block.7.upsample.filter is not the filter expected",
        ),
        (
            lambda p: p["generator"].update(
                {"quantizer.layers.0._codebook.weight": torch.ones(4096, 8)}
            ),
            "is not bigcodec: it has hop length 200 and a codebook of 4096, the card says 200 and",
        ),
        (
            lambda p: p["CodecEnc"].update({"block.0.weight_g": torch.ones(5, 1, 1)}),
            "direction and gain of encoder.0.weight are",
        ),
    ],
)
def test_what_does_not_fit_is_named(change, message, tmp_path):
    with pytest.raises(CheckpointError, match=message) as refusal:
        audiotok.load("bigcodec", tiny.save(tmp_path / "bigcodec.pt", change))
    assert "\n" not in str(refusal.value)


def test_an_output_depends_on_inputs_within_reach_alone():
    layer = AliasFreeSnake(1)
    silence = torch.zeros(1, 1, 41)
    changed = silence.clone()
    changed[..., 20] = 1.0
    with torch.inference_mode():
        differs = (layer(changed) != layer(silence))[0, 0].nonzero().flatten()
    assert (int(differs.min()), int(differs.max())) == (20 - REACH, 20 + REACH)
