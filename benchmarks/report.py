"""Put measured results into a document: a table between two marks, and a picture beside it.

    python benchmarks/report.py README.md            # rewrites table and picture
    python benchmarks/report.py README.md --check    # exit 1 if the table is not what results/ say

A document marks each table by a comment that names the results, and, if it wants one, a picture:

    <!-- results/smoke-v1/bundled-1234abcd stoi pesq wer > docs/smoke.svg -->
    <!-- end -->

Pictures need matplotlib (`pip install 'audiotok[train]'`).
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from audiotok import results
from audiotok.results import Result

ROOT = Path(__file__).resolve().parents[1]
MARKED = re.compile(
    r"(<!-- (results/\S+) ([\w ]+?)(?: > (\S+))? -->\n).*?(<!-- end -->)", re.DOTALL
)
COLOURS = {"neural": "#c2410c", "baseline": "#475569", "ceiling": "#94a3b8", "floor": "#94a3b8"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("documents", type=Path, nargs="+")
    parser.add_argument("--check", action="store_true", help="change nothing")
    arguments = parser.parse_args()
    wrong = []
    for path in arguments.documents:
        text = path.read_text(encoding="utf-8")
        for _, folder, names, picture, _ in MARKED.findall(text):
            if picture and not arguments.check:
                draw(measured(folder), names.split(), ROOT / picture)
        if rendered(text) != text:
            wrong.append(path)
            if not arguments.check:
                path.write_text(rendered(text), encoding="utf-8")
    if arguments.check and wrong:
        print(f"not what results/ say: {', '.join(map(str, wrong))}; run benchmarks/report.py")
        return 1
    return 0


def rendered(text: str) -> str:
    """The document with every table made anew."""
    return MARKED.sub(
        lambda match: match[1] + table(measured(match[2]), match[3].split()) + match[5], text
    )


def measured(folder: str) -> list[Result]:
    """The results in a folder such as results/smoke-v1/bundled-1234abcd."""
    path = ROOT / folder
    found = [r for r in results.read_all(path.parents[1]) if r.folder.parent == path]
    if not found:
        sys.exit(f"{folder} holds no results: run `audiotok bench` first")
    return found


def table(found: Sequence[Result], names: Sequence[str]) -> str:
    """Markdown: one row per codec, means only."""
    known = results.columns(found)
    head = ["codec"]
    for name in names:
        unit = known[name]["unit"]
        head.append(name + results.arrow(known[name]) + (f" ({unit})" if unit else ""))
    rows = [
        [label(result), *(results.cell(result.scores.get(name)) for name in names)]
        for result in found
    ]
    rule = ["---", *["---:"] * len(names)]
    return "".join("| " + " | ".join(row) + " |\n" for row in [head, rule, *rows])


def label(result: Result) -> str:
    return result.title


def draw(found: Sequence[Result], names: Sequence[str], out: Path) -> None:
    """One panel per metric, one line per codec, with the 95 % bootstrap intervals."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "audiotok"
    import matplotlib.pyplot as plt

    known = results.columns(found)
    size = (1.6 + 1.75 * len(names), 0.9 + 0.3 * len(found))
    figure, panels = plt.subplots(1, len(names), sharey=True, figsize=size, squeeze=False)
    for panel, name in zip(panels[0], names, strict=True):
        for row, result in enumerate(found):
            score = result.scores.get(name)
            if score and score["mean"] is not None:
                low, high = score["ci95"] or (score["mean"], score["mean"])
                colour = COLOURS.get(result.role, "black")
                panel.plot([low, high], [row, row], color=colour, linewidth=2, alpha=0.5)
                panel.plot(score["mean"], row, "o", color=colour, markersize=5)
        unit = f" ({known[name]['unit']})" if known[name]["unit"] else ""
        title = name.replace("_", " ") + results.arrow(known[name]) + unit
        panel.set_title(title, fontsize=9)
        panel.tick_params(labelsize=8)
        panel.grid(axis="x", alpha=0.3)
        panel.spines[["top", "right", "left"]].set_visible(False)
        if known[name]["unit"] == "bit/s":
            panel.set_xscale("log")
    panels[0][0].set_yticks(range(len(found)), [label(r) for r in found], fontsize=9)
    panels[0][0].invert_yaxis()
    figure.tight_layout()
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, metadata={"Date": None})


if __name__ == "__main__":
    sys.exit(main())
