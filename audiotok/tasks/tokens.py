"""Tokens: what the codes cost, and how much of their codebooks they use.

Usage and perplexity grow with the number of codes counted, n. They come with n and with the
ceiling that codes drawn evenly from the whole codebook would reach at this n: only a number well
below its ceiling says that a codebook is badly used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audiotok.tasks import Column, Item, Task

if TYPE_CHECKING:
    import pandas

    from audiotok.tokens import Tokens


class TokenStatistics(Task):
    """Bitrates of each clip; entropy, usage and perplexity of the whole corpus."""

    name = "tokens"
    version = 1
    columns = (
        Column("token_rate", "token/s", None, 1, "free codes of all codebooks per second"),
        Column("bitrate", "bit/s", False, 0, "log2(size) bits for each free code, plus side"),
        Column("entropy_bitrate", "bit/s", False, 0, "from code frequencies; too low at small n"),
        Column("file_bitrate", "bit/s", False, 0, "from the bytes of whole .atok files"),
        Column("codebook_usage", "", True, 3, "share of codes seen, mean over codebooks"),
        Column("codebook_usage_ceiling", "", None, 3, "usage of evenly drawn codes at the same n"),
        Column("perplexity", "", True, 0, "2 to the entropy of a code, geometric over codebooks"),
        Column("perplexity_ceiling", "", None, 0, "that of evenly drawn codes at the same n"),
        Column("codes_counted", "", None, 0, "n: codes seen in the codebook with the fewest"),
    )

    def score(self, item: Item) -> dict[str, float]:
        return _rates([item.tokens]) if item.tokens is not None else {}

    def summarise(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, float]:
        if not tokens:
            return {}
        from audiotok.tokens import entropy_bitrate

        return {
            **_rates(tokens),
            "entropy_bitrate": entropy_bitrate(tokens),
            **usage(_counts(tokens)),
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


def usage(counts: list[np.ndarray]) -> dict[str, float]:
    """Usage and perplexity with their ceilings from the counts (V,) of each codebook."""
    frequencies = [c[c > 0] / c.sum() for c in counts]
    entropies = [-np.sum(p * np.log2(p)) for p in frequencies]
    sizes = [(int(c.sum()), len(c)) for c in counts]
    return {
        "codebook_usage": float(np.mean([np.mean(c > 0) for c in counts])),
        "codebook_usage_ceiling": float(np.mean([1 - (1 - 1 / v) ** n for n, v in sizes])),
        "perplexity": float(2 ** np.mean(entropies)),
        "perplexity_ceiling": float(2 ** np.mean([even_entropy(n, v) for n, v in sizes])),
        "codes_counted": float(min(n for n, _ in sizes)),
    }


def even_entropy(n: int, size: int) -> float:
    """Expected entropy, in bits, of the frequencies of n codes drawn evenly from `size`."""
    from scipy.stats import binom

    spread = 12 * np.sqrt(n / size) + 30
    times = np.arange(max(1, int(n / size - spread)), min(n, int(n / size + spread)) + 1)
    share = times / n
    return float(-size * np.sum(binom.pmf(times, n, 1 / size) * share * np.log2(share)))
