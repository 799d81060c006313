"""The conformance kit notices every promise that a codec breaks."""

import random

import numpy as np
import pytest
import tiny_codec
import torch

from audiotok.audio import Audio
from audiotok.testing import check_codec

CARD = tiny_codec.Tiny.CARDS[0]
plain_encode, plain_decode = tiny_codec.Tiny._encode, tiny_codec.Tiny._decode


def cheating(self, codes):
    self.uses = getattr(self, "uses", 0) + 1
    return plain_decode(self, codes) * (1 + self.uses)


def noisy(self, waveform):
    return plain_encode(self, waveform + torch.randn(waveform.shape))


def seeding(self, waveform):
    torch.manual_seed(0)
    return plain_encode(self, waveform)


def numpy_seeding(self, waveform):
    np.random.seed(0)
    return plain_encode(self, waveform)


def python_drawing(self, waveform):
    random.random()
    return plain_encode(self, waveform)


def switching(self, waveform):
    torch.use_deterministic_algorithms(not torch.are_deterministic_algorithms_enabled())
    return plain_encode(self, waveform)


def one_piece(self, num_frames):
    yield 0, 0, num_frames, num_frames


BROKEN = {
    "its fingerprint changes": {
        "_codebooks": lambda self: [torch.rand(6, 4), torch.rand(10, 4)],
    },
    "its codebooks have": {"_codebooks": lambda self: [torch.zeros(5, 4)] * 2},
    "its codebooks are not finite": {
        "_codebooks": lambda self: [torch.full((6, 4), torch.nan), torch.zeros(10, 4)]
    },
    "two encodings of": {"_encode": noisy},
    "give different sounds": {"_decode": cheating},
    "torch's random state": {"_encode": seeding},
    "numpy's random state": {"_encode": numpy_seeding},
    "Python's random state": {"_encode": python_drawing},
    "it changes deterministic algorithms": {"_encode": switching},
    "a window has": {"_windows": one_piece},
    "NaN is not refused|NaN raises": {
        "encode": lambda self, source: tiny_codec.Tiny.encode(self, forgiving(source))
    },
}


def forgiving(source):
    """What silently repairs everything."""
    if isinstance(source, tuple):
        array = torch.nan_to_num(torch.as_tensor(source[0], dtype=torch.float32), 0, 0, 0)
        return Audio(array.reshape(1, -1), 16_000)
    return source


def test_a_good_codec():
    check_codec(tiny_codec.Tiny(CARD))


@pytest.mark.parametrize("message", BROKEN)
def test_a_broken_codec(message):
    broken = type("Broken", (tiny_codec.Tiny,), BROKEN[message])(CARD)
    with pytest.raises(AssertionError, match=f"tiny-a: .*({message})"):
        check_codec(broken)
    torch.use_deterministic_algorithms(False)


def test_a_codec_that_follows_train():
    class Careless(tiny_codec.Tiny):
        def _encode(self, waveform):
            self.network.train()
            return plain_encode(self, waveform)

    with pytest.raises(AssertionError, match="tiny-a: two encodings of"):
        check_codec(Careless(CARD))


def test_a_codec_that_says_another_card():
    other = CARD.model_copy(update={"name": "not-mine"})
    with pytest.raises(AssertionError, match="its card is none of CARDS"):
        check_codec(tiny_codec.Tiny(other))


def test_an_error_of_another_kind():
    class Rude(tiny_codec.Tiny):
        def encode(self, source):
            if isinstance(source, str):
                raise ValueError("no")
            return super().encode(source)

    with pytest.raises(AssertionError, match="a missing file raises ValueError"):
        check_codec(Rude(CARD))
