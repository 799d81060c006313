"""SNAC against the package snac 1.2.1, where that is installed, with the same noise in both."""

import json

import pytest
import torch
from support import tiny_snac as tiny
from support.parity import assert_close_to_peak
from support.stack_parity import agree, contrast, draw_codebooks, scatter, speech

import audiotok

snac = pytest.importorskip("snac", reason="snac is not installed")

CONFIGS = tiny.CONFIGS | {"snac-44k": tiny.ATTENDING | {"sampling_rate": 44100}}


@pytest.fixture(scope="module", params=CONFIGS)
def pair(request, tmp_path_factory):
    """The official model with random weights, and ours with the weights that it saved."""
    config = CONFIGS[request.param]
    model = scatter(snac.SNAC(**config)).eval()
    waveform = model.preprocess(speech(config["sampling_rate"], 12))
    latents = contrast(model.encoder, model.encoder.block[-1], waveform)
    draw_codebooks(model.quantizer.quantizers, config["vq_strides"], latents)
    folder = tmp_path_factory.mktemp(request.param)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps(config))
    return model, audiotok.load(request.param, checkpoint=folder)


def _rectangular(codes, model):
    pairs = zip(codes, model.vq_strides, strict=True)
    return torch.stack([found.repeat_interleave(stride, -1) for found, stride in pairs], 1)


def _rows(model, waveform):
    """Official codes, and the rows that each codebook was searched for."""
    rows, hooks = [], []
    for stage in model.quantizer.quantizers:
        keep = lambda module, given, found: rows.append(found[0].T)  # noqa: E731
        hooks.append(stage.in_proj.register_forward_hook(keep))
    codes = model.encode(waveform)
    for hook in hooks:
        hook.remove()
    return codes, rows


def test_codes_and_sound(pair, monkeypatch):
    model, ours = pair
    waveform = speech(ours.sample_rate, 12, skip=12)
    unit = ours.network.config.unit * ours.hop_length
    waveform = waveform[..., : waveform.shape[-1] // unit * unit]
    with torch.inference_mode():
        codes, rows = _rows(model, waveform)
        official = _rectangular(codes, model)
        found, encoded = ours._encode(waveform), ours.network.encoder(waveform)
        near = agree(ours.network.quantizer, encoded, found, official, rows, distinct=40)
        noises = iter(ours._noise([3], 0, official.shape[-1]))
        monkeypatch.setattr(torch, "randn", lambda shape, **_: next(noises).reshape(shape))
        sound = model.decode(codes)
        monkeypatch.undo()
        decoded = ours.network.decode(official, ours._noise([3], 0, official.shape[-1]))
    print(f"{ours.card.name}: {near} of {official.numel()} codes after near ties")
    assert_close_to_peak(decoded, sound)


@pytest.mark.parametrize("frames", [0, 1, 31, 32, 33, 100])
@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_codes_at_any_length(pair, frames, offset):
    model, ours = pair
    length = max(1, frames * ours.hop_length + offset)
    waveform = speech(ours.sample_rate, 3)[..., 5000 : 5000 + length]
    with torch.inference_mode():
        official = _rectangular(model.encode(waveform), model)
        found = ours._encode(waveform)
    assert found.shape[-1] == -(-length // ours.hop_length)
    assert (found == official[..., : found.shape[-1]]).double().mean() > 0.97
