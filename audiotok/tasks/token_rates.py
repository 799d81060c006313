"""token_rates: tokens and bits per second of each utterance, where rates vary between clips.

Tokens are free codes: those of a segment count once, without its duration, whose bits are in
`utterance_bitrate`. `bpe_rate` is the rate after lossless byte-pair encoding (`audiotok fit-bpe`)
that was fitted to the training clips; only test clips have it. Without a split every fifth clip is
a test clip.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from audiotok.errors import AudiotokError
from audiotok.tasks import Column, Item, Task

if TYPE_CHECKING:
    import pandas

    from audiotok.codec.codec import Codec
    from audiotok.data import Corpus
    from audiotok.tokens.tokens import Tokens


class TokenRates(Task):
    """Mean and 95th percentile over utterances. Rates are costs: nothing is ranked."""

    name = "token_rates"
    ranked = ()
    costs = ("utterance_token_rate", "utterance_bitrate")
    concludes = True
    reconstructs = False
    columns = (
        Column("utterance_token_rate", "token/s", False, 1, "free codes per second, mean of clips"),
        Column("utterance_token_rate_p95", "token/s", False, 1, "95th percentile over clips"),
        Column("utterance_bitrate", "bit/s", False, 0, "with the bits of durations, mean of clips"),
        Column("utterance_bitrate_p95", "bit/s", False, 0, "95th percentile over clips"),
        Column("bpe_rate", "token/s", False, 1, "after BPE fitted to other clips"),
    )

    def left_out(self) -> dict[str, str]:
        try:
            import tokenizers  # noqa: F401
        except ImportError:
            return {"bpe_rate": "needs tokenizers: pip install 'audiotok[bpe]'"}
        return {}

    def score(self, item: Item) -> dict[str, float]:
        if (tokens := item.tokens) is None:
            return {}
        count = sum(free.numel() for free in tokens.free_codes)
        return {
            "utterance_token_rate": count / tokens.duration,
            "utterance_bitrate": tokens.bitrate,
        }

    def conclude(
        self,
        corpus: Corpus,
        tokens: Sequence[Tokens | None] | None,
        note: Callable[[str], None],
        codec: Codec | None = None,
    ) -> dict[int, dict[str, float]]:
        from audiotok.probes import splits
        from audiotok.tasks import _bpe

        if tokens is None or self.left_out():
            return {}
        try:
            split = splits.of_clips(corpus)
            train, test = (
                [i for i in part if tokens[i] is not None] for part in (split.train, split.test)
            )
            convert = _bpe.fitted([tokens[i] for i in train])
            coded = {i: convert(tokens[i]) for i in test}
        except AudiotokError as reason:  # no clips, several channels, bytes
            note(f"bpe_rate left out: {reason}")
            return {}
        return {i: {"bpe_rate": clip.num_frames / clip.duration} for i, clip in coded.items()}

    def summarise(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, float]:
        names = [n for n in ("utterance_token_rate", "utterance_bitrate") if n in rows]
        return {f"{n}_p95": float(rows[n].quantile(0.95)) for n in names if rows[n].notna().any()}

    def basis(self, column: str) -> str:
        return column.removesuffix("_p95")
