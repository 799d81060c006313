"""Results of a few made-up codecs, and readers of the pages of their site."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

from support.result_kit import put, spread

TAXONOMY = {"quantization": "RVQ, Fixed", "domain": "speech"}
PAGE, DATA = "smoke-v1-clips-0a0b0a0b.html", "data/smoke-v1-clips-0a0b0a0b.js"


def fill(root: Path) -> Path:
    """Writes the results into the folder."""
    put(root, "good", {"pesq": spread(3.0), "stoi": spread(0.9, seed=1)}, bitrate=900.0,
        token_rate=75.0, taxonomy=TAXONOMY, training_data=["LibriTTS"])  # fmt: skip
    put(root, "good:k=2", {"pesq": spread(3.0), "stoi": spread(0.9, seed=1)})
    poor = [float("nan"), *spread(1.0, n=39)]
    put(root, "poor", {"pesq": spread(1.5), "stoi": spread(0.2)})
    put(root, "<b>holes</b>", {"pesq": poor, "stoi": spread(0.5)}, licence_weights="CC-BY-NC-4.0")
    put(root, "opus-6k", {"pesq": spread(2.0), "stoi": spread(0.7)}, role="baseline")
    put(root, "random", {"pesq": spread(1.0), "stoi": spread(0.0)}, role="floor")
    return root


def cells(page: bytes, codec: str) -> list[str]:
    """The texts of the first row of the first table that starts with this codec."""

    class Rows(HTMLParser):
        rows: list[list[str]] = []

        def handle_starttag(self, tag, attrs):
            if tag == "tr":
                self.rows = [*self.rows, []]
            elif tag in ("td", "th") and self.rows:
                self.rows[-1].append("")

        def handle_data(self, data):
            if self.rows and self.rows[-1]:
                self.rows[-1][-1] += f" {data.strip()}"

    parser = Rows()
    parser.feed(page.decode())
    return next(
        [" ".join(cell.split()) for cell in row] for row in parser.rows if row and codec in row[0]
    )


def payload(files):
    return json.loads(files[DATA].decode().removeprefix("window.audiotok = ").rstrip(";\n"))
