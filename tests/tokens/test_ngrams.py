"""N-gram models: against the formula written out for one code, and on sources of known entropy."""

from collections import Counter

import numpy as np
import pytest

from audiotok.tokens.ngrams import held_out_bits


def _bigram(taught, before, code, size):
    """Interpolated Kneser-Ney of order 2, counted naively."""
    pairs = Counter(pair for row in taught for pair in zip(row, row[1:], strict=False))
    preceded = Counter(second for _, second in pairs)

    def discount(counter):
        once = sum(c == 1 for c in counter.values())
        twice = sum(c == 2 for c in counter.values())
        return min(max(once / max(once + 2 * twice, 1), 0.05), 0.95)

    d, total = discount(preceded), sum(preceded.values())
    lower = (max(preceded[code] - d, 0) + d * len(preceded) / size) / total
    d, seen = discount(pairs), sum(c for pair, c in pairs.items() if pair[0] == before)
    if not seen:
        return lower
    kinds = sum(pair[0] == before for pair in pairs)
    return (max(pairs[before, code] - d, 0) + d * kinds * lower) / seen


def test_by_the_formula():
    generator = np.random.default_rng(0)
    clips = [generator.integers(0, 6, 25) ** 2 // 6 for _ in range(4)]
    result = held_out_bits([[clip] for clip in clips], 8, order=2, folds=4)
    for held, clip in enumerate(clips):
        taught = [other.tolist() for i, other in enumerate(clips) if i != held]
        expected = [_bigram(taught, a, b, 8) for a, b in zip(clip, clip[1:], strict=False)]
        np.testing.assert_allclose(2.0 ** -result[held][1], expected, rtol=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_probabilities_of_all_codes_sum_to_one(order):
    generator = np.random.default_rng(1)
    taught = [[generator.integers(0, 5, 40)] for _ in range(3)]
    total = 0.0
    for code in range(7):  # 5 and 6 were never seen
        tried = [[np.array([2, 3, code])]]
        total += 2.0 ** -held_out_bits([*taught, *tried], 7, order, folds=4)[3][order - 1][-1]
    assert total == pytest.approx(1, abs=1e-12)


def test_more_context_helps_where_there_is_some():
    """Code t is the sum of the two before it: unknown to orders 1 and 2, certain to order 3."""
    generator = np.random.default_rng(0)
    clips = []
    for _ in range(60):
        row = list(generator.integers(0, 16, 2))
        for _ in range(100):
            row.append((row[-1] + row[-2] + generator.integers(2)) % 16)
        clips.append([np.array(row)])
    one, two, three = (np.mean([c[o].mean() for c in held_out_bits(clips, 16)]) for o in range(3))
    assert one == pytest.approx(4, abs=0.05) and two == pytest.approx(4, abs=0.1)
    assert 1 <= three < 1.2


def test_nothing_of_the_clip_itself_is_used():
    """Each clip repeats a code of its own: others cannot know it."""
    clips = [[np.full(50, code)] for code in range(8)]
    for bits in held_out_bits(clips, 8, folds=8):
        assert (bits > 3).all()


def test_shapes_and_channels():
    rows = [[np.arange(5), np.arange(5)], [np.arange(2)], [np.arange(7)]]
    assert [b.shape for b in held_out_bits(rows, 8)] == [(3, 6), (3, 0), (3, 5)]
