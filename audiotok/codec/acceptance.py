"""Which tokens a codec can decode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiotok.codec.card import CodecCard
from audiotok.errors import CodecError
from audiotok.sound.resampling import resampled_length
from audiotok.tokens.tokens import Tokens

if TYPE_CHECKING:
    from audiotok.codec.tensor_level import TensorLevel


def no_decoder(card: CodecCard, needed: str = "") -> CodecError:
    """The error for decoding without a decoder; `needed`: for it, if the card does not say."""
    return CodecError(f"{card.name} has no decoder: it needs {card.needs or needed}")


def check_decodable(codec: TensorLevel, tokens: Tokens) -> None:
    """Raises CodecError unless the codec could decode `tokens`, if it has a decoder."""
    card = codec.card
    if not isinstance(tokens, Tokens):
        raise CodecError(
            f"decode takes Tokens, not {type(tokens).__name__}: make them of codes with "
            "codec.tokens(codes), or decode a batch with codec.decode_codes(codes)"
        )
    if tokens.needs and not card.needs:
        raise no_decoder(card, tokens.needs)
    if tokens.global_codes is not None:
        raise CodecError(f"{card.name} takes no global codes")
    if tokens.fingerprint != codec.fingerprint:
        raise CodecError(
            f"tokens of {tokens.codec} (fingerprint {tokens.fingerprint[:12]}) cannot be "
            f"decoded by {card.name} (fingerprint {codec.fingerprint[:12]}): "
            "decode them with the codec and weights that made them"
        )
    separate, count = tokens.codes.shape[:2]
    fits = tokens.codebook_sizes == card.codebook_sizes[:count]
    if not fits or count not in card.codebook_counts or separate * card.channels > 2:
        raise CodecError(
            f"{card.name} decodes codebooks of {card.codebook_sizes}, {card.channels} "
            f"channel(s) at a time, not {separate} of {tokens.codebook_sizes}"
        )
    length = resampled_length(tokens.num_samples, tokens.sample_rate, card.sample_rate_in)
    if not card.byte_stream and tokens.num_frames != codec.num_frames(length):
        raise CodecError(
            f"{tokens.num_frames} frames do not fit {tokens.num_samples} samples at "
            f"{tokens.sample_rate} Hz, for which {card.name} has {codec.num_frames(length)}"
        )
