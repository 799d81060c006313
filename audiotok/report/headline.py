"""The headline tables: for each domain, the few numbers by which codecs are chosen. No torch.

A table has the corpus on which most of these numbers were measured, the published samples of the
domain, and anchors. A column shows numbers of one version of its task and metric only. The bits
under a language model are measured on the corpus of the domain for which the suite `lm` was run.
The UTMOS is as published by the survey of tokenizers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from audiotok.report.boards import BANDS, UNKNOWN, band_of, bitrate
from audiotok.report.titles import title
from audiotok.results import published
from audiotok.results.results import Result, columns

DOMAINS = ("speech", "music", "audio")
CODECS, SAMPLES, SMALL, ANCHORS = SECTIONS = ("codecs", "samples", "small", "anchors")
SECTION_TITLES = {
    CODECS: "Codecs with their authors' weights, and classical codecs",
    SAMPLES: "Published samples of other codecs, measured here",
    SMALL: "Small codecs trained in this repository, and ablations",
    ANCHORS: "Anchors: the original, and random tokens",
}
PUBLISHED_MOS = "utmos_published"
_BITS = "lm_bitrate"
_COLUMNS = {
    "speech": (
        "pesq", "stoi", "wer", "dwer", "speaker_similarity", "distillmos", PUBLISHED_MOS, _BITS,
    ),
    "music": ("mel_distance", "stft_distance", "sdr", "visqol", _BITS),
    "audio": ("mel_distance", "stft_distance", "sdr", "visqol", _BITS),
}  # fmt: skip
_DOMAIN_WORDS = {
    "music": {"music", "musdb", "musdb18", "gtzan", "fma", "singing", "songs", "instruments"},
    "audio": {"audio", "audioset", "esc", "esc50", "fsd50k", "sounds", "environment", "clotho"},
}
_WER = re.compile(r"wer(_.+)?")
_DWER = re.compile(r"dwer(_.+)?")  # of published samples, whose original words are not known
_NO_WER = re.compile(r"closed|seed|diverged|area")  # other numbers whose names begin so
_FALLBACK = 6  # columns, where none of the above was measured


@dataclass(frozen=True)
class Column:
    """A column of a table: `key` names its cells, `source` the column of the results."""

    key: str
    source: str
    title: str
    unit: str
    digits: int
    higher_is_better: bool | None
    description: str

    @property
    def head(self) -> str:
        arrow = {True: " ↑", False: " ↓", None: ""}[self.higher_is_better]
        return f"{self.title}{', ' + self.unit if self.unit else ''}{arrow}"


@dataclass(frozen=True)
class Cell:
    """A number in the unit of its column, its 95 % interval, and the number of clips."""

    value: float
    interval: tuple[float, float] | None = None
    clips: int | None = None


@dataclass(frozen=True)
class Row:
    """One codec: bitrate in bit/s, and its cells by key."""

    result: Result
    section: str
    bitrate: float | None
    cells: dict[str, Cell]

    @property
    def codec(self) -> str:
        return self.result.codec

    @property
    def name(self) -> str:
        return short_name(self.codec)

    @property
    def marks(self) -> str:
        return self.result.marked_title.removeprefix(self.codec)

    @property
    def band(self) -> str:
        return band_of(self.bitrate, self.result.summary["codec"].get("bitrate"))


@dataclass(frozen=True)
class Headline:
    """The table of a domain.

    Attributes:
        group: results on the corpus of the table.
        sample_group: results on the corpus of the published samples.
        bits_group: results on the corpus of the bits under a language model.
    """

    domain: str
    columns: list[Column]
    rows: list[Row]
    group: list[Result]
    sample_group: list[Result] = field(default_factory=list)
    bits_group: list[Result] = field(default_factory=list)

    def section(self, name: str) -> list[Row]:
        return [row for row in self.rows if row.section == name]

    @property
    def corpus(self) -> dict[str, Any] | None:
        return self.group[0].summary["data"] if self.group else None

    @property
    def corpus_of_bits(self) -> dict[str, Any] | None:
        """The corpus of the bits under a language model; None if it is that of the table."""
        data = self.bits_group[0].summary["data"]
        shown = any(column.key == _BITS for column in self.columns)
        return data if shown and data != self.corpus else None


def domain_of(result: Result) -> str:
    """The domain of a result by the words in the names of its suite and corpus."""
    suite = result.summary["suite"]["name"]
    words = set(re.split(r"[^a-z0-9]+", result.summary["data"]["name"].lower()))
    words |= {suite} if suite in DOMAINS else set()
    return next((name for name, known in _DOMAIN_WORDS.items() if words & known), "speech")


def section_of(result: Result) -> str:
    """The part of a table that a codec belongs to."""
    codec = result.summary["codec"]
    if result.role in ("ceiling", "floor"):
        return ANCHORS
    if result.role == "given":
        return SAMPLES
    changed = set(codec.get("options") or {}) - {"codebooks"}
    bundled = (codec.get("weights") or {}).get("bundled")
    return SMALL if bundled or changed or "@" in result.codec else CODECS


def tables(complete: Sequence[Result], folder: Path | None = None) -> list[Headline]:
    """The table of each domain that was measured.

    Args:
        complete: results with all tasks and clips of their suite.
        folder: of published tables; None: no published numbers.
    """
    headlines = []
    for domain in DOMAINS:
        corpora: dict[tuple[str, str], list[Result]] = {}
        for result in complete:
            if domain_of(result) == domain:
                data = result.summary["data"]
                corpora.setdefault((data["name"], data["sha256"]), []).append(result)
        groups = [group for _, group in sorted(corpora.items())]
        if groups:
            headlines.append(_table(domain, groups, folder))
    return headlines


def _table(domain: str, groups: Sequence[list[Result]], folder: Path | None) -> Headline:
    """The table of a domain; `groups` are its results by corpus."""
    given = [group for group in groups if any(result.role == "given" for result in group)]
    cells_of = partial(_filled, domain=domain)
    ours = max((group for group in groups if group not in given), key=cells_of, default=[])
    sample_group = max(given, key=cells_of, default=[])
    keys = _sources(ours or sample_group, domain)
    if sample_group:
        keys = _sources(sample_group, domain) | keys
    facts_by_codec = published_facts(domain, folder)
    if dwer_column := _best_asr_column(sample_group, columns(sample_group), _DWER):
        keys["dwer"] = dwer_column
    bits = max(groups, key=lambda group: sum(_has(result, _BITS) for result in group))
    if any(_has(result, _BITS) for result in bits):
        keys[_BITS] = _BITS
    if any(PUBLISHED_MOS in facts_by_codec.get(result.codec, {}) for result in sample_group):
        keys[PUBLISHED_MOS] = PUBLISHED_MOS
    ordered_keys = [key for key in (*_COLUMNS[domain], *keys) if key in keys]
    by_name = columns([*sample_group, *bits, *ours])
    table_columns = [_column(key, keys[key], by_name) for key in dict.fromkeys(ordered_keys)]
    samples = [result for result in sample_group if result.role == "given"]
    numbers: dict[str, dict[str, Cell]] = {}
    for column in table_columns:
        groups_shown = {_BITS: [bits], "dwer": [samples]}.get(column.key, [samples, ours])
        for group in groups_shown:
            for codec, cell in _cells(group, column).items():
                numbers.setdefault(codec, {})[column.key] = cell
    result_by_codec: dict[str, Result] = {}
    for result in [*ours, *samples]:
        result_by_codec.setdefault(result.codec, result)
    rows = []
    for codec, result in result_by_codec.items():
        facts, cells = facts_by_codec.get(codec, {}), numbers.get(codec, {})
        if PUBLISHED_MOS in facts:
            cells[PUBLISHED_MOS] = Cell(facts[PUBLISHED_MOS])
        section = section_of(result)
        rates = (bitrate(other) for other in [*ours, *samples] if other.codec == codec)
        rate = next(filter(None, rates), None) or facts.get("bitrate")
        rate = None if section == ANCHORS else rate
        rate = rate if rate and rate > 0 else None
        rows.append(Row(result, section, rate, cells))
    rows.sort(key=lambda row: (SECTIONS.index(row.section), row.bitrate or 1e12, row.codec))
    return Headline(
        domain, table_columns, rows, group=ours, sample_group=sample_group, bits_group=bits
    )


def published_facts(domain: str, folder: Path | None) -> dict[str, dict[str, float]]:
    """{name of a published sample: its bitrate, bit/s, and published MOS}, by the survey."""
    table = f"dates_reconstruction_{domain}"
    if folder is None or not (folder / "SOURCES.yaml").is_file():
        return {}
    if table not in published.names(folder):
        return {}
    facts_of: dict[str, dict[str, float]] = {}
    names = published.samples(folder)
    frame = published.load(table, folder)
    if not {"tokenizer", "num_codebooks", "kbps"} <= set(frame):
        return {}
    for column in frame.columns.intersection(["num_codebooks", "kbps", "utmos"]):
        frame[column] = pd.to_numeric(frame[column], errors="coerce")
    for row in frame.to_dict("records"):
        if row["tokenizer"] not in names:
            continue
        facts = {"bitrate": 1000 * row["kbps"], PUBLISHED_MOS: row.get("utmos")}
        facts = {
            key: float(value)
            for key, value in facts.items()
            if value is not None and value == value
        }
        codebooks = (
            f"{row['num_codebooks']:g}" if row["num_codebooks"] == row["num_codebooks"] else ""
        )
        facts_of[published.sample(row["tokenizer"], codebooks, folder)] = facts
        facts_of.setdefault(published.sample(row["tokenizer"], None, folder), facts)
    return facts_of


# --- columns ---------------------------------------------------------------------------------


def _sources(group: Sequence[Result], domain: str) -> dict[str, str]:
    """{key of a headline column: the column of these results that it shows}."""
    by_name = columns(group)
    elsewhere = (_BITS, "wer", "dwer")
    sources = {key: key for key in _COLUMNS[domain] if key in by_name and key not in elsewhere}
    if "wer" in _COLUMNS[domain] and (asr_column := _best_asr_column(group, by_name, _WER)):
        sources["wer"] = asr_column
    if not sources:
        times = {name for result in group for name in result.run["times"]}
        directed = [name for name, column in by_name.items()
                    if column["higher_is_better"] is not None and name not in times]  # fmt: skip
        sources = {name: name for name in directed[:_FALLBACK]}
    return sources


def _best_asr_column(
    group: Sequence[Result], by_name: Mapping[str, Any], kind: re.Pattern[str]
) -> str | None:
    """The column of word errors of this kind whose ASR model has the fewest on the original
    recordings."""
    names = [name for name in by_name if kind.fullmatch(name) and not _NO_WER.search(name)]
    errors = {
        name: score["mean"]
        for result in group
        if result.role == "ceiling"
        for name in names
        if (score := result.scores.get(name)) and score["mean"] is not None
    }
    return min(errors, key=lambda name: (errors[name], name), default=None) or min(
        (name for name in names if any(_has(r, name) for r in group)), default=None
    )


def _column(key: str, source: str, by_name: Mapping[str, Mapping[str, Any]]) -> Column:
    if key == PUBLISHED_MOS:
        text = "UTMOS on LibriSpeech test-clean, as published by the survey (arXiv 2506.10274)"
        return Column(
            key,
            source,
            "UTMOS (published)",
            unit="",
            digits=2,
            higher_is_better=True,
            description=text,
        )
    info, name = by_name[source], title(key)
    unit, digits = info["unit"], info["digits"]
    if key in ("wer", "dwer"):
        judge = source.removeprefix(key).replace("_english", "").strip("_")
        name, unit, digits = f"{name} ({title(judge) if judge else 'pocketsphinx'})", "%", 1
    return Column(
        key,
        source,
        name,
        unit=unit,
        digits=digits,
        higher_is_better=info["higher_is_better"],
        description=info["description"],
    )


# --- cells -----------------------------------------------------------------------------------


def _cells(group: Sequence[Result], column: Column) -> dict[str, Cell]:
    """{codec: its number}, only of the version of task and metric that most codecs have."""
    measured = [result for result in group if _has(result, column.source)]
    versions = Counter(
        version for version, _ in {(_version(r, column.source), r.codec): None for r in measured}
    )
    if not versions:
        return {}
    common = max(versions, key=lambda version: (versions[version], version))
    factor = 100 if column.key in ("wer", "dwer") else 1
    cells = {}
    for result in sorted(measured, key=lambda r: (r.summary["suite"]["version"], str(r.folder))):
        if _version(result, column.source) == common:
            score = result.scores[column.source]
            interval = score["ci95"] and tuple(factor * end for end in score["ci95"])
            cells[result.codec] = Cell(factor * score["mean"], interval, score["n"])
    return cells


def _version(result: Result, column: str) -> str:
    """The versions of the task and of the metrics that compute a column."""
    plan = result.summary["plan"]["tasks"].get(result.scores[column]["task"], {})
    used = {
        key: version
        for key, version in plan.items()
        if key in ("task", "weights") or column.startswith(key)
    }
    return repr(sorted(used.items()))


def _has(result: Result, column: str) -> bool:
    return (result.scores.get(column) or {}).get("mean") is not None


def _filled(group: Sequence[Result], domain: str) -> tuple[int, int]:
    """Number of cells that a corpus fills: of codecs with their authors' weights, and of all."""
    sources = set(_sources(group, domain).values()) - {"lm_bitrate"}
    filled = {(r.codec, name) for r in group for name in sources if _has(r, name)}
    with_author_weights = {r.codec for r in group if section_of(r) in (CODECS, SAMPLES)}
    return sum(codec in with_author_weights for codec, _ in filled), len(filled)


def bands(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Rows by band, lowest first."""
    by_band = [(name, [row for row in rows if row.band == name]) for name in (*BANDS, UNKNOWN)]
    return [(name, members) for name, members in by_band if members]


def best(rows: Sequence[Row], column: Column) -> set[str]:
    """The codecs with the best mean of a band in a column. None if all have the same mean, for
    anchors, and for published samples, of which there are too few to rank codecs."""
    if {row.section for row in rows} & {ANCHORS, SAMPLES}:
        return set()
    values = {row.codec: row.cells[column.key].value for row in rows if column.key in row.cells}
    if len(set(values.values())) < 2 or column.higher_is_better is None:
        return set()
    best_value = (max if column.higher_is_better else min)(values.values())
    return {codec for codec, value in values.items() if value == best_value}


def short_name(codec: str) -> str:
    """A name as tables show it: without "published sample"; of repeated values, 2/2/2, as 2×3."""
    codec = codec.removesuffix(published.SAMPLE)
    return re.sub(r"(\d+)(?:/\1\b)+", lambda m: f"{m[1]}×{m[0].count('/') + 1}", codec)


def kbit(rate: float | None) -> str:
    """A bitrate in kbit/s as tables show it."""
    if rate is None:
        return "–"
    return f"{rate / 1000:.2f}" if rate < 10_000 else f"{rate / 1000:.1f}"
