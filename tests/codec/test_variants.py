"""The options in a codec's name, and the card they make."""

import pytest
from support import tiny_codec

from audiotok.codec.merged import merge_type
from audiotok.codec.variants import one_of, parse_options, vary
from audiotok.errors import CodecError

CARD = tiny_codec.Tiny.CARDS[0].model_copy(update={"codebook_counts": (1, 2), "mergeable": True})


def test_parsing():
    known = {"k": int, "loud": float}
    assert parse_options("a:k=2,loud=0.5", known) == ("a", {"k": 2, "loud": 0.5})
    assert parse_options("a", known) == ("a", {})
    for name, message in (
        ("a:x=1", "a has no option 'x=1'; options: k, loud"),
        ("a:k", "a has no option 'k'"),
        ("a:k=two", "option k of a is a int, not 'two'"),
        ("a:k=1,k=2", "option k of a is given twice"),
    ):
        with pytest.raises(CodecError, match=message):
            parse_options(name, known)
    with pytest.raises(CodecError, match="it has none"):
        parse_options("a:x=1", {})
    with pytest.raises(CodecError, match="is a choice of mix, each, not 'both'"):
        parse_options("a:channels=both", {"channels": one_of("mix", "each")})
    for text in ("0", "2/0", "two", "", "1.5"):
        with pytest.raises(CodecError, match="option merge of a is a list of whole numbers"):
            parse_options(f"a:merge={text}", {"merge": merge_type})


def test_options_go_into_the_name_and_the_numbers():
    varied = vary(CARD, "merge=3, codebooks=1", {})
    assert varied.name == "tiny-a:codebooks=1,merge=3"
    assert varied.options == {"codebooks": 1, "merge": (3,)}
    assert (varied.codebook_sizes, varied.strides) == ((6,), (6,))  # its stride was 2
    assert "plain pooling" in varied.description
    both = vary(CARD, "merge=1/4", {})
    assert both.strides == (2, 4)
    assert both.token_rate == 100 / 2 + 100 / 4
    assert vary(CARD, "", {}) == CARD


def test_own_options_and_those_of_any_codec():
    varied = vary(CARD, "loudness=0.5,channels=each,precision=fast", {"loudness": float})
    assert varied.options == {"loudness": 0.5, "channels": "each", "precision": "fast"}
    with pytest.raises(CodecError, match="merge, layers, max_duration, channels, precision"):
        vary(CARD, "speed=2", {})
    plain = CARD.model_copy(update={"codebook_counts": (2,), "mergeable": False, "channels": 2})
    with pytest.raises(CodecError, match="options: precision"):
        vary(plain, "codebooks=1", {})


def test_numbers_that_a_codec_does_not_have():
    with pytest.raises(CodecError, match="cannot stop after 3 codebooks; allowed: 1, 2"):
        vary(CARD, "codebooks=3", {})
    with pytest.raises(CodecError, match="merge=2/2/2 names 3 codebooks, but tiny-a has 2"):
        vary(CARD, "merge=2/2/2", {})
