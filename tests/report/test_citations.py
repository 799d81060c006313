"""BibTeX of codec families, and CITATION.cff."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

import audiotok
from audiotok.report.citations import bibtex

ROOT = Path(__file__).parents[2]


def test_every_family_with_a_paper_has_an_entry_of_balanced_braces():
    codecs = ROOT / "audiotok" / "codecs"
    for name in ("encodec", "dac", "snac", "mimi", "speechtokenizer", "wavtokenizer", "xcodec",
                 "xcodec2", "lm_spt", "bigcodec", "focalcodec", "nanocodec"):  # fmt: skip
        entry = bibtex(name.replace("_", "-"))
        assert entry.startswith("@misc{") and entry.count("{") == entry.count("}")
        number = re.search(r"eprint = \{(\d{4}\.\d{5})\}", entry)[1]
        assert f"arXiv {number}" in (codecs / f"{name}.py").read_text(), name
    assert "2107.03312" in bibtex("lyra-v2") and "6716" in bibtex("opus")
    assert bibtex("mini") is None and bibtex(None) is None


def test_the_citation_file_names_this_version():
    content = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert content["version"] == audiotok.__version__ and content["cff-version"] == "1.2.0"
    assert content["license"] == "Apache-2.0" and content["title"].startswith("audiotok")
    assert {"message", "authors", "type"} <= content.keys()
