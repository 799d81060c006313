"""Codecs of one setting by bitrate band, and the Pareto fronts of quality against cost. No torch.

Codecs are ranked within a band, since codecs at 0.5 and at 24 kbit/s are not alternatives. A rate
of exactly 1.5, 3 or 6 kbit/s belongs to the band that ends there, one of exactly 0.75 to the band
that begins there. The rate is that of the card, as papers state it. Where the measured rate is
higher than padding of the last frame explains (side information, byte streams), it is used instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from audiotok.results.ranking import RANKED, Ranking, Standing, declared_columns, rank
from audiotok.results.results import Result, columns

BANDS = (  # kbit/s
    "below 0.75 kbit/s", "0.75 to 1.5 kbit/s", "1.5 to 3 kbit/s", "3 to 6 kbit/s",
    "above 6 kbit/s",
)  # fmt: skip
UNKNOWN = "bitrate not known"
MARKS = "◆◇"  # on the front against the bitrate, against bits under a language model
LEGEND = (
    "◆ on the Pareto front of this column against the bitrate",
    "◇ on its front against the bits under a language model",
)
PADDING = 1.05
"""Ratio of the measured to the nominal bitrate that padding of the last frames explains."""


@dataclass(frozen=True)
class Front:
    """A Pareto front.

    Attributes:
        cost, column: names of the columns.
        costs: {codec: cost} of all codecs compared.
        standing: their comparison in the column.
        codecs: those on the front, cheapest first.
    """

    cost: str
    column: str
    costs: dict[str, float]
    standing: Standing
    codecs: list[str]


@dataclass(frozen=True)
class Board:
    """One band: its results, cheapest first, and their ranks in each ranked column."""

    band: str
    results: list[Result]
    ranks: dict[str, dict[str, int]]

    def rank(self, column: str, codec: str) -> str:
        return shown_rank(self.ranks.get(column, {}), codec)


class Boards:
    """The ranks of each task of a setting, its fronts, and its boards."""

    def __init__(self, group: Sequence[Result]):
        self.group = list(group)
        self.tasks = list(dict.fromkeys(c["task"] for c in columns(group).values()))
        self.rankings: dict[str, Ranking | None] = {t: rank(group, t) for t in self.tasks}

    @cached_property
    def columns(self) -> list[str]:
        """The columns of boards: ranked columns in which codecs can be compared, and columns of
        fronts."""
        names = [
            name for ranking in self.rankings.values() if ranking for name in ranking.standings
        ]
        return list(dict.fromkeys([*names, *(front.column for front in self.main_fronts)]))

    @property
    def costs(self) -> list[str]:
        """Costs other than the bitrate: the bits under a language model, if they were measured."""
        return list(dict.fromkeys(f.cost for f in self.main_fronts if f.cost != "bitrate"))

    @cached_property
    def boards(self) -> list[Board]:
        """The bands that have a codec, lowest first."""
        floor = [result for result in self.group if result.role == "floor"]
        bands: dict[str, list[Result]] = {name: [] for name in (*BANDS, UNKNOWN)}
        for result in self.group:
            if result.role in RANKED:
                bands[band(result)].append(result)
        boards = []
        for name, members in bands.items():
            rankings = [rank([*members, *floor], task) for task in self.tasks] if members else []
            ranks = {
                key: column_ranks
                for ranking in rankings
                if ranking
                for key, column_ranks in ranking.columns.items()
            }
            members.sort(key=lambda result: (bitrate(result) or 0.0, result.codec))
            boards += [Board(name, members, ranks)] if members else []
        return boards

    @cached_property
    def fronts(self) -> list[Front]:
        """The front of each cost and column of quality for which two codecs have both."""
        standings: dict[str, Standing] = {}
        for task in self.tasks:
            ranking = rank(self.group, task, "quality") or self.rankings[task]
            standings |= ranking.standings if ranking else {}
        costs = {
            name: {r.codec: value for r in self.group if (value := _mean(r, name)) is not None}
            for task in self.tasks
            for name in declared_columns(self.group, task, "costs")
        }
        costs = {"bitrate": {r.codec: rate for r in self.group if (rate := bitrate(r))}} | costs
        fronts = []
        for cost, values in costs.items():
            for column, standing in standings.items():
                known_costs = {codec: values[codec] for codec in standing.means if codec in values}
                if len(known_costs) > 1:
                    fronts.append(
                        Front(cost, column, known_costs, standing, standing.front(known_costs))
                    )
        return fronts

    @property
    def main_fronts(self) -> list[Front]:
        """Fronts that pages name and draw: against the bitrate, and bits under a language model."""
        return [front for front in self.fronts if front.cost.startswith(("bitrate", "lm_bitrate"))]

    def on_fronts(self, column: str, codec: str) -> list[str]:
        """The costs for which a codec is on the main front of a column."""
        fronts = (front for front in self.main_fronts if front.column == column)
        return [front.cost for front in fronts if codec in front.codecs]

    def marks(self, column: str, codec: str) -> str:
        """MARKS of the fronts of a column that a codec is on."""
        return "".join(MARKS[cost != "bitrate"] for cost in self.on_fronts(column, codec))


def band(result: Result) -> str:
    """The band of a codec; UNKNOWN where no bitrate is known."""
    return band_of(bitrate(result), result.summary["codec"].get("bitrate"))


def band_of(rate: float | None, nominal: float | None = None) -> str:
    """The band of a measured bitrate, bit/s.

    Args:
        nominal: the rate of the card, used instead if `rate` is at most PADDING times as high.
    """
    if rate is None:
        return UNKNOWN
    if nominal and nominal <= rate <= PADDING * nominal:
        rate = nominal
    return BANDS[(rate >= 750) + sum(rate > edge for edge in (1500, 3000, 6000))]


def bitrate(result: Result) -> float | None:
    """The measured bitrate, bit/s; else that of the card."""
    return _mean(result, "bitrate") or result.summary["codec"].get("bitrate")


def shown_rank(ranks: dict[str, int], codec: str) -> str:
    """A rank as tables show it, with = if it is shared; "" if there is none."""
    if codec not in ranks:
        return ""
    return f"{'=' * (list(ranks.values()).count(ranks[codec]) > 1)}{ranks[codec]}"


def _mean(result: Result, column: str) -> float | None:
    return (result.scores.get(column) or {}).get("mean")
