"""The corpus inside the package: matrix sentences by synthetic voices, music, everyday sounds.

Rendered by benchmarks/bundled_corpus.py; licences are in its LICENCES.md.
"""

from __future__ import annotations

from pathlib import Path

from audiotok.data import Corpus, _folder

NAMES = ("bundled",)
FOLDER = Path(__file__).resolve().parent.parent / "bundled" / "corpus"


def load(name: str = "bundled") -> Corpus:
    """58 clips: ten sentences by each of five voices, three pieces of music, five sounds."""
    return _folder.load(FOLDER, name)
