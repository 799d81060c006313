"""Published tables, and the results of this folder next to them. Imports no torch.

    published.load("dates_reconstruction_speech")    # pandas, with a column `flags`
    published.beside("results", "encodec-24k")       # metric by metric: ours, theirs, difference

results/published/ contains the tables as published, and SOURCES.yaml: the source of each, the
meaning of its columns, the corresponding codecs and columns of audiotok, and which cells contradict
other cells. Published numbers are never mixed into results. "Ours" are numbers measured with
audiotok, "theirs" are published ones.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from audiotok.errors import ResultsError
from audiotok.results import comparison, flagged_cells
from audiotok.results.results import Result
from audiotok.system import assets, yaml_files
from audiotok.system.names import problem

SAMPLE = " (published sample)"  # suffix of the names of published sound
_SURVEY = "dates_reconstruction_speech"


def names(folder: str | Path | None = None) -> list[str]:
    """The names of all tables."""
    return sorted(_sources(_folder(folder))["tables"])


def load(name: str, folder: str | Path | None = None) -> pd.DataFrame:
    """A table as published, with a column `flags`: the doubtful cells and the reasons.

    Args:
        name: one of `names()`.
        folder: with the tables and SOURCES.yaml; None: the installed ones.

    `attrs` of the table has "name", "source" (title, authors, venue, link, licence, table, what).
    """
    folder = _folder(folder)
    description = _description(name, folder)
    frame = _read(folder, name)
    flags = _flags(name, folder)
    frame["flags"] = [
        "; ".join(f"{column}: {text}" for (row, column), text in flags.items() if row == index)
        for index in frame.index
    ]
    source = _sources(folder)["sources"][description["source"]]
    frame.attrs = {
        "name": name,
        "source": source | {key: description[key] for key in ("table", "what")},
    }
    return frame


def samples(folder: str | Path | None = None) -> dict[str, str]:
    """{tokenizer of the survey: name of its published sound in results}."""
    return dict(_sources(_folder(folder)).get("samples", {}).get("names", {}))


def file_name(tokenizer: str) -> str:
    """The name of a tokenizer in the file names of the survey."""
    return tokenizer.lower().replace("-", "")


def sample(
    tokenizer: str, codebooks: str | int | None = None, folder: str | Path | None = None
) -> str:
    """The name, in results of the suite `samples`, of the published sound of a tokenizer.

    Args:
        tokenizer: its name in the survey.
        codebooks: their number, if it is part of the file name.

    Raises ResultsError for a tokenizer whose sound was not published.
    """
    published_names = samples(folder)
    if tokenizer not in published_names:
        raise ResultsError(
            f"the survey published no sound of {tokenizer}: there is {', '.join(published_names)}"
        )
    return published_names[tokenizer] + (f", {codebooks} codebooks" if codebooks else "") + SAMPLE


def sample_doubts(folder: str | Path | None = None) -> dict[str, str]:
    """{name of a sample: why its file probably does not match its name}."""
    entries = _sources(_folder(folder)).get("audio", ())
    return {sample(e["tokenizer"], e["codebooks"], folder): e["reason"] for e in entries}


def rank_columns(name: str, folder: str | Path | None = None) -> dict[str, str]:
    """{our column: the published column that its ranks are compared with, for samples}."""
    folder = _folder(folder)
    columns = _read(folder, name).columns
    by_metric = {
        rule["ours"]: published_column
        for published_column, rule in _description(name, folder)["metrics"].items()
    }
    for_samples = _sources(folder)["samples"]["columns"]
    return {ours: theirs for ours, theirs in (by_metric | for_samples).items() if theirs in columns}


def cells(folder: str | Path | None = None) -> pd.DataFrame:
    """Every published number with a corresponding column of audiotok, one row each.

    Columns: `table`, `source`, `theirs` (published name of the codec), `codec` and `codebooks` (of
    audiotok; the published name if it has no such codec), `corpus`, `column` (ours), `published`
    (in our unit), `comparable`, `note`, `flag`.
    """
    folder = _folder(folder)
    rows = []
    for name in names(folder):
        description = _description(name, folder)
        flags = _flags(name, folder) if description.get("metrics") else {}
        for index, row in _read(folder, name).iterrows() if description.get("metrics") else ():
            codec, codebooks, doubt = _counterpart(
                row, _sources(folder)["names"].get(description["names"], ())
            )
            for column, rule in description["metrics"].items():
                value = pd.to_numeric(row.get(column), errors="coerce")
                if pd.isna(value):
                    continue
                rows.append({
                    "table": name, "source": description["source"],
                    "theirs": flagged_cells.label(row),
                    "codec": codec, "codebooks": codebooks, "corpus": description.get("corpus"),
                    "column": rule["ours"], "published": float(value) * rule.get("times", 1),
                    "comparable": rule.get("comparable", True),
                    "note": "; ".join(filter(None, (rule.get("note"), doubt))),
                    "flag": flags.get((index, column), ""),
                })  # fmt: skip
    return pd.DataFrame(rows)


def beside(
    results: str | Path,
    name: str | None = None,
    *,
    suite: str | None = None,
    data: str | None = None,
    folder: str | Path | None = None,
) -> pd.DataFrame:
    """Our numbers next to the published ones of the same codec with the same codebooks.

    Args:
        results: folder of our results.
        name: of a codec, ours or the published one; None: all.
        suite, data: only these of our settings; None: all.
        folder: see `load`; None: the folder "published" in `results`, if it exists.

    Returns:
        One row per pair of our number and published cell: `codec`, `ours_on`, `column`, `ours` with
        its 95 % interval `low`, `high` and its `n`, `table`, `theirs`, `theirs_on`, `published`,
        `difference` (ours - published; NaN if the definitions differ), `note`, `flag`.

    Raises ResultsError if none of our numbers corresponds to a published one.
    """
    if folder is None and (Path(results) / "published" / "SOURCES.yaml").is_file():
        folder = Path(results) / "published"
    published_cells = cells(folder)
    measured = pd.DataFrame(_measured(results, suite, data, _samples(published_cells, folder)))
    if len(measured) and name is not None:
        measured = measured[
            [name in (row["codec"], row["label"], row["theirs"]) for _, row in measured.iterrows()]
        ]
    if not len(measured):
        raise ResultsError(_no_match(results, name, published_cells))
    merged = _merged(measured, published_cells)
    if merged.empty:
        raise ResultsError(_no_match(results, name, published_cells))
    return merged


def beside_result(result: Result) -> pd.DataFrame:
    """As `beside`, for one result, whose weights count as those of its card, also if the user gave
    them; empty if no number corresponds."""
    published_cells = cells()
    name = result.codec.partition("@")[0]
    measured = pd.DataFrame(_numbers(result, name, {}))
    return _merged(measured, published_cells) if len(measured) else measured


def _merged(measured: pd.DataFrame, published_cells: pd.DataFrame) -> pd.DataFrame:
    """Our numbers with the published ones of the same codec, codebooks and column."""
    merged = measured.drop(columns="theirs").merge(
        published_cells, on=["codec", "codebooks", "column"]
    )
    merged["difference"] = (merged["ours"] - merged["published"]).where(merged["comparable"])
    merged["flag"] = [_joined(row["flag"], row["doubt"]) for _, row in merged.iterrows()]
    merged["codec"] = merged["label"]
    merged = merged.rename(columns={"corpus": "theirs_on"})
    columns = (
        "codec ours_on column ours low high n table theirs theirs_on published difference note flag"
    )
    return merged.sort_values(["table", "codec", "column"], kind="stable")[columns.split()]


# --- ours ------------------------------------------------------------------------------------


def _measured(
    results: str | Path, suite: str | None, data: str | None, given: Mapping[str, Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Our numbers, one by one: of codecs that were run, and of the `given` sounds."""
    for group in comparison.select(results, suite, data):
        for result in group:
            if result.role == "given" and result.codec not in given:
                continue
            if "@" not in result.codec:  # the user's own weights are another codec
                yield from _numbers(result, result.codec, given)


def _numbers(
    result: Result, name: str, given: Mapping[str, Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """The numbers of a result as those of the codec `name`; none of a merged codec."""
    summary = result.summary
    options = dict(summary["codec"].get("options") or {})
    base_name = name.rpartition(":")[0] if options else name
    options.pop("codebooks", None)
    if options:
        return
    suite, data = summary["suite"], summary["data"]["name"]
    ours_on = f"{suite['name']} v{suite['version']}, {data}"
    for column, score in summary["scores"].items():
        if score["mean"] is None:
            continue
        low, high = score["ci95"] or (np.nan, np.nan)
        yield {
            "label": result.codec, "codec": base_name, "theirs": "",
            "codebooks": summary["codec"].get("num_codebooks"), "ours_on": ours_on,
            "column": column, "ours": score["mean"], "low": low, "high": high, "n": score["n"],
            "doubt": "",
        } | given.get(result.codec, {})  # fmt: skip


def _samples(published_cells: pd.DataFrame, folder: str | Path | None) -> dict[str, dict[str, Any]]:
    """{name of published sound in results: `codec`, `codebooks`, `theirs`, `doubt`}.

    For tokenizers with several numbers of codebooks, without sound whose number is unknown.
    """
    doubts = sample_doubts(folder)
    survey = published_cells[
        (published_cells["source"] == "dates") & published_cells["theirs"].isin(samples(folder))
    ]
    samples_by_name = {}
    for tokenizer, rows in survey.groupby("theirs"):
        settings = rows[["codec", "codebooks"]].dropna().drop_duplicates().to_dict("records")
        for setting in settings:
            count = f"{setting['codebooks']:.0f}" if len(settings) > 1 else ""
            name = sample(tokenizer, count, folder)
            samples_by_name[name] = setting | {"theirs": tokenizer, "doubt": doubts.get(name, "")}
    return samples_by_name


def _no_match(results: str | Path, name: str | None, published_cells: pd.DataFrame) -> str:
    if name is None:
        return f"no codec in {results} has a published number: run `audiotok bench` first"
    codec, label = published_cells["codec"], published_cells["theirs"]
    with_counterpart = sorted(set(codec[codec != label]))
    all_names = {*codec, *label}
    similar = difflib.get_close_matches(name, all_names, n=1)
    hint = (
        f"did you mean {similar[0]}?"
        if similar
        else f"there are numbers of {', '.join(with_counterpart)}"
    )
    if any(f"{name}:".startswith(f"{published_name}:") for published_name in all_names):
        hint = "it has published numbers; run `audiotok bench` with it first"
    return f"{results} has nothing of {name} beside a published number: {hint}"


# --- published -------------------------------------------------------------------------------


def _folder(folder: str | Path | None) -> Path:
    return assets.folder("results/published") if folder is None else Path(folder)


@lru_cache(maxsize=8)
def _sources(folder: Path) -> dict[str, Any]:
    path = folder / "SOURCES.yaml"
    try:
        content = yaml_files.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as reason:
        raise ResultsError(f"{path} cannot be read: {' '.join(str(reason).split())}") from reason
    tables = content.get("tables") if isinstance(content, dict) else None
    if not isinstance(tables, dict):
        raise ResultsError(f"{path} names no tables: expected the keys sources, tables and names")
    for name in tables:  # file names in the same folder
        if (reason := problem(name)) is not None:
            raise ResultsError(f"{path} names the table {name!r:.80}, no name for a file: {reason}")
    return content


def _description(name: str, folder: Path) -> dict[str, Any]:
    tables = _sources(folder)["tables"]
    if name not in tables:
        similar = difflib.get_close_matches(name, tables, n=3, cutoff=0.3) or sorted(tables)
        raise ResultsError(f"no published table is named {name}: there are {', '.join(similar)}")
    return tables[name]


def _read(folder: Path, name: str) -> pd.DataFrame:
    _description(name, folder)  # raises for a table that is not listed
    try:
        return pd.read_csv(folder / f"{name}.csv")
    except (OSError, ValueError) as reason:
        raise ResultsError(f"{folder / name}.csv cannot be read: {reason}") from reason


def _flags(name: str, folder: Path) -> dict[tuple[int, str], str]:
    """{(row, column): why the cell is doubtful}."""
    rules = _description(name, folder).get("flags", {})
    shared = [flag for key in rules.get("shared", ()) for flag in _sources(folder)["shared"][key]]
    reprint = rules.get("also")
    return flagged_cells.flags(
        _read(folder, name), rules, shared, _read(folder, reprint) if reprint else None
    )


def _counterpart(
    row: pd.Series, matches: list[dict[str, Any]]
) -> tuple[str, int | None, str | None]:
    """The corresponding codec, its codebooks and why the match is doubtful; the published name if
    there is none."""
    for entry in matches:
        codec = entry.get("ours", entry["codec"])
        not_conditions = {"ours", "codebooks", "note"} | (
            {"codec"} if "ours" not in entry else set()
        )
        if all(row.get(key) == value for key, value in entry.items() if key not in not_conditions):
            codebooks = entry.get("codebooks", row.get("num_codebooks"))
            return codec, None if pd.isna(codebooks) else int(codebooks), entry.get("note")
    codebooks = row.get("num_codebooks")
    return (
        flagged_cells.label(row),
        None if codebooks is None or pd.isna(codebooks) else int(codebooks),
        None,
    )


def _joined(*texts: str) -> str:
    return re.sub(r"^; |; $", "", "; ".join(texts))
