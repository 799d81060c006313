"""Codecs that break one promise each, on purpose: of every promise those that break it.

BROKEN: promise -> {pattern of the counter-example: what the class has instead}.
"""

import logging
import os
import random
import time
import warnings

import numpy as np
import torch

from audiotok.codec.streaming import Stream
from audiotok.errors import AudioError
from audiotok.sound.audio import Audio
from support.stranger_codec import HOP, Stranger

CARD = Stranger.CARDS[0]
good_encode, good_decode = Stranger._encode, Stranger._decode


def before_encoding(action):
    """An `_encode` that does something else first."""

    def encode(self, waveform):
        changed = action(self, waveform)
        return good_encode(self, waveform if changed is None else changed)

    return {"_encode": encode}


def card(**changes):
    """Another card under the same name."""
    changed = CARD.model_copy(update=changes)
    return {"CARDS": (changed,)}


# --- card ------------------------------------------------------------------------------------

CARD_BREAKERS = {
    "its fingerprint changes from": {"_codebooks": lambda self: [torch.rand(32, 8)] * 3},
    r"its codebooks have \(5, 5, 5\) vectors": {"_codebooks": lambda self: [torch.zeros(5, 8)] * 3},
    "codebook 0 is not finite": {"_codebooks": lambda self: [torch.full((32, 8), torch.nan)] * 3},
    "is not a hex sha256": {"_codebooks": lambda self: None, "fingerprint": "none"},
    "the card says causal, but not what its lookahead": card(lookahead=None, streamable=False),
    r"codebook_counts \(2, 1, 3\) are not rising": card(codebook_counts=(2, 1, 3)),
    "its sample_rate is 16000, on its card 8000": {"sample_rate": 16_000},
    "stranger-8k is none of CARDS": {"CARDS": (CARD.model_copy(update={"name": "other"}),)},
}

# --- global state ----------------------------------------------------------------------------


def set_environment(self, waveform):
    os.environ["A_STRANGER"] = str(float(waveform.sum()))


def toggle_determinism(self, waveform):
    torch.use_deterministic_algorithms(not torch.are_deterministic_algorithms_enabled())


def add_filter(self, waveform):
    warnings.filterwarnings("ignore", message=f"of clip {id(waveform)}")


def toggle_threads(self, waveform):
    torch.set_num_threads(3 - min(torch.get_num_threads(), 2))


def toggle_folder(self, waveform):
    os.chdir("/" if os.getcwd() != "/" else "/tmp")


def raise_level(self, waveform):
    logging.root.setLevel(logging.root.level + 1)


STATE_BREAKERS = {
    "changes environment variables": set_environment,
    "changes deterministic algorithms": toggle_determinism,
    "changes the filters of warnings": add_filter,
    "changes the number of threads": toggle_threads,
    "changes the working directory": toggle_folder,
    "changes the root logger": raise_level,
    "changes torch's random state": lambda self, waveform: torch.manual_seed(0) and None,
    "changes numpy's random state": lambda self, waveform: np.random.seed(0),
    "changes Python's random state": lambda self, waveform: random.random() and None,
}

# --- the others ------------------------------------------------------------------------------


def out_of_range(self, waveform):
    codes = good_encode(self, waveform)
    return codes + 30 * (waveform.abs().max() > 2)


def remember(self, waveform):
    self.__dict__.setdefault("memory", {})[good_encode(self, waveform).numpy().tobytes()] = waveform
    return good_encode(self, waveform)


def recall(self, codes):
    heard = self.__dict__.get("memory", {}).get(codes.numpy().tobytes())
    return good_decode(self, codes) if heard is None else pad(heard, codes)


def pad(waveform, codes):
    return torch.nn.functional.pad(waveform, (0, codes.shape[-1] * HOP - waveform.shape[-1]))


def note_last(self, waveform):
    Stranger.last = waveform
    return good_encode(self, waveform)


def play_last(self, codes):
    return good_decode(self, codes) + float(Stranger.last.square().mean())


def counting(self, codes):
    self.uses = getattr(self, "uses", 0) + 1
    return good_decode(self, codes) * self.uses


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


def quiet_when_few(self, waveform):
    return good_encode(self, waveform * (0.5 if self.num_codebooks < 3 else 1))


def only_whole(self, codes):
    if codes.shape[1] < 3:
        raise IndexError("codebook 2")
    return good_decode(self, codes)


def without_merging(self, waveform):
    return self.network.quantizer.encode(self.network.latents(waveform), self.num_codebooks)


def cut_when_merged(self, waveform):
    frames = -(-waveform.shape[-1] // HOP)
    if self.card.strides[0] > 1 and frames % self.card.strides[0]:
        raise ValueError("frames are not a multiple of the stride")
    return good_encode(self, waveform)


def reversed_batch(self, sources, batch="strict"):
    return Stranger.encode_batch(self, sources, batch)[::-1]


def normalised_over_batch(self, waveform):
    return waveform / waveform.square().mean().sqrt().clamp(min=1e-3)


def fails_when_fast(self, waveform):
    if torch.is_autocast_enabled("cpu"):
        raise RuntimeError("expected Float but found BFloat16")


def one_frame_ahead(self, waveform):
    return torch.nn.functional.pad(waveform, (0, HOP))[..., HOP:]


def one_sample_ahead(self, waveform):
    return torch.nn.functional.pad(waveform, (0, 1))[..., 1:]


def normalised_over_clip(self, waveform):
    return waveform / waveform.abs().amax((1, 2), keepdim=True).clamp(min=1e-3)


def one_piece(self, num_frames):
    yield 0, 0, num_frames, num_frames


def never_in_eval(self, waveform, fast):
    with torch.no_grad():
        return self._encode_windows(waveform)


def left_in_eval(self, tokens, sample_rate=None):
    self.network.eval()
    return Stranger.decode(self, tokens, sample_rate)


def forgiving(self, source):
    """Silently repairs everything."""
    if isinstance(source, tuple) and isinstance(source[1], int):
        array = torch.nan_to_num(torch.as_tensor(source[0], dtype=torch.float32), 0, 0, 0)
        source = Audio(array.reshape(1, -1), 8_000)
    return Stranger.encode(self, source)


def rude(self, source):
    if isinstance(source, str):
        raise ValueError("no")
    return Stranger.encode(self, source)


def talkative(self, source):
    try:
        return Stranger.encode(self, source)
    except AudioError as reason:
        raise AudioError(f"{reason}\nPlease read the manual.") from None


def trusting(self, tokens):
    """Decodes whatever there is."""


def takes_anything(self, tokens, sample_rate=None):
    codes = tokens if isinstance(tokens, torch.Tensor) else tokens.codes
    return Audio(good_decode(self, codes.clamp(0, 31)[:, :3])[0].detach(), 8_000)


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


def louder_in_float64(self, source):
    gain = 2 if torch.get_default_dtype() == torch.float64 else 1
    return Stranger.encode(self, Audio(gain * source.waveform, source.sample_rate))


def on_the_default_device(self, source):
    torch.zeros(1).item()
    return Stranger.encode(self, source)


def as_the_caller(self, tokens, sample_rate=None):
    sound = Stranger.decode(self, tokens, sample_rate)
    return Audio(1.0 * sound.waveform, sound.sample_rate)


def noting_the_dtype(self, *arguments):
    Stranger.__init__(self, *arguments)
    self.gain = 1 if torch.get_default_dtype() == torch.float32 else 3


def by_way_of_itself(self, waveform):
    self.length = waveform.shape[-1]
    time.sleep(0.05)
    return waveform.roll(self.length // 3, -1)


def _vectors(self, codes):
    return self.network.quantizer.decode(codes)


def _sound(self, quantized):
    return 0.1 * self.network.decoder(quantized.transpose(1, 2)).float().flatten(1)[:, None]


def in_steps(**broken):
    """A family that writes the steps, one of them wrong; `_encode` and `_decode` are right."""
    return {
        "_encode_latents": lambda self, waveform: self.network.latents(waveform),
        "_quantize": lambda self, latents: self.quantizer.encode(latents, self.num_codebooks),
        "_dequantize": _vectors,
        "_decode_latents": _sound,
    } | broken


def shifted(self, latents):
    return self.quantizer.encode(latents.roll(1, -1), self.num_codebooks)


def louder(self, quantized):
    return 2 * _sound(self, quantized)


def without_gradient(self, waveform):
    return self.network.latents(waveform).detach()


BROKEN = {
    "card": CARD_BREAKERS,
    "global state": {name: before_encoding(action) for name, action in STATE_BREAKERS.items()},
    "codes": {
        "encoding louder than full scale raises TokensError: code .* is not in 0..31": {
            "_encode": out_of_range
        },
        "encoding a tone raises CodecError: stranger-8k gave torch.int32 codes": {
            "_encode": lambda self, waveform: good_encode(self, waveform).int()
        },
    },
    "repeatable": {
        "two encodings of a tone differ, first at codebook": before_encoding(
            lambda self, waveform: waveform + torch.randn(waveform.shape)
        ),
        "two decodings of a tone differ": {"_decode": counting},
    },
    "tokens only": {
        "an instance that did not encode them gives another sound": {
            "_encode": remember, "_decode": recall,
        },
        "the same tokens give another sound after another clip was encoded": {
            "_encode": note_last, "_decode": play_last,
        },
    },
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
    "codebooks": {
        "of the codes change where later codebooks are left out": {"_encode": quiet_when_few},
        "decoding the first 1 codebooks raises IndexError: codebook 2": {"_decode": only_whole},
    },
    "channels": {
        "of the codes of a channel change with the other": before_encoding(normalised_over_batch),
    },
    "merge": {
        "merge=2 raises TokensError: codebook 0 changes more often than every 2": {
            "_encode": without_merging
        },
        "with stranger-8k:merge=2 raises ValueError: frames are not a multiple": {
            "_encode": cut_when_merged
        },
    },
    "batches": {
        "has other codes in a strict batch": {"encode_batch": reversed_batch},
        "its clips are not kept apart": before_encoding(normalised_over_batch),
    },
    "fast precision": {
        "precision=fast raises RuntimeError: expected Float": before_encoding(fails_when_fast),
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
    "tensor level": {
        "encode_codes gives other codes of a voice": {
            "encode_codes": lambda self, waveform: good_encode(self, -waveform)
        },
        "decode_codes makes another sound of a voice": {
            "decode_codes": lambda self, codes: good_decode(self, codes.flip(-1))
        },
        "quantize.encode_latents... gives other codes": in_steps(_quantize=shifted),
        "decode_latents.dequantize... makes another sound": in_steps(_decode_latents=louder),
        "a gradient through the codec raises": in_steps(_encode_latents=without_gradient),
        "codes that are floats: not refused": {"_checked_codes": lambda self, codes: codes.long()},
    },
    "training mode": {
        "changes the codes": {
            "_codes_of": never_in_eval
        },
        "in another mode": {"decode": left_in_eval},
    },
    "ambient state": {
        "a default dtype of float64 changes the codes": {"encode": louder_in_float64},
        "with another default device raises": {"encode": on_the_default_device},
        "inference mode makes inference tensors": {"decode": as_the_caller},
        "loaded with another default dtype": {
            "__init__": noting_the_dtype,
            "_encode": lambda self, waveform: good_encode(self, waveform * self.gain),
        },
    },
    "simultaneous calls": {
        "of the codes of .* change beside another thread": before_encoding(by_way_of_itself),
    },
    "threads": {
        "of the codes change with the number of threads": before_encoding(
            lambda self, waveform: waveform + 0.1 * torch.get_num_threads()
        ),
    },
    "bad sounds": {
        "NaN: not refused": {"encode": forgiving},
        "a missing file raises ValueError: no, which is no AudiotokError": {"encode": rude},
        "the message on NaN has several lines": {"encode": talkative},
    },
    "bad tokens": {
        "tokens of another fingerprint: not refused": {"_check": trusting},
        "a tensor in the place of tokens: not refused|fingerprint": {"decode": takes_anything},
    },
}  # fmt: skip

PROCESS = """
import os
from support.stranger_codec import Stranger as Good

class Stranger(Good):
    CARDS = tuple(c.model_copy(update={{"name": "{name}", "family": "{name}"}}) for c in Good.CARDS)

    def {method}
"""
METHODS = {
    "it has other codes": "_encode(self, w): return super()._encode(w + hash('a') % 97 / 97)",
    "another process makes another sound": (
        "_decode(self, c): return super()._decode(c) * os.getpid()"
    ),
    "its fingerprint is another": (
        "_codebooks(self): return [b * hash('a') for b in super()._codebooks()]"
    ),
    "it raises": "_load(self, c): super()._load(c); os.environ['A_STRANGER']",
}  # fmt: skip
