"""Put measured results into a document: tables between two marks, and pictures beside them.

    python benchmarks/report.py README.md            # rewrites table and picture
    python benchmarks/report.py README.md --check    # exit 1 if one is outdated

A document marks each table by a comment that names the results, and optionally a picture and
the codecs (beginnings of their names; ~ before one excludes it). A table with the column
bitrate is sorted by it, and a picture plots the other columns against the first one. A table of
differences names two codecs; the line below it says what the intervals are over, and for how many
rows the verdicts are corrected:

    <!-- results/smoke-v2/bundled-1234abcd bitrate stoi pesq wer > docs/smoke.svg -->
    <!-- end -->
    <!-- results/sound-v1/bundled-1234abcd stoi pesq : rvq-small ~rvq-small:codebooks -->
    <!-- end -->
    <!-- results/sound-v1/bundled-1234abcd stoi pesq : rvq-small against wavtokenizer-mini -->
    <!-- end -->

Qualities against the bitrate in the picture, and in the table the area under each curve, which is
the mean quality over log2(bitrate), from the lowest to the highest bitrate of that curve:

    <!-- results/sound-v1/bundled-1234abcd stoi pesq by bitrate > docs/rates.svg : opus lyra -->
    <!-- end -->

Columns of another suite follow those of the first, for the codecs that have both; the picture
plots those of the other suite against the first column:

    <!-- results/lm-v1/x-12ab lm_bitrate beside results/sound-v1/y-34cd stoi > docs/lm.svg -->
    <!-- end -->

A number that was taken with several seeds can be shown with each, and how well the seeds agree on
the order of the codecs:

    <!-- results/downstream-v1/digits-1234abcd probe_wer over seeds -->
    <!-- end -->

One column of each speaker, from the rows:

    <!-- results/speech-v2/x-1234abcd wer_whisper_base by speaker : rvq-small lyra-v2 -->
    <!-- end -->

Published samples beside the survey's own numbers, see `agreement.py`:

    <!-- results/samples-v1/x-1234abcd sdr : published dates_reconstruction_music -->
    <!-- end -->

Below a table are remarks on its clips and its ASR model
(`audiotok.results.remarks`). Pictures need matplotlib (`pip install 'audiotok[train]'`).
"""

from __future__ import annotations

import argparse
import itertools
import math
import re
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import agreement
import pandas as pd
import pictures
from scipy.stats import kendalltau

from audiotok.report import rates
from audiotok.results import comparison, results
from audiotok.results.remarks import remarks
from audiotok.results.results import Result
from audiotok.system.escaping import markdown, markdown_table

ROOT = Path(__file__).resolve().parents[1]
MARKED = re.compile(
    r"(?P<mark><!-- (?P<folder>results/\S+) (?P<names>[\w ]+?)"
    r"(?: beside (?P<other>results/\S+) (?P<more>[\w ]+?))?(?: > (?P<picture>\S+))?"
    r"(?: : (?P<codecs>[^\n]+?))? -->\n).*?(?P<end><!-- end -->)",
    re.DOTALL,
)


BY_BITRATE, BY_SPEAKER = ["by", "bitrate"], ["by", "speaker"]
PUBLISHED = "published "


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("documents", type=Path, nargs="+")
    parser.add_argument("--check", action="store_true", help="change nothing")
    arguments = parser.parse_args()
    outdated = []
    for path in arguments.documents:
        text = path.read_text(encoding="utf-8")
        for match in MARKED.finditer(text):
            if match["picture"]:
                plot, picture = plotted(match), ROOT / match["picture"]
                metadata = pictures.description(pictures.points(*plot))
                if not arguments.check:
                    pictures.save(pictures.scatter(*plot), metadata, picture)
                elif not picture.is_file() or metadata not in picture.read_text(encoding="utf-8"):
                    outdated.append(picture)
        if rendered(text) != text:
            outdated.append(path)
            if not arguments.check:
                path.write_text(rendered(text), encoding="utf-8")
    if arguments.check and outdated:
        paths = ", ".join(map(str, outdated))
        print(f"outdated: {paths}; run benchmarks/report.py")
        return 1
    return 0


def plotted(match: re.Match) -> tuple[list[tuple[Result, Result]], str, list[str]]:
    """The content of the picture of a mark: pairs of results, column of the x axis, panels."""
    names = match["names"].split()
    if match["other"]:
        return together(chosen(match), measured(match["other"])), names[0], match["more"].split()
    pairs = [(result, result) for result in chosen(match)]
    if names[-2:] == BY_BITRATE:
        return pairs, "bitrate", names[:-2]
    return pairs, names[0], names[1:]


def rendered(text: str) -> str:
    """The document with every table written again."""

    def replaced(match: re.Match) -> str:
        data = measured(match["folder"])[0].summary["data"]["name"]
        notes = remarks(data, match["names"].split())
        end = "".join(f"\n{note}.\n" for note in notes) + match["end"]
        return match["mark"] + content(match) + end

    def content(match: re.Match) -> str:
        names = match["names"].split()
        if (match["codecs"] or "").startswith(PUBLISHED):
            source = match["codecs"].removeprefix(PUBLISHED)
            return agreement.table(measured(match["folder"]), names, source)
        if " against " in (match["codecs"] or ""):
            pair = (named(measured(match["folder"]), n) for n in match["codecs"].split(" against "))
            return differences(*pair, names)
        if match["other"]:
            pairs = together(chosen(match), measured(match["other"]))
            return beside(pairs, names, match["more"].split())
        if names[-2:] == BY_BITRATE:
            return areas(chosen(match), names[:-2])
        if names[1:] == ["over", "seeds"]:
            return seeds(chosen(match), names[0])
        if names[1:] == BY_SPEAKER:
            return by_speaker(chosen(match), names[0])
        return table(chosen(match), names)

    return MARKED.sub(replaced, text)


def chosen(match: re.Match) -> list[Result]:
    """The results that a mark selects."""
    measurements, codecs = measured(match["folder"]), (match["codecs"] or "").split()
    if "bitrate" in match["names"].split():
        measurements = by_bitrate(measurements)
    excluded = tuple(name[1:] for name in codecs if name.startswith("~"))
    included = tuple(name for name in codecs if not name.startswith("~"))
    return [
        result
        for result in measurements
        if (not included or result.codec.startswith(included))
        and not (excluded and result.codec.startswith(excluded))
    ]


def by_bitrate(measurements: Sequence[Result]) -> list[Result]:
    """The reference first, then by rising bitrate, those without one at the end."""

    def key(result: Result) -> tuple[bool, float]:
        bits = (result.scores.get("bitrate") or {}).get("mean")
        return result.role != "ceiling", math.inf if bits is None else bits

    return sorted(measurements, key=key)


def named(measurements: Sequence[Result], name: str) -> Result:
    """The only result of that name, or of weights of that name (name@hash)."""
    matches = [r for r in measurements if r.codec == name or r.codec.startswith(f"{name}@")]
    if len(matches) != 1:
        codecs = ", ".join(result.codec for result in measurements)
        sys.exit(f"{name} matches {len(matches)} of the codecs {codecs}")
    return matches[0]


def differences(first: Result, second: Result, names: Sequence[str]) -> str:
    """Markdown: one row per column, the paired difference with its 95 % interval; the verdicts are
    after Holm's correction for the rows of the table."""
    scores = results.columns([first, second])
    compared = comparison.differences(first, second, names)
    rows = [["", *(markdown(r.codec) for r in (first, second)), "difference [95 %]", "better"]]
    rows.append(["---", "---:", "---:", "---:", "---"])
    for row in compared:
        digits = row["digits"]
        text, better = "–", markdown(row["better"] or "–")
        if row["interval"]:
            edges = (f"{row[key]:+.{digits}f}" for key in ("low", "high"))
            text = f"{row['difference']:+.{digits}f} [{', '.join(edges)}]"
        if row["verdict_by"] == comparison.INTERVAL and row["better"] != comparison.TIE:
            better += " (by its interval alone)"
        if row["seeds"]:
            better += f" (holds in {row['seeds_that_agree']} of {row['seeds']} seeds)"
        cells = [f"{row[key]:.{digits}f}" for key in "ab"]
        name = row["column"]
        rows.append([markdown(name) + results.arrow(scores[name]), *cells, text, better])
    table = "".join("| " + " | ".join(row) + " |\n" for row in rows)
    over = next((row["interval"] for row in compared if row["interval"]), "no interval")
    count = compared[0]["comparisons"]
    number = f"{count} comparison{'' if count == 1 else 's'}"
    verdicts = f"better after Holm's correction for {number}" if count else "without correction"
    return f"{table}\n{over}; {verdicts}.\n"


@cache
def measured(folder: str) -> list[Result]:
    """The results in a folder such as results/smoke-v2/bundled-1234abcd."""
    path = ROOT / folder
    measurements = [r for r in results.read_all(path.parents[1]) if r.folder.parent == path]
    if not measurements:
        sys.exit(f"{folder} holds no results: run `audiotok bench` first")
    return measurements


def table(measurements: Sequence[Result], names: Sequence[str]) -> str:
    """Markdown: one row per codec, means only."""
    scores = results.columns(measurements)
    head = ["codec"]
    for name in names:
        unit = scores[name]["unit"]
        head.append(name + results.arrow(scores[name]) + (f" ({unit})" if unit else ""))
    rows = [
        [result.title, *(results.cell(result.scores.get(name)) for name in names)]
        for result in measurements
    ]
    return markdown_table(head, rows)


def areas(measurements: Sequence[Result], names: Sequence[str]) -> str:
    """Markdown: one row per curve, the mean of each quality over the bitrates of that curve."""
    scores = results.columns(measurements)
    columns = {name: rates.rate_quality(measurements, name)[1] for name in names}
    ranges = columns[names[0]]
    head = ["curve", "points", "bit/s", *(name + results.arrow(scores[name]) for name in names)]
    rows = []
    for curve, span in ranges[ranges.high > ranges.low].iterrows():
        cells = [f"{columns[name].area[curve]:.{scores[name]['digits']}f}" for name in names]
        bounds = f"{span.low:.0f} to {span.high:.0f}"
        rows.append([curve, f"{span.points:.0f}", bounds, *cells])
    return markdown_table(head, rows)


def together(
    measurements: Sequence[Result], others: Sequence[Result]
) -> list[tuple[Result, Result]]:
    """The results of the same codecs in both."""
    by_codec = {result.codec: result for result in others}
    return [(result, by_codec[result.codec]) for result in measurements if result.codec in by_codec]


def beside(
    pairs: Sequence[tuple[Result, Result]], names: Sequence[str], more: Sequence[str]
) -> str:
    """Markdown: one row per codec, columns of both."""
    (first, second) = zip(*pairs, strict=True)
    lines = [
        table(side, columns).splitlines() for side, columns in ((first, names), (second, more))
    ]
    return "".join(
        left + right[right.index("|", 1) + 1 :] + "\n" for left, right in zip(*lines, strict=True)
    )


def seeds(measurements: Sequence[Result], stem: str) -> str:
    """Markdown: the number of every seed, and Kendall's tau of the codecs' order between them."""
    names = [
        name for name in results.columns(measurements) if re.fullmatch(rf"{stem}_seed_\d+", name)
    ]
    complete = [
        r
        for r in measurements
        if all((r.scores.get(name) or {}).get("mean") is not None for name in names)
    ]
    values = [[result.scores[name]["mean"] for result in complete] for name in names]
    pairs = itertools.combinations(range(len(names)), 2)
    taus = [f"{i} and {j}: {kendalltau(values[i], values[j]).statistic:.2f}" for i, j in pairs]
    note = f"\nKendall's tau between seeds, over {len(complete)} rows: {', '.join(taus)}.\n"
    return table(complete, [stem, *names, f"{stem}_seed_std"]) + note


def by_speaker(measurements: Sequence[Result], name: str) -> str:
    """Markdown: one row per codec, the mean of each speaker, weighted as in the summary."""
    known, means = results.columns(measurements)[name], {}
    for result in measurements:
        rows, weight = comparison.table(result, name), comparison.weight_of([result], name)
        weights = rows[weight] if weight else rows[name].notna().astype(float)
        sums = pd.DataFrame({"value": rows[name] * weights, "weight": weights}).dropna()
        sums = sums.groupby(result.clusters.reindex(sums.index)).sum()
        means[result.title] = sums["value"] / sums["weight"]
    table, digits = pd.DataFrame(means).T, known["digits"]
    rows = [[title, *(f"{cell:.{digits}f}" for cell in row)] for title, row in table.T.items()]
    return markdown_table([name + results.arrow(known), *table.columns], rows)


if __name__ == "__main__":
    sys.exit(main())
