"""Codecs that break one promise each, on purpose: of every promise those that break it.

BROKEN: promise -> {pattern of the counter-example: what the class has instead}.
"""

import torch

from audiotok.errors import AudioError, CodecError
from audiotok.sound.audio import Audio
from support import broken_in_time, broken_state
from support.breaking import CARD, before_encoding, card, good_decode, good_encode
from support.stranger_codec import HOP, Stranger

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


def silent(self, codes):
    raise CodecError("silent")


BROKEN = {
    "card": CARD_BREAKERS,
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
    "bad sounds": {
        "NaN: not refused": {"encode": forgiving},
        "a missing file raises ValueError: no, which is no AudiotokError": {"encode": rude},
        "the message on NaN has several lines": {"encode": talkative},
    },
    "bad tokens": {
        "tokens of another fingerprint: not refused": {"_check": trusting},
        "a tensor in the place of tokens: not refused|fingerprint": {"decode": takes_anything},
    },
    "no decoder": {
        "decode works, but the card says that there is no decoder": {
            **card(needs="a vocoder"), "decode": lambda self, tokens, sample_rate=None: None,
        },
        "decode_codes does not say in one line what it needs: .*silent": {
            **card(needs="a vocoder"), "decode_codes": silent,
        },
    },
    **broken_in_time.BROKEN,
    **broken_state.BROKEN,
}  # fmt: skip
