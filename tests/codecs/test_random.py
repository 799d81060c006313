"""The floor."""

import pytest
import torch

from audiotok.codec import registry
from audiotok.codec.variants import vary
from audiotok.codecs import random
from audiotok.errors import CodecError
from audiotok.sound.audio import Audio
from audiotok.testing import PROMISES, examine


class StandIn:
    """Plays wavtokenizer-mini with any weights: each code is a short tone."""

    def __init__(self, card, device, checkpoint):
        self.card, self.network = card, None
        generator = torch.Generator().manual_seed(0)
        (size,) = card.codebook_sizes
        self.book = torch.randn(size, 8, generator=generator)

    def _dequantize(self, codes):
        return codes.float()

    def _decode_latents(self, quantized):
        time = torch.arange(self.card.hop_length) / self.card.hop_length
        tones = torch.sin(6.283 * quantized[:, 0, :, None] / 64 * time)
        return 0.1 * tones.flatten(1)[:, None]

    def _codebooks(self):
        return [self.book]


@pytest.fixture
def load(monkeypatch):
    monkeypatch.setattr(random, "WavTokenizer", StandIn)
    family = random.Random
    return lambda name="random": family(
        vary(family.CARDS[0], name.partition(":")[2], family.OPTIONS)
    )


def noise(num_samples, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Audio(torch.randn(1, num_samples, generator=generator).clamp(-1, 1), 16_000)


def test_conforms(load):
    here = [promise for promise in PROMISES if promise.name != "processes"]  # has no stand-in
    assert {outcome.state for outcome in examine(load(), here)} == {"kept", "not checked"}


def test_codes_know_only_the_length(load):
    codec = load()
    codes = codec.encode(noise(9_000)).codes
    assert torch.equal(codes, codec.encode(noise(9_000, seed=1)).codes)
    assert not torch.equal(codes, codec.encode(noise(9_001)).codes[..., : codes.shape[-1]])


def test_seeds(load):
    codes = [load(name).encode(noise(9_000)).codes for name in ("random", "random:seed=1")]
    assert not torch.equal(*codes)
    assert torch.equal(load("random:seed=0").encode(noise(9_000)).codes, codes[0])
    with pytest.raises(CodecError, match="the seed of random is 0 or more, not -1"):
        load("random:seed=-1")


def test_codes_are_uniform_and_do_not_repeat_in_long_sound(load):
    codec = load()
    seconds = 200
    codes = codec.encode((torch.zeros(16_000 * seconds), 16_000)).codes[0, 0]
    (size,) = codec.codebook_sizes
    assert codes.min() < 0.01 * size and codes.max() > 0.99 * size
    assert abs(codes.double().mean() / (size - 1) - 0.5) < 0.02
    period = codec.num_frames(int(16_000 * codec.window_seconds))
    assert (codes[:period] != codes[period : 2 * period]).double().mean() > 0.99


def test_what_the_card_says():
    card = registry.find_card("random")
    decoder = registry.find_card("wavtokenizer-mini")
    assert card.kind == "baseline" and card.weights == decoder.weights
    assert card.bitrate == decoder.bitrate and card.taxonomy is None
