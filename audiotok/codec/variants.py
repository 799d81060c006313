"""Variants: options in a codec's name, and the card that results from them.

    encodec-24k:codebooks=8,merge=2

Every codec takes those options of `common` that its card allows; a family may add its own. Options
are part of the name, so rows, files and pages show them.
"""

from __future__ import annotations

from collections.abc import Callable

from audiotok.codec.card import CodecCard
from audiotok.codec.merged import merge_type, merged_by
from audiotok.errors import CodecError

Options = dict[str, object]
Known = dict[str, Callable[[str], object]]


def one_of(*allowed: str) -> Callable[[str], str]:
    """A type of options that takes only these words."""

    def convert(text: str) -> str:
        if text not in allowed:
            raise ValueError(text)
        return text

    convert.__name__ = f"choice of {', '.join(allowed)}"
    return convert


def common(card: CodecCard) -> Known:
    """The options that any codec with such a card takes.

    codebooks: use only this many, from the first on.
    merge: VALL-E R's codec-merging at fixed rates, or by the similarity of frames, or of equal
        codes only, see `audiotok.codec.merged`. With the last two, layers is the number of merged
        codebooks (default: all), and max_duration the most frames that share codes.
    channels: for a codec with one channel: "mix" the channels (default) or code "each".
    precision: "exact" (float32, the default) or "fast" (bfloat16 where PyTorch deems it safe).
    """
    options: Known = {}
    if card.byte_stream or card.kind == "baseline":
        return options
    if len(card.codebook_counts) > 1:
        options["codebooks"] = int
    if card.mergeable:
        options["merge"] = merge_type
        options |= {"layers": int, "max_duration": int}
    if card.channels == 1:
        options["channels"] = one_of("mix", "each")
    options["precision"] = one_of("exact", "fast")
    return options


def parse_options(name: str, allowed: Known) -> tuple[str, Options]:
    """Splits "name:key=value,key=value" and converts the values to their types.

    Raises:
        CodecError: an unknown or repeated option, or a value that does not convert.
    """
    base, colon, text = name.rpartition(":")  # hf:org/name has a colon of its own
    base, text = (base, text) if colon else (name, "")
    options: Options = {}
    for part in filter(None, text.split(",")):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or key not in allowed:
            choice = ", ".join(allowed) or "it has none"
            raise CodecError(f"{base} has no option {part!r}; options: {choice}")
        if key in options:
            raise CodecError(f"option {key} of {base} is given twice: leave one out")
        try:
            options[key] = allowed[key](value)
        except ValueError:
            raise CodecError(
                f"option {key} of {base} is a {allowed[key].__name__}, not {value!r}"
            ) from None
    return base, options


def vary(
    card: CodecCard,
    text: str,
    family_options: Known,
    adapt: Callable[[CodecCard, Options], CodecCard] = lambda card, options: card,
) -> CodecCard:
    """`card` with the options in `text` ("key=value,...") applied and added to its name.

    Args:
        own: options of the family.
        adapt: applies these to the card.

    Raises:
        CodecError: an option that this codec does not take, or a value that does not fit it.
    """
    _, options = parse_options(f"{card.name}:{text}", {**family_options, **common(card)})
    varied = adapt(card, options)
    if (count := options.get("codebooks")) is not None:
        varied = _first(card, count)
    varied = merged_by(varied, options)
    if not options:
        return card
    text = ",".join(f"{key}={text_of(options[key])}" for key in sorted(options))
    return varied.model_copy(update={"name": f"{card.name}:{text}", "options": options})


def _first(card: CodecCard, count: int) -> CodecCard:
    """The card of the first `count` codebooks."""
    if count not in card.codebook_counts:
        allowed = ", ".join(map(str, card.codebook_counts))
        raise CodecError(f"{card.name} cannot stop after {count} codebooks; allowed: {allowed}")
    return card.model_copy(
        update={
            "codebook_sizes": card.codebook_sizes[:count],
            "strides": card.strides[:count],
            "codebook_counts": tuple(k for k in card.codebook_counts if k <= count),
        }
    )


def text_of(value: object) -> str:
    """The value of an option as it is written in a name."""
    return "/".join(map(str, value)) if isinstance(value, tuple) else str(value)
