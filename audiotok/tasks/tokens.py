"""Tokens: bitrates of the codes, usage of the codebooks, and how predictable the codes are.

Usage and perplexity grow with the number of codes counted, n. They are given with n and with a
ceiling, the value for uniformly distributed codes at this n: a codebook is badly used only if the
number is well below its ceiling. Entropies are corrected for n, see `audiotok.tokens.entropy`; the
conditional entropy of a code given the previous one is left out if so few pairs were seen
(`pair_coverage` below 0.75) that no correction helps. N-grams need none: each clip is scored by a
model of the other clips, see `audiotok.tokens.ngrams`. Numbers of each codebook are in the
summary's details.

Only free codes count. N-grams and compression take at most the first 2^18 codes of a codebook.
"""

from __future__ import annotations

import lzma
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotok.tasks import Column, Item, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas

    from audiotok.codec.codec import Codec
    from audiotok.data import Corpus
    from audiotok.tokens.tokens import Tokens

LIMIT = 2**18
"""Codes of a codebook that n-grams and compression use: an hour at 75 per second."""
MIN_COVERAGE = 0.75
"""Coverage of pairs (Good's estimate) below which no conditional entropy is given: for Markov
chains with Zipf-distributed transitions the estimate is too low by less than 0.4 bit above this
coverage, and by 1 bit or more below."""


class TokenStatistics(Task):
    """Bitrates and predictability of each clip; entropy, usage, perplexity of the whole corpus.

    Nothing is ranked. Bitrates are costs, and a codec whose codes never change has the lowest
    entropy and the most predictable codes. For usage and perplexity higher is not better: random
    codes have the highest.
    """

    name = "tokens"
    version = 2
    ranked = ()
    costs = ("bitrate", "token_rate", "entropy_bitrate")
    concludes = True
    reconstructs = False
    columns = (
        Column("token_rate", "token/s", None, 1, "free codes of all codebooks per second"),
        Column(
            "bitrate",
            "bit/s",
            False,
            0,
            "log2(size) bits for each free code, plus side bits",
        ),
        Column("entropy_bitrate", "bit/s", False, 0, "by the entropy of codes, plus side bits"),
        Column("ngram_bitrate", "bit/s", False, 0, "by trigrams of other clips, plus side bits"),
        Column("file_bitrate", "bit/s", False, 0, "from the bytes of whole .atok files"),
        Column("codebook_usage", "", True, 3, "share of codes seen, mean over codebooks"),
        Column(
            "codebook_usage_ceiling", "", None, 3, "usage of uniform random codes at the same n"
        ),
        Column("perplexity", "", True, 0, "2 to the mean entropy of a code over codebooks"),
        Column("perplexity_ceiling", "", None, 0, "that of uniform random codes at the same n"),
        Column("codes_counted", "", None, 0, "n: codes seen in the codebook with the fewest"),
        Column(
            "entropy",
            "bit",
            None,
            2,
            "of a code, corrected for n (Chao, Wang, Jost), mean over codebooks",
        ),
        Column(
            "conditional_entropy",
            "bit",
            None,
            2,
            "given the code before, corrected for n, where pairs are covered",
        ),
        Column("pair_coverage", "", None, 2, "probability that the next pair of codes was seen"),
        Column("ngram_bits", "bit", None, 2, "of a code by trigrams of other clips"),
        Column(
            "ngram_predictability",
            "",
            None,
            3,
            "share of the bits that knowing the two codes before saves",
        ),
        Column("lzma_ratio", "", None, 3, "bits after LZMA for each bit of log2(size)"),
    )

    def score(self, item: Item) -> dict[str, float]:
        return _rates([item.tokens]) if item.tokens is not None else {}

    def conclude(
        self,
        corpus: Corpus,
        tokens: Sequence[Tokens | None] | None,
        note: Callable[[str], None],
        codec: Codec | None = None,
    ) -> dict[int, dict[str, float]]:
        """N-gram columns of each clip; none if there is no other clip to train a model on."""
        coded = {i: clip for i, clip in enumerate(tokens or ()) if clip is not None}
        if len(coded) < 2:
            return {}
        return dict(zip(coded, _ngram_rows(list(coded.values())), strict=True))

    def summarise(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, float]:
        if not tokens:
            return {}
        from audiotok.tokens.tokens import entropy_bitrate

        tokens = list(tokens)
        counts = _counts(tokens)
        conditional, coverages = _conditional(tokens)
        totals = {
            **_rates(tokens),
            "entropy_bitrate": entropy_bitrate(tokens),
            **usage(counts),
            "entropy": float(np.mean(_entropies(counts))),
            "pair_coverage": float(np.mean(coverages)),
            "lzma_ratio": _lzma_ratio(tokens),
        }
        if None not in conditional:
            totals["conditional_entropy"] = float(np.mean(conditional))
        return totals

    def basis(self, column: str) -> str:
        return column if column.startswith("ngram_") else "token_rate"

    def details(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, Any]:
        """Usage, perplexity and entropies of each codebook."""
        if not tokens:
            return {}
        tokens = list(tokens)
        counts = _counts(tokens)
        usages = [usage([c]) for c in counts]
        conditional, coverages = _conditional(tokens)
        return {
            **{key: [u[key] for u in usages] for key in usages[0]},
            "entropy": _entropies(counts),
            "conditional_entropy": conditional,
            "pair_coverage": coverages,
        }


def _rates(tokens: list[Tokens]) -> dict[str, float]:
    """Totals over all clips, so that long clips count for more."""
    seconds = sum(t.duration for t in tokens)
    return {
        "token_rate": sum(free.numel() for t in tokens for free in t.free_codes) / seconds,
        "bitrate": sum(t.num_bits for t in tokens) / seconds,
        "file_bitrate": sum(8 * len(t.to_bytes()) for t in tokens) / seconds,
    }


def _counts(tokens: list[Tokens]) -> list[np.ndarray]:
    """For each codebook, how often each of its V codes occurs, (V,)."""
    return [
        sum(np.bincount(t.free_codes[k].numpy().ravel(), minlength=size) for t in tokens)
        for k, size in enumerate(tokens[0].codebook_sizes)
    ]


def _entropies(counts: list[np.ndarray]) -> list[float]:
    from audiotok.tokens.entropy import entropy

    return [entropy(c, len(c)) for c in counts]


def _conditional(tokens: list[Tokens]) -> tuple[list[float | None], list[float]]:
    """For each codebook the conditional entropy, None if the coverage is too low; coverage."""
    from audiotok.tokens.entropy import conditional_entropy, coverage, pair_counts

    entropies, coverages = [], []
    for k, size in enumerate(tokens[0].codebook_sizes):
        rows = [row for t in tokens for row in t.free_codes[k].numpy()]
        pairs = pair_counts(rows, size)
        coverages.append(coverage(pairs) if len(pairs) else 0.0)
        enough = coverages[-1] >= MIN_COVERAGE
        entropies.append(conditional_entropy(rows, size) if enough else None)
    return entropies, coverages


def _ngram_rows(tokens: list[Tokens]) -> list[dict[str, float]]:
    """The n-gram columns of each clip; a clip of fewer than three codes has none."""
    from audiotok.tokens.ngrams import held_out_bits

    limit = max(3, LIMIT // len(tokens))
    bits = [
        held_out_bits([list(t.free_codes[k][:, :limit].numpy()) for t in tokens], size)
        for k, size in enumerate(tokens[0].codebook_sizes)
    ]
    rows = []
    for clip, clip_bits in zip(tokens, zip(*bits, strict=True), strict=True):
        if not all(b.size for b in clip_bits):
            rows.append({})
            continue
        # (K,) bits of a code, by unigrams and by trigrams
        unigram, *_, trigram = np.array([b.mean(axis=1) for b in clip_bits]).T
        sizes = [free.numel() for free in clip.free_codes]
        rows.append({
            "ngram_bits": float(trigram.mean()),
            "ngram_bitrate": float(trigram @ sizes + clip.other_bits) / clip.duration,
            "ngram_predictability": float(1 - trigram.sum() / unigram.sum()),
        })  # fmt: skip
    return rows


def _lzma_ratio(tokens: list[Tokens]) -> float:
    """Bits of the codes of all clips, frame by frame, in one LZMA stream, divided by sum of
    log2(V)."""
    sizes = tokens[0].codebook_sizes
    kind = np.min_scalar_type(max(sizes) - 1).newbyteorder("<")
    limit = max(1, LIMIT // len(tokens))
    rows = [[free[:, :limit].numpy() for free in t.free_codes] for t in tokens]
    strides, merged = tokens[0].strides, tokens[0].merged_codebooks
    if len(set(strides)) == 1 and merged in (0, len(strides)):  # codes of one frame side by side
        stream = b"".join(np.stack(row, -1).astype(kind).tobytes() for row in rows)
    else:
        stream = b"".join(free.astype(kind).tobytes() for row in rows for free in row)
    width = kind.itemsize.bit_length() - 1
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "pb": width, "lp": width, "lc": 3 - width}]
    packed = 8 * len(lzma.compress(stream, lzma.FORMAT_RAW, filters=filters))
    raw = sum(free.size * math.log2(v) for row in rows for free, v in zip(row, sizes, strict=True))
    return packed / raw


def usage(counts: list[np.ndarray]) -> dict[str, float]:
    """Usage and perplexity with their ceilings, from the counts (V,) of each codebook."""
    from audiotok.tokens.entropy import plug_in

    sizes = [(int(c.sum()), len(c)) for c in counts]
    return {
        "codebook_usage": float(np.mean([np.mean(c > 0) for c in counts])),
        "codebook_usage_ceiling": float(np.mean([1 - (1 - 1 / v) ** n for n, v in sizes])),
        "perplexity": float(2 ** np.mean([plug_in(c) for c in counts])),
        "perplexity_ceiling": float(2 ** np.mean([uniform_entropy(n, v) for n, v in sizes])),
        "codes_counted": float(min(n for n, _ in sizes)),
    }


def uniform_entropy(n: int, size: int) -> float:
    """Expected entropy, in bits, of the frequencies of n codes drawn uniformly from `size`."""
    from scipy.stats import binom

    spread = 12 * np.sqrt(n / size) + 30
    counts = np.arange(max(1, int(n / size - spread)), min(n, int(n / size + spread)) + 1)
    share = counts / n
    return float(-size * np.sum(binom.pmf(counts, n, 1 / size) * share * np.log2(share)))
