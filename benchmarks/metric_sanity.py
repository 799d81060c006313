"""Do our metrics rank real codecs as a published table does? Prints both rankings side by side.

    python benchmarks/metric_sanity.py FOLDER TABLE.csv --reference dacsma2432 \
        --rename mimis248= --rename mimis2432=mimis248 --out results/metric_sanity

FOLDER holds reconstructions `rec_DOMAIN_CODEC_ITEM.wav`, TABLE.csv the columns `tokenizer`,
`num_codebooks`, `pesq` and `stoi`. CODEC is the tokenizer without hyphens, lower case, with or
without its number of codebooks. --reference names the CODEC the others are compared with, where no
original was published. --rename tries what a file would be if its name were another (or, with
nothing behind '=', unknown); the correlation is given before and after.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import pandas as pd

import audiotok
from audiotok import metrics
from audiotok.errors import AudiotokError

METRICS = ("pesq", "stoi")


def measure(folder: Path, domain: str, reference: str) -> pd.DataFrame:
    """Mean over items of each metric, a row for each codec of the folder."""
    files: dict[str, dict[str, Path]] = defaultdict(dict)
    for path in sorted(folder.rglob(f"rec_{domain}_*.wav")):
        codec, item = path.stem.removeprefix(f"rec_{domain}_").rsplit("_", 1)
        files[codec][item] = path
    rows = []
    for codec in files.keys() - {reference}:
        for item, path in files[codec].items():
            try:
                scores = metrics.compute(
                    METRICS, reference=files[reference][item], reconstruction=path
                )
            except AudiotokError as error:
                print(f"left out {path.name}: {error}")
                continue
            rows.append({"codec": codec, **scores})
    return pd.DataFrame(rows).groupby("codec").mean()


def published(table: Path) -> pd.DataFrame:
    """The published numbers under both spellings of each codec's name."""
    rows = {}
    for row in pd.read_csv(table).to_dict("records"):
        name = row["tokenizer"].lower().replace("-", "")
        if pd.notna(row["num_codebooks"]):
            rows[f"{name}{row['num_codebooks']:.0f}"] = row
        rows.setdefault(name, row)
    columns = ["tokenizer", "num_codebooks", *METRICS]
    return pd.DataFrame.from_dict(rows, orient="index")[columns].add_prefix("published_")


def compare(ours: pd.DataFrame, theirs: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, float]]:
    """Scores and ranks (1 is best) of the codecs in both, and Spearman's correlation."""
    both = ours.join(theirs, how="inner")
    for metric in METRICS:
        for column in (metric, f"published_{metric}"):
            both[f"rank_{column}"] = both[column].rank(ascending=False)
    spearman = {
        metric: round(float(both[metric].corr(both[f"published_{metric}"], method="spearman")), 4)
        for metric in METRICS
    }
    return both.sort_values("published_pesq", ascending=False), spearman


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--domain", default="speech")
    parser.add_argument("--reference", default="gt")
    parser.add_argument("--rename", action="append", default=[], metavar="CODEC=[CODEC]")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()

    ours = measure(arguments.folder, arguments.domain, arguments.reference)
    theirs = published(arguments.table)
    table, spearman = compare(ours, theirs)
    report = {
        "audiotok": audiotok.__version__,
        "reference": arguments.reference,
        "codecs": len(table),
        "spearman": spearman,
    }
    print(
        table.drop(columns=["published_tokenizer", "published_num_codebooks"]).round(3).to_string()
    )
    print(f"Spearman over {len(table)} codecs: {spearman}")
    if arguments.rename:
        renames = dict(pair.split("=") for pair in arguments.rename)
        renamed, after = compare(ours.rename(index=renames).drop(index="", errors="ignore"), theirs)
        report["renamed"] = {"renames": renames, "codecs": len(renamed), "spearman": after}
        print(f"Spearman over {len(renamed)} codecs after {renames}: {after}")
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        name = f"{arguments.domain}_against_{arguments.reference}"
        table.round(4).to_csv(arguments.out / f"{name}.csv", index_label="codec")
        (arguments.out / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
