"""Codecs that break a promise about time: lengths, rates, lookahead, windows and streaming.

BROKEN is as in broken_codecs.py.
"""

import torch

from audiotok.codec.streaming import Stream
from audiotok.sound.audio import Audio
from support.breaking import before_encoding, card, good_decode, good_encode
from support.stranger_codec import HOP, Stranger


def short(when):
    """A `decode` that loses a sample of some clips."""

    def decode(self, tokens, sample_rate=None):
        audio = Stranger.decode(self, tokens, sample_rate)
        kept = audio.num_samples - when(tokens)
        return Audio(audio.waveform[:, :kept], audio.sample_rate)

    return {"decode": decode}


def deaf_to_rates(self, source):
    if isinstance(source, Audio) and source.sample_rate == 44_100:
        source = Audio(source.waveform.roll(3, -1), 44_100)
    return Stranger.encode(self, source)


def one_frame_ahead(self, waveform):
    return torch.nn.functional.pad(waveform, (0, HOP))[..., HOP:]


def one_sample_ahead(self, waveform):
    return torch.nn.functional.pad(waveform, (0, 1))[..., 1:]


def normalised_over_clip(self, waveform):
    return waveform / waveform.abs().amax((1, 2), keepdim=True).clamp(min=1e-3)


def one_piece(self, num_frames):
    yield 0, 0, num_frames, num_frames


def halves(self):
    return Stranger._encoder_in_pieces(self), Stranger._decoder_in_pieces(self)


def drops_the_last(self):
    encoder = halves(self)[0]
    return lambda waveform, last: encoder(waveform, last)[..., : 9**9 if not last else 0]


def fading(self, codes):
    """Where a chunk ends."""
    sound = good_decode(self, codes)
    return sound * (1 - 0.01 * torch.linspace(0, codes.shape[-1] - 1, sound.shape[-1]))


def hesitating(self):
    """Always one chunk behind."""
    encoder, waiting = halves(self)[0], []

    def encode(waveform, last):
        waiting.append(encoder(waveform, last))
        if last:
            return torch.cat(waiting, -1)
        return waiting.pop(0) if len(waiting) > 1 else waiting[0][..., :0]

    return encode


class Patient(Stream):
    def encode(self, chunk=None, last=False):
        if chunk is not None and not last and hasattr(chunk, "shape"):
            chunk = chunk[..., : chunk.shape[-1] // HOP * HOP]
        return super().encode(chunk, last)


def patient(self):
    return Patient(self, *halves(self))


BROKEN = {
    "lengths": {
        "80000 samples at 8000 Hz came back as 79999": short(lambda t: t.num_samples == 80_000),
        "79 samples at 8000 Hz came back as 78": short(lambda t: t.num_samples == HOP - 1),
    },
    "sample rates": {
        "came back as .* at 88200 Hz": short(
            lambda t: t.sample_rate == 88_200 and t.num_samples > 1
        ),
        "codes of sound at 44100 Hz are not those of the same resampled": {"encode": deaf_to_rates},
    },
    "lookahead": {
        "depends on sound .* past its frame, for noise there": before_encoding(one_frame_ahead),
        "depends on sound 1 samples": before_encoding(one_sample_ahead),
        "the card says 0": before_encoding(normalised_over_clip),
    },
    "windows": {"a window has 6.00 s in _encode, more than 1.52 s": {"_windows": one_piece}},
    "streaming": {
        "in chunks of 1 frames: .* of the codes are not those of the whole": {
            "_encoder_in_pieces": lambda self: lambda waveform, last: good_encode(self, waveform)
        },
        "says streamable, but it cannot stream": {"_encoder_in_pieces": lambda self: None},
        "stream.. works, but the card does not say streamable": card(streamable=False)
        | {"stream": lambda self: Stream(self, *halves(self))},
        "in chunks of 1 frames give codes .* the whole": {"_encoder_in_pieces": drops_the_last},
        "in chunks of 2 frames: the sound differs by .* of its peak": {
            "_decoder_in_pieces": lambda self: lambda codes, last: fading(self, codes)
        },
        "after 80 samples there are 0 frames, but by the lookahead on the card 1": {
            "_encoder_in_pieces": hesitating
        },
        "a chunk that ends within a frame: not refused": {"stream": patient},
    },
}  # fmt: skip
