"""A codec as a map between mono sounds and vectors: embedded codes, or the latents before them.

Both go through the tensor methods of the codec. Codes are made into `Tokens`, written and read
again, before they become sound, as everywhere in `bench`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from audiotok.errors import CodecError
from audiotok.sound.audio import Audio
from audiotok.system.failures import is_transient
from audiotok.tokens.tokens import Tokens

if TYPE_CHECKING:
    from audiotok.codec.codec import Codec


def unsuited(codec: Codec, sound: Audio) -> str | None:
    """One line why this codec has no vectors that a model could map; None if it has.

    Args:
        sound: any that the codec can encode.
    """
    card = codec.card
    if card.needs:
        return f"{card.name} has no decoder"
    if card.byte_stream:
        return f"{card.name} is a byte stream: it has no latents"
    try:
        latents = latents_of(codec, sound)
        embedded = quantized(codec, latents)
    except CodecError as reason:
        if is_transient(reason):
            raise
        return str(reason)
    if latents.shape != embedded.shape:
        return (
            f"{card.name} quantizes latents {tuple(latents.shape)} to vectors "
            f"{tuple(embedded.shape)}: the model needs equal shapes"
        )
    return None


def latents_of(codec: Codec, sound: Audio) -> Tensor:
    """(D, T): the latents of a sound."""
    card = codec.card
    waveform = sound.resample(card.sample_rate_in).to_channels(card.channels).waveform
    latents = codec.encode_latents(waveform[None].to(codec.device))
    return latents[0, :, : codec.num_frames(waveform.shape[-1])].cpu()


def quantized(codec: Codec, latents: Tensor) -> Tensor:
    """The quantized vectors (..., D, T) of the codes of latents (..., D, T)."""
    batch = latents if latents.ndim == 3 else latents[None]
    embedded = codec.dequantize(codec.quantize(batch.to(codec.device))).cpu()
    return embedded.reshape(*latents.shape[:-2], *embedded.shape[-2:])


def sound_of_codes(codec: Codec, vectors: Tensor, like: Audio) -> Audio:
    """The sound of the codes that the codec's quantizer finds for vectors (D, T), at the rate and
    length of the sound `like`."""
    codes = codec.quantize(vectors[None].to(codec.device))
    tokens = codec.tokens(codes.cpu(), like.num_samples, like.sample_rate)
    return codec.decode(Tokens.from_bytes(tokens.to_bytes()), like.sample_rate).to_channels(1)


def sound_of_vectors(codec: Codec, vectors: Tensor, like: Audio) -> Audio:
    """The sound that the decoder makes of vectors (D, T) as they are."""
    waveform = codec.decode_latents(vectors[None].to(codec.device))[0].cpu()
    sound = Audio(waveform, codec.card.sample_rate_out).resample(like.sample_rate).to_channels(1)
    missing = like.num_samples - sound.num_samples
    padded = torch.nn.functional.pad(sound.waveform, (0, max(0, missing)))
    return Audio(padded[:, : like.num_samples], like.sample_rate)
