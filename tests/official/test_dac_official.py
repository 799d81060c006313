"""DAC against the package descript-audio-codec 1.0.0, where that is installed."""

import pytest
import torch
from support.parity import assert_close_to_peak
from support.stack_parity import agree, contrast, draw_codebooks, scatter, speech
from torch.nn.functional import pad

import audiotok

dac = pytest.importorskip("dac", reason="descript-audio-codec is not installed")

CARDS = {
    "dac-16k": (16000, [2, 4, 5, 8], 12),
    "dac-24k": (24000, [2, 4, 5, 8], 32),
    "dac-44k": (44100, [2, 4, 8, 8], 9),
}


@pytest.fixture(scope="module", params=CARDS)
def pair(request, tmp_path_factory):
    """The official model with random weights, and ours with the weights that it saved."""
    rate, strides, count = CARDS[request.param]
    model = dac.DAC(8, strides, None, 96, strides[::-1], count, sample_rate=rate)
    model = scatter(model).eval()
    latents = contrast(model.encoder, model.encoder.block[-1], _whole(speech(rate, 8), model))
    draw_codebooks(model.quantizer.quantizers, (1,) * count, latents)
    path = tmp_path_factory.mktemp(request.param) / "weights.pth"
    model.save(path, package=False)
    return model, audiotok.load(request.param, checkpoint=path)


def _whole(waveform, model):
    return waveform[..., : waveform.shape[-1] // int(model.hop_length) * int(model.hop_length)]


def test_codes_and_sound(pair):
    model, ours = pair
    waveform = speech(ours.sample_rate, 8, skip=8)[..., :-77]
    with torch.inference_mode():
        padded = model.preprocess(waveform, ours.sample_rate)
        _, codes, latents, _, _ = model.encode(padded)
        rows = latents.unflatten(1, (-1, 8)).transpose(2, 3)[0]
        found = ours._encode(waveform)
        encoded = ours.network.encoder(waveform)
        near = agree(ours.network.quantizer, encoded, found, codes, rows, least=0.88)
        sound = model.decode(model.quantizer.from_codes(codes)[0])
        decoded = ours._decode(codes)
    print(f"{ours.card.name}: {near} of {codes.numel()} codes after near ties")
    assert decoded.shape == padded.shape
    assert_close_to_peak(decoded[..., : sound.shape[-1]], sound)
    assert padded.shape[-1] - sound.shape[-1] == (8 if ours.hop_length == 320 else 0)


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_lengths(pair, offset):
    model, ours = pair
    waveform = speech(ours.sample_rate, 1)[..., 5000 : 5000 + ours.hop_length + offset]
    with torch.inference_mode():
        codes = model.encode(model.preprocess(waveform, ours.sample_rate))[1]
        assert ours._encode(waveform).shape == codes.shape
        padded = pad(waveform, (0, -waveform.shape[-1] % ours.hop_length))
        torch.testing.assert_close(
            ours.network.encoder(waveform), model.encoder(padded), rtol=1e-4, atol=1e-5
        )


def test_fewer_codebooks(pair):
    model, ours = pair
    codes = ours._encode(_whole(speech(ours.sample_rate, 2), model))
    with torch.inference_mode():
        sound = model.decode(model.quantizer.from_codes(codes[:, :4])[0])
        assert_close_to_peak(ours._decode(codes[:, :4])[..., : sound.shape[-1]], sound)
