"""Results that are right, the readers of results, and what each may do with damaged ones."""

from __future__ import annotations

import itertools
from pathlib import Path

from audiotok.errors import AudiotokError
from audiotok.report import hub, leaderboard
from audiotok.results import comparison, published, results, validating
from support.result_kit import put

ROWS = {"pesq": [1.5, 2.0, 2.5], "mel_distance": [0.1, 0.2, 0.3], "stoi": [0.5, 0.6, 0.7]}
CARD = {
    "taxonomy": {"quantizer": "RVQ"}, "licence_weights": "MIT", "training_data": ["LibriSpeech"],
    "bitrate": 900.0, "token_rate": 75.0, "frame_rate": 75.0, "codebook_sizes": [4096],
    "weights": {"repository": "org/name", "revision": None}, "streamable": True, "causal": True,
    "sample_rate_out": 24_000, "verified": "no",
}  # fmt: skip
_turn = itertools.count()  # so that readers take turns


def write(root: Path) -> Path:
    """Results of two codecs, a ceiling and a floor; the folder of the codec `one`."""
    put(root, "reference", ROWS, role="ceiling")
    put(root, "one", ROWS, **CARD)
    put(root, "two", {name: [v * 1.1 for v in values] for name, values in ROWS.items()}, **CARD)
    put(root, "random", ROWS, role="floor")
    return folder_of(root)


def folder_of(root: Path) -> Path:
    return next(root.glob("*/*/one"))


def readers():
    """Every reader of a folder of results, those without their package left out."""
    found = [
        leaderboard.build,
        lambda root: comparison.compare("one", "two", results=root),
        lambda root: published.beside(root),
        lambda root: results.table(results.read_all(root)),
    ]
    for module, call in (("jinja2", _site), ("huggingface_hub", _card)):
        try:
            __import__(module)
            found.append(call)
        except ImportError:
            pass
    return found


def _site(root):
    from audiotok.report import site

    return site.build(root)


def _card(root):
    return hub.front_matter(root, "one")


def survives(root: Path) -> list[str]:
    """The errors of validate; another reader, in turn, does its work or raises one line."""
    _, findings = validating.validate(root)
    known = readers()
    try:
        known[next(_turn) % len(known)](root)
    except AudiotokError as error:
        assert "\n" not in str(error) and len(str(error)) < 1_000 and str(error).isprintable()
    lines = [str(finding) for finding in findings if finding.error]
    assert all("\n" not in line and line.isprintable() and len(line) < 1_000 for line in lines)
    return lines
