"""Codecs on tensors: the codes of `encode`, gradients on request, nothing copied to the CPU."""

import numpy as np
import pytest
import torch
from support import tiny_codec
from support.stranger_codec import Stranger
from torch.overrides import TorchFunctionMode

import audiotok
from audiotok.errors import CodecError, TokensError
from audiotok.testing.sounds import audio, voice

LEAVES_THE_DEVICE = {"cpu", "numpy", "item", "tolist", "__array__", "__bool__", "__int__"}
LEAVES_THE_DEVICE |= {"__float__", "__index__"}
MINIS = ("rvq-small", "wavtokenizer-mini", "lm-spt-mini", "rvq-small:codebooks=3,merge=2/2/2")


class Watch(TorchFunctionMode):
    """Names of the functions that were called on tensors."""

    def __init__(self):
        self.called = set()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.called.add(getattr(func, "__name__", ""))
        return func(*args, **(kwargs or {}))


@pytest.fixture(scope="module", params=MINIS)
def codec(request):
    return audiotok.load(request.param, quiet=True)


@pytest.fixture
def waveform(codec):
    clips = np.stack([voice(codec.card.sample_rate_in, 1.0, seed) for seed in (1, 2)])
    batch = torch.from_numpy(clips).float()[:, None]
    return batch[:1], batch


def test_codes_and_sound_are_those_of_encode_and_decode(codec, waveform):
    one, two = waveform
    tokens = codec.encode((one[0], codec.card.sample_rate_in))
    codes = codec.encode_codes(one)
    assert torch.equal(codes, tokens.codes)
    latents = codec.encode_latents(one)
    assert torch.equal(codec.quantize(latents), codes)
    quantized = codec.dequantize(codes)
    sound = codec.decode_codes(codes)
    assert latents.dtype == quantized.dtype == sound.dtype == torch.float32
    assert latents.shape[::2] == quantized.shape[::2] == codes.shape[::2]
    assert sound.shape == (1, 1, codes.shape[-1] * codec.hop_length)
    assert torch.equal(sound, codec.decode_latents(quantized))
    expected = codec.decode(tokens).waveform
    torch.testing.assert_close(sound[0, :, : expected.shape[1]], expected, rtol=0, atol=1e-6)
    assert codec.encode_codes(two).shape == (2, *codes.shape[1:])
    assert codec.encode_codes(one.double()).equal(codes)
    assert not any(each.requires_grad or each.is_inference() for each in (latents, sound, codes))


def test_nothing_is_copied_to_the_cpu(codec, waveform):
    one, _ = waveform
    with Watch() as watch:
        codes = codec.quantize(codec.encode_latents(one))
        codec.decode_latents(codec.dequantize(codes))
        codec.decode_codes(codec.encode_codes(one))
    assert len(watch.called) > 5 and not watch.called & LEAVES_THE_DEVICE


def test_a_loss_through_the_codec(codec, waveform):
    """Values of the codewords, the gradient passed straight through to the encoder."""
    source = waveform[0].clone().requires_grad_()
    latents = codec.encode_latents(source, grad=True)
    codes = codec.quantize(latents)
    quantized = codec.dequantize(codes, straight_through=latents)
    assert torch.equal(quantized, codec.dequantize(codes))
    loss = codec.decode_latents(quantized, grad=True).square().mean()
    encoder, decoder = _ends(codec)
    gradients = torch.autograd.grad(loss, (source, encoder, decoder))
    assert all(each.isfinite().all() and each.abs().sum() > 0 for each in gradients)


def test_a_decoder_behind_frozen_codes(codec, waveform):
    codes = codec.encode_codes(waveform[0])
    _, decoder = _ends(codec)
    (gradient,) = torch.autograd.grad(codec.decode_codes(codes, grad=True).abs().mean(), decoder)
    assert gradient.abs().sum() > 0
    assert not codec.decode_codes(codes).requires_grad and not codec.network.training


def _ends(codec):
    """A weight of the encoder, and one of the decoder."""
    named = dict(codec.network.named_parameters())
    encoders = [name for name in named if "encoder" in name]
    decoders = [name for name in named if "backbone" in name and "auxiliary" not in name]
    return named[encoders[-4]], named[decoders[-1]]


@pytest.mark.parametrize("name", ["rvq-small", "wavtokenizer-mini"])
def test_clips_of_different_lengths(name):
    codec = audiotok.load(name, quiet=True)
    lengths = [16_000, 9_999, 900]  # the last one is shorter than a network can pad in a batch
    clips = [torch.from_numpy(voice(16_000, 1.0, n)).float()[:n] for n in lengths]
    batch = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True, padding_value=0.5)
    codes = codec.encode_codes(batch[:, None], lengths=lengths)
    for row, clip in zip(codes, clips, strict=True):
        alone = codec.encode_codes(clip[None, None])[0]
        count = alone.shape[-1]
        assert (row[:, :count] != alone).double().mean() <= 0.02  # last bits
        assert (row[:, count:] == -1).all()
    with pytest.raises(CodecError, match="are not 3 of 1 to 16000 samples"):
        codec.encode_codes(batch[:, None], lengths=[16_000, 9_999])


def test_only_what_a_family_has():
    tiny = tiny_codec.Tiny(tiny_codec.Tiny.CARDS[0])  # which writes _encode and _decode alone
    clip = torch.from_numpy(voice(16_000, 0.5)).float()[None, None]
    codes = tiny.encode_codes(clip)
    assert torch.equal(codes, tiny.encode((clip[0], 16_000)).codes)
    assert tiny.decode_codes(codes).shape == (1, 1, codes.shape[-1] * 240)
    for call in (lambda: tiny.encode_latents(clip), lambda: tiny.dequantize(codes)):
        with pytest.raises(CodecError, match="tiny-a has no .*: its class encodes and decodes in"):
            call()
    with pytest.raises(CodecError, match="codes clips of one length only"):
        tiny.encode_codes(clip, lengths=[100])
    opus = audiotok.load("opus-12k")
    assert torch.equal(opus.encode_codes(clip), opus.encode((clip[0], 16_000)).codes)
    with pytest.raises(CodecError, match="opus-12k has no latents: its codes are made of samples"):
        opus.encode_latents(clip)
    with pytest.raises(CodecError, match="one clip at a time"):
        opus.encode_codes(clip.repeat(2, 1, 1))
    with pytest.raises(CodecError, match="random has no latents"):
        audiotok.load("random").encode_latents(clip)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c, w: c.encode_codes(w[0]), r"waveforms of .* are a tensor \(batch, 1, samples\)"),
        (lambda c, w: c.encode_codes(w.repeat(1, 2, 1)), r"takes floats \(batch, 1, samples\)"),
        (lambda c, w: c.encode_codes(w.long()), "a waveform torch.int64"),
        (lambda c, w: c.encode_codes(w[..., :0]), "are a tensor"),
        (lambda c, w: c.encode_codes(w.to("meta")), "are on meta, .* is on cpu: move one"),
        (lambda c, w: c.encode_codes(w.numpy()), "are a tensor"),
        (lambda c, w: c.decode_codes(c.encode_codes(w).float()), "takes integers"),
        (lambda c, w: c.decode_codes(c.encode_codes(w)[:, [0] * 13]), "codes torch.int64 of shape"),
        (lambda c, w: c.decode_codes(c.encode_codes(w) + 9_999), "cannot look up these codes"),
        (
            lambda c, w: c.dequantize(c.encode_codes(w), straight_through=torch.zeros(1, 2, 3)),
            "are not those of quantized vectors",
        ),
        (lambda c, w: c.to("nowhere"), "cannot move to nowhere"),
    ],
)
def test_what_does_not_fit(call, message):
    codec = audiotok.load("rvq-small", quiet=True)
    clip = torch.from_numpy(voice(16_000, 0.3)).float()[None, None]
    with pytest.raises(CodecError, match=message) as caught:
        call(codec, clip)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "shape", [lambda c: c, lambda c: c[0], lambda c: c[0].numpy(), lambda c: c[0].int().tolist()]
)
def test_tokens_of_codes(shape):
    codec = audiotok.load("rvq-small", quiet=True)
    tokens = codec.encode(audio(voice(16_000, 0.5), 16_000))
    made = codec.tokens(shape(tokens.codes))
    assert torch.equal(made.codes, tokens.codes) and made.codes.dtype == torch.int64
    assert (made.num_samples, made.sample_rate) == (tokens.num_frames * 320, 16_000)
    assert codec.decode(made).num_samples == made.num_samples
    exact = codec.tokens(shape(tokens.codes), tokens.num_samples, tokens.sample_rate)
    assert torch.equal(codec.decode(exact).waveform, codec.decode(tokens).waveform)


def test_tokens_of_what_are_no_codes():
    codec = audiotok.load("wavtokenizer-mini", quiet=True)
    assert codec.tokens([1, 2, 3]).codes.shape == (1, 1, 3)
    assert codec.tokens([[[1, 2]], [[3, 4]]]).codes.shape == (2, 1, 2)
    assert codec.tokens([5], sample_rate=48_000).num_samples == 600
    for codes, message in (
        ([0.5], "codes torch.float32"),
        ("a", "no codes"),
        ([[1], [2]], "shape"),
    ):
        with pytest.raises(CodecError, match=message):
            codec.tokens(codes)
    with pytest.raises(TokensError, match="code 4096 in codebook 0"):
        codec.tokens([4096])
    with pytest.raises(CodecError, match="say num_samples"):
        audiotok.load("opus-6k").tokens([1])


def test_moving():
    codec = audiotok.load("random")
    assert codec.to("cpu") is codec
    codec.to("meta")
    assert codec.device.type == codec.decoder.device.type == "meta"
    assert all(each.device.type == "meta" for each in codec.network.parameters())


def test_a_stranger_in_fast_precision():
    codec = Stranger(audiotok.codec.variants.vary(Stranger.CARDS[0], "precision=fast", {}))
    sound = audio(voice(8_000, 1.0), 8_000)
    codes = codec.encode_codes(sound.waveform[None])
    assert torch.equal(codes, codec.encode(sound).codes)
