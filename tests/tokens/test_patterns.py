"""Patterns: by hand, there and back for any codebooks, and what is refused."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.token_kit import make, tokens_of

from audiotok.errors import TokensError
from audiotok.tokens.patterns import PATTERNS, SPECIAL, Vocabulary


def test_interleaved_by_hand():
    tokens = tokens_of([[0, 1, 2], [3, 4, 5]], (10, 20))
    assert tokens.to_sequence().tolist() == [0, 13, 1, 14, 2, 15]
    assert tokens.to_sequence(offset=100).tolist() == [100, 113, 101, 114, 102, 115]
    slow = tokens_of([[7, 7, 8, 8, 9], [1, 2, 3, 4, 5]], (10, 20), (2, 1))
    assert slow.to_sequence().tolist() == [7, 11, 12, 8, 13, 14, 9, 15]


def test_the_other_patterns_by_hand():
    tokens = tokens_of([[0, 1, 2], [3, 4, 5]], (10, 20))
    assert tokens.to_sequence("parallel").tolist() == [[0, 1, 2], [13, 14, 15]]
    assert tokens.to_sequence("delay").tolist() == [[0, 1, 2, 30], [30, 13, 14, 15]]
    assert tokens.to_sequence("coarse_first").tolist() == [0, 1, 2, 13, 14, 15]
    slow = tokens_of([[7, 7, 8, 8, 9], [1, 2, 3, 4, 5]], (10, 20), (2, 1))
    assert slow.to_sequence("parallel").tolist() == [[7, 30, 8, 30, 9], [11, 12, 13, 14, 15]]
    assert slow.to_sequence("coarse_first").tolist() == [7, 8, 9, 11, 12, 13, 14, 15]
    assert slow.to_sequence("delay").tolist() == [
        [7, 30, 8, 30, 9, 30],
        [30, 11, 12, 13, 14, 15],
    ]


@pytest.mark.parametrize("pattern", ["parallel", "delay"])
def test_frames_without_a_free_code_get_no_column(pattern):
    """A single merged codebook has the sequence of the same codes at the merged rate."""
    merged = tokens_of([[7, 7, 8, 8, 9]], (10,), (2,))
    assert merged.to_sequence(pattern).tolist() == [[7, 8, 9]]
    both = tokens_of([[7, 7, 7, 7, 8, 8], [1, 1, 2, 2, 3, 3]], (10, 20), (4, 2))
    expected = {
        "parallel": [[7, 30, 8], [11, 12, 13]],
        "delay": [[7, 30, 8, 30], [30, 11, 12, 13]],
    }
    assert both.to_sequence(pattern).tolist() == expected[pattern]


def test_special_ids_by_hand():
    tokens = tokens_of([[0, 1], [3, 4]], (10, 20))
    behind = tokens.to_sequence("coarse_first", 5, ("bos", "eos", "sep"))
    assert behind.tolist() == [35, 5, 6, 37, 18, 19, 36]
    before = tokens.to_sequence("delay", 5, ("pad", "bos", "eos"), special_first=True)
    assert before.tolist() == [[6, 8, 9, 5, 7], [6, 5, 21, 22, 7]]
    vocabulary = Vocabulary((10, 20), 5, ("pad", "bos"))
    assert (vocabulary.id("pad"), vocabulary.id("bos"), vocabulary.end) == (35, 36, 37)


@given(
    st.lists(st.tuples(st.integers(2, 50), st.integers(1, 4)), min_size=1, max_size=4),
    st.integers(1, 40),
    st.integers(0, 1000),
    st.sampled_from(PATTERNS),
    st.permutations(SPECIAL),
    st.integers(0, 4),
    st.booleans(),
)
@settings(deadline=None, max_examples=300)
def test_there_and_back(books, num_frames, offset, pattern, names, count, special_first):
    sizes, strides = zip(*books, strict=True)
    tokens, special = make(sizes, strides, num_frames), names[:count]
    vocabulary = Vocabulary(sizes, offset, tuple(special), special_first)
    ids = tokens.to_sequence(pattern, offset, special, special_first)
    assert offset <= ids.min() and ids.max() <= vocabulary.end
    back = tokens.from_sequence(ids, pattern, offset, special, special_first)
    assert torch.equal(back.codes, tokens.codes) and back.num_samples == tokens.num_samples
    padding = ids.new_full((*ids.shape[:-1], 5), vocabulary.id("pad"))
    padded = torch.cat([ids, padding], dim=-1)  # as in a batch of several lengths
    back = tokens.from_sequence(padded, pattern, offset, special, special_first)
    assert torch.equal(back.codes, tokens.codes)


@given(
    st.lists(st.tuples(st.integers(2, 50), st.sampled_from([1, 2, 4])), min_size=1, max_size=4),
    st.integers(2, 40),
    st.data(),
    st.sampled_from(PATTERNS),
)
@settings(deadline=None, max_examples=200)
def test_fewer_whole_frames(books, num_frames, data, pattern):
    sizes, strides = zip(*books, strict=True)
    tokens = make(sizes, strides, num_frames)
    fewer = data.draw(st.integers(1, num_frames - 1))
    part = make(sizes, strides, fewer)
    back = tokens.from_sequence(part.to_sequence(pattern), pattern)
    unit = min(strides)  # within one code of the fastest codebook the number of frames is open
    assert fewer <= back.num_frames < fewer + unit or back.num_frames == tokens.num_frames
    for mine, official in zip(back.free_codes, part.free_codes, strict=True):
        assert torch.equal(mine, official)


@pytest.mark.parametrize(
    ("ids", "pattern", "message"),
    [
        ([0, 13, 1], "interleaved", "3 ids are no whole number of frames"),
        ([], "interleaved", "no whole number of frames"),
        ([0, 5], "interleaved", "code -5 in codebook 1"),
        ([0, 1, 13], "coarse_first", "no whole number of frames"),
        ([[0, 1]], "delay", "have shape \\(2, columns\\), not \\(1, 2\\)"),
        ([[0], [30]], "delay", "1 columns are no whole number"),
        ([[0, 1, 2, 3], [30, 13, 14, 15]], "delay", "4 columns are no whole number"),
        ([[0, 1, 2, 30], [10, 13, 14, 15]], "delay", "id 10 in row 1, column 0, .* id 30"),
        ([[30, 30], [30, 30]], "parallel", "no whole number"),
        ([0], "spiral", "one of parallel, .* not 'spiral'"),
        ([0], "flatten", "'flatten' is called 'interleaved'"),
    ],
)
def test_refuses_sequences(ids, pattern, message):
    tokens = tokens_of([[0, 1, 2], [3, 4, 5]], (10, 20))
    with pytest.raises(TokensError, match=message):
        tokens.from_sequence(torch.tensor(ids, dtype=torch.int64), pattern)
    if pattern in ("spiral", "flatten"):
        with pytest.raises(TokensError, match=message):
            tokens.to_sequence(pattern)


def test_refuses_separators_and_special_ids():
    tokens = tokens_of([[0, 1, 2], [3, 4, 5]], (10, 20))
    ids = tokens.to_sequence("coarse_first", special=("sep",))
    ids[3] = 0
    with pytest.raises(TokensError, match="id 0 at 3 is not the separator 30 .* codebook 1"):
        tokens.from_sequence(ids, "coarse_first", special=("sep",))
    for special in (("end",), ("pad", "pad")):
        with pytest.raises(TokensError, match="special ids are some of"):
            tokens.to_sequence(special=special)
    with pytest.raises(TokensError, match="offset is an integer"):
        tokens.to_sequence(offset=-1)
    with pytest.raises(TokensError, match="one channel"):
        make((4,), (1,), channels=2).to_sequence()


@pytest.mark.parametrize("ids", [list, lambda i: i.int(), lambda i: i.numpy(), torch.Tensor.tolist])
def test_ids_of_any_integers(ids):
    tokens = tokens_of([[0, 1, 2], [3, 4, 5]], (10, 20))
    again = tokens.from_sequence(ids(tokens.to_sequence()))
    assert torch.equal(again.codes, tokens.codes)


@pytest.mark.parametrize("ids", [[0.5, 1.5], torch.zeros(4), torch.zeros(4).bool(), "ab", [[1], 2]])
def test_what_are_no_ids(ids):
    with pytest.raises(TokensError, match="ids"):
        tokens_of([[0, 1, 2], [3, 4, 5]], (10, 20)).from_sequence(ids)


@pytest.mark.parametrize("strides", [(1, 1, 1), (4, 2, 1), (1, 3, 2), (2, 4, 2)])
@pytest.mark.parametrize("special", [(), ("bos", "eos", "pad")])
@pytest.mark.parametrize("pattern", ["parallel", "delay", "interleaved"])
def test_a_sequence_that_stopped_early_is_trimmed(pattern, special, strides, caplog):
    """Whatever the length: the frames that are whole come back, and what was left out is said."""
    generator = torch.Generator().manual_seed(0)
    frames = 12
    rows = [
        torch.randint(9, (-(-frames // s),), generator=generator).repeat_interleave(s)[:frames]
        for s in strides
    ]
    tokens = tokens_of([row.tolist() for row in rows], (9, 9, 9), strides)
    ids = tokens.to_sequence(pattern, special=special)
    shortest = ("bos" in special) + (1 if pattern == "parallel" else 3)
    for length in range(ids.shape[-1] + 1):
        caplog.clear()
        stopped = ids[..., :length]
        if length < shortest:
            with pytest.raises(TokensError, match="no whole number of frames"):
                tokens.from_sequence(stopped, pattern, special=special, trim=True)
            continue
        result = tokens.from_sequence(stopped, pattern, special=special, trim=True)
        assert torch.equal(result.codes, tokens.codes[..., : result.num_frames])
        lost = sum(free.numel() for free in tokens.free_codes) - sum(
            free.numel() for free in result.free_codes
        )
        if length == ids.shape[-1]:
            assert not lost and not caplog.messages
        if caplog.messages:
            assert "ids of an incomplete frame were dropped" in caplog.text
        if pattern == "parallel":
            unit = math.gcd(*strides)
            assert result.num_frames == min((length - ("bos" in special)) * unit, frames)


def test_trimming_is_asked_for():
    tokens = tokens_of([[0, 1, 2], [3, 4, 5]], (10, 20))
    with pytest.raises(TokensError, match="5 ids are no whole number of frames: trim=True drops"):
        tokens.from_sequence(tokens.to_sequence()[:-1])
    with pytest.raises(TokensError, match="coarse_first cannot be trimmed"):
        tokens.from_sequence(tokens.to_sequence("coarse_first")[:-1], "coarse_first", trim=True)
