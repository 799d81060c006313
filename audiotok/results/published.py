"""Published tables of others, and our numbers beside them. Imports no torch.

    published.load("dates_reconstruction_speech")    # pandas, with a column `flags`
    published.beside("results", "encodec-24k")       # metric by metric: ours, theirs, difference

results/published/ holds the tables as they were published and SOURCES.yaml: where each is from,
what its columns mean, which of our codecs and columns they correspond to, and which cells
contradict others. Published numbers are never mixed into our results.
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
from audiotok.results import comparison
from audiotok.system import assets, yaml_files
from audiotok.system.names import problem

SAMPLE = " (published sample)"  # at the end of the names of what others ran
_SURVEY = "dates_reconstruction_speech"


def names(folder: str | Path | None = None) -> list[str]:
    """The names of all tables."""
    return sorted(_sources(_folder(folder))["tables"])


def load(name: str, folder: str | Path | None = None) -> pd.DataFrame:
    """A table as it was published, and a column `flags`: what is wrong with which cells.

    Args:
        name: one of `names()`.
        folder: with the tables and SOURCES.yaml; None: those that ship.

    `attrs` of the table has "name", "source" (title, authors, venue, link, licence, table, what).
    """
    folder = _folder(folder)
    about = _about(name, folder)
    frame = _read(folder, name)
    flags = _flags(name, folder)
    frame["flags"] = [
        "; ".join(f"{column}: {text}" for (row, column), text in flags.items() if row == index)
        for index in frame.index
    ]
    source = _sources(folder)["sources"][about["source"]]
    frame.attrs = {"name": name, "source": source | {k: about[k] for k in ("table", "what")}}
    return frame


def samples(folder: str | Path | None = None) -> dict[str, str]:
    """{tokenizer of the survey: what results call its published sound}."""
    return dict(_sources(_folder(folder)).get("samples", {}).get("names", {}))


def file_name(tokenizer: str) -> str:
    """A tokenizer in the names of the survey's files."""
    return tokenizer.lower().replace("-", "")


def sample(
    tokenizer: str, codebooks: str | int | None = None, folder: str | Path | None = None
) -> str:
    """How results of the suite `samples` call the sound that the survey published of a tokenizer.

    Args:
        tokenizer: as the survey calls it.
        codebooks: where the name of the file says how many were used.

    Raises ResultsError for a tokenizer whose sound was not published.
    """
    known = samples(folder)
    if tokenizer not in known:
        raise ResultsError(
            f"the survey published no sound of {tokenizer}: there is {', '.join(known)}"
        )
    return known[tokenizer] + (f", {codebooks} codebooks" if codebooks else "") + SAMPLE


def sample_doubts(folder: str | Path | None = None) -> dict[str, str]:
    """{name of a sample: why its file is probably not what its name says}."""
    listed = _sources(_folder(folder)).get("audio", ())
    return {sample(a["tokenizer"], a["codebooks"], folder): a["reason"] for a in listed}


def rank_columns(name: str, folder: str | Path | None = None) -> dict[str, str]:
    """{our column: that of a published table whose ranks it is compared with, for samples}."""
    folder = _folder(folder)
    columns = _read(folder, name).columns
    same = {ours["ours"]: theirs for theirs, ours in _about(name, folder)["metrics"].items()}
    other = _sources(folder)["samples"]["columns"]
    return {o: t for o, t in (same | other).items() if t in columns}


def cells(folder: str | Path | None = None) -> pd.DataFrame:
    """Every published number that has a counterpart here, one row each.

    Columns: `table`, `source`, `theirs` (their name of the codec), `codec` and `codebooks` (ours;
    where we have no such codec, their name), `corpus`, `column` (ours), `published` (in our unit),
    `comparable`, `note`, `flag`.
    """
    folder = _folder(folder)
    rows = []
    for name in names(folder):
        about = _about(name, folder)
        flags = _flags(name, folder) if about.get("metrics") else {}
        for index, row in _read(folder, name).iterrows() if about.get("metrics") else ():
            codec, codebooks, doubt = _ours(row, _sources(folder)["names"].get(about["names"], ()))
            for column, ours in about["metrics"].items():
                value = pd.to_numeric(row.get(column), errors="coerce")
                if pd.isna(value):
                    continue
                rows.append({
                    "table": name, "source": about["source"], "theirs": _label(row),
                    "codec": codec, "codebooks": codebooks, "corpus": about.get("corpus"),
                    "column": ours["ours"], "published": float(value) * ours.get("times", 1),
                    "comparable": ours.get("comparable", True),
                    "note": "; ".join(filter(None, (ours.get("note"), doubt))),
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
    """Our numbers beside the published ones of the same codec with the same codebooks.

    Args:
        results: folder of our results.
        name: of a codec, as we or as they call it; None: all.
        suite, data: only these of our settings; None: all.
        folder: see `load`; None: the folder "published" of `results`, where there is one.

    Returns:
        One row per our number and their cell: `codec`, `ours_on`, `column`, `ours` with its 95 %
        interval `low`, `high` and its `n`, `table`, `theirs`, `theirs_on`, `published`,
        `difference` (ours - published; NaN where the definitions are others), `note`, `flag`.

    Raises ResultsError where nothing of ours corresponds to a published number.
    """
    if folder is None and (Path(results) / "published" / "SOURCES.yaml").is_file():
        folder = Path(results) / "published"
    published_cells = cells(folder)
    ours = pd.DataFrame(_measured(results, suite, data, _samples(published_cells, folder)))
    if len(ours) and name is not None:
        ours = ours[
            [name in (row["codec"], row["label"], row["theirs"]) for _, row in ours.iterrows()]
        ]
    if not len(ours):
        raise ResultsError(_nothing(results, name, published_cells))
    both = ours.drop(columns="theirs").merge(published_cells, on=["codec", "codebooks", "column"])
    if both.empty:
        raise ResultsError(_nothing(results, name, published_cells))
    both["difference"] = (both["ours"] - both["published"]).where(both["comparable"])
    both["flag"] = [_joined(row["flag"], row["doubt"]) for _, row in both.iterrows()]
    both["codec"] = both["label"]
    both = both.rename(columns={"corpus": "theirs_on"})
    columns = (
        "codec ours_on column ours low high n table theirs theirs_on published difference note flag"
    )
    return both.sort_values(["table", "codec", "column"], kind="stable")[columns.split()]


# --- ours ------------------------------------------------------------------------------------


def _measured(
    results: str | Path, suite: str | None, data: str | None, given: Mapping[str, Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Our numbers, one by one: of codecs that we ran, and of the sounds that are `given`."""
    for group in comparison.select(results, suite, data):
        for result in group:
            codec = result.summary["codec"]
            if result.role == "given" and result.codec not in given:
                continue
            options = dict(codec.get("options") or {})
            options.pop("codebooks", None)
            if options or "@" in result.codec:  # merged, or weights of one's own: another codec
                continue
            about = result.summary
            where = (
                f"{about['suite']['name']} v{about['suite']['version']}, {about['data']['name']}"
            )
            for column, score in about["scores"].items():
                if score["mean"] is None:
                    continue
                low, high = score["ci95"] or (np.nan, np.nan)
                yield {
                    "label": result.codec, "codec": result.codec.partition(":")[0], "theirs": "",
                    "codebooks": codec.get("num_codebooks"), "ours_on": where, "column": column,
                    "ours": score["mean"], "low": low, "high": high, "n": score["n"], "doubt": "",
                } | given.get(result.codec, {})  # fmt: skip


def _samples(theirs: pd.DataFrame, folder: str | Path | None) -> dict[str, dict[str, Any]]:
    """{how our results call the survey's published sound: `codec`, `codebooks`, `theirs`, `doubt`}.

    Without those that do not say how many codebooks were used, of tokenizers with several settings.
    """
    doubts = sample_doubts(folder)
    survey = theirs[(theirs["source"] == "dates") & theirs["theirs"].isin(samples(folder))]
    found = {}
    for tokenizer, rows in survey.groupby("theirs"):
        settings = rows[["codec", "codebooks"]].dropna().drop_duplicates().to_dict("records")
        for one in settings:
            books = f"{one['codebooks']:.0f}" if len(settings) > 1 else ""
            name = sample(tokenizer, books, folder)
            found[name] = one | {"theirs": tokenizer, "doubt": doubts.get(name, "")}
    return found


def _nothing(results: str | Path, name: str | None, published_cells: pd.DataFrame) -> str:
    if name is None:
        return f"nothing in {results} was published by others too: run `audiotok bench` first"
    codec, label = published_cells["codec"], published_cells["theirs"]
    ours = sorted(set(codec[codec != label]))
    known = {*codec, *label}
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are numbers of {', '.join(ours)}"
    if name.partition(":")[0] in known:
        hint = "others published it; run `audiotok bench` with it first"
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


def _about(name: str, folder: Path) -> dict[str, Any]:
    tables = _sources(folder)["tables"]
    if name not in tables:
        close = difflib.get_close_matches(name, tables, n=3, cutoff=0.3) or sorted(tables)
        raise ResultsError(f"no published table is named {name}: there are {', '.join(close)}")
    return tables[name]


def _read(folder: Path, name: str) -> pd.DataFrame:
    _about(name, folder)  # one that is not listed is no table
    try:
        return pd.read_csv(folder / f"{name}.csv")
    except (OSError, ValueError) as reason:
        raise ResultsError(f"{folder / name}.csv cannot be read: {reason}") from reason


def _flags(name: str, folder: Path) -> dict[tuple[int, str], str]:
    """{(row, column): what is wrong with the cell}."""
    frame, rules = _read(folder, name), _about(name, folder).get("flags", {})
    shared = [flag for key in rules.get("shared", ()) for flag in _sources(folder)["shared"][key]]
    flags: dict[tuple[int, str], list[str]] = {}
    for flag in [*rules.get("cells", ()), *shared]:
        for row in frame.index[_matches(frame, flag["match"])]:
            for column in flag["columns"]:
                flags.setdefault((row, column), []).append(flag["reason"])
    for key, text in (
        *_too_good(frame, rules.get("best")),
        *(_differing(frame, _read(folder, other), other) if (other := rules.get("also")) else ()),
        *_spread(frame, rules.get("spread")),
    ):
        flags.setdefault(key, []).append(text)
    return {key: "; ".join(texts) for key, texts in flags.items()}


def _too_good(frame: pd.DataFrame, rule: Mapping[str, Any] | None) -> Iterator[tuple]:
    """Rows that are better than the one that nothing can be better than."""
    if rule is None:
        return
    best = frame[_matches(frame, rule["match"])].iloc[0]
    for sign, columns in ((1, rule.get("higher", ())), (-1, rule.get("lower", ()))):
        for column in columns:
            for row in frame.index[sign * (frame[column] - best[column]) > 0]:
                yield (row, column), f"better than the {_label(best).lower()} ({best[column]:g})"


def _differing(frame: pd.DataFrame, other: pd.DataFrame, name: str) -> Iterator[tuple]:
    """Cells that the other publication of the same table has otherwise."""
    keys = [key for key in ("dataset", "tokenizer", "num_codebooks") if key in frame]
    counterpart = other.set_index(keys)
    for row, values in frame.set_index(keys).iterrows():
        index = frame.index[(frame[keys] == list(row)).all(axis=1)][0]
        for column in values.index.drop("source_table"):
            one, two = values[column], counterpart.loc[row, column]
            if not (one == two or (pd.isna(one) and pd.isna(two))):
                yield (index, column), f"{two:g} in {name}"


def _spread(frame: pd.DataFrame, share: float | None) -> Iterator[tuple]:
    """Means over seeds that lie so far apart that some may have diverged."""
    for column in frame.columns if share is not None else ():
        if not column.endswith("_std"):
            continue
        mean = column.replace("_std", "_mean")
        for row in frame.index[frame[column] > share * frame[mean].abs()]:
            yield (
                (row, mean),
                f"{frame[mean][row]:g} ± {frame[column][row]:g} over seeds: some may have diverged "
                "and were averaged in",
            )


def _matches(frame: pd.DataFrame, conditions: Mapping[str, Any]) -> pd.Series:
    fits = pd.Series(True, index=frame.index)
    for column, value in conditions.items():
        fits &= frame[column] == value
    return fits


def _ours(row: pd.Series, known: list[dict[str, Any]]) -> tuple[str, int | None, str | None]:
    """Our codec, its codebooks and why the match is doubtful; where we have none, the published
    name."""
    for entry in known:
        target = entry.get("ours", entry["codec"])
        about = {"ours", "codebooks", "note"} | ({"codec"} if "ours" not in entry else set())
        if all(row.get(key) == value for key, value in entry.items() if key not in about):
            codebooks = entry.get("codebooks", row.get("num_codebooks"))
            return target, None if pd.isna(codebooks) else int(codebooks), entry.get("note")
    codebooks = row.get("num_codebooks")
    return _label(row), None if codebooks is None or pd.isna(codebooks) else int(codebooks), None


def _label(row: pd.Series) -> str:
    """What they call the codec of a row."""
    return next(str(row[key]) for key in ("tokenizer", "codec", "model", "method") if key in row)


def _joined(*texts: str) -> str:
    return re.sub(r"^; |; $", "", "; ".join(texts))
