"""LibriSpeech (Panayotov et al. 2015, CC BY 4.0): read English, 16 kHz, from openslr.org/12.

A split is downloaded once into the data folder, 0.3 GB (dev, test) to 30 GB (train-other-500).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from audiotok.data import Corpus, _download, _folder

URL = "https://www.openslr.org/resources/12/{split}.tar.gz"
SHA256 = {
    "dev-clean": "76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3",
    "dev-other": "12661c48e8c3fe1de2c1caa4c3e135193bfb1811584f11f569dd12645aa84365",
    "test-clean": "39fde525e59672dc6d1551919b1478f724438a95aa55f874b576be21967e6c23",
    "test-other": "d09c181bba5cf717b3dee7d4d592af11a3ee3a09e08ae025c5506f6ebe961c29",
    "train-clean-100": "d4ddd1d5a6ab303066f14971d768ee43278a5f2a0aa43dc716b0e64ecbbbf6e2",
    "train-clean-360": "146a56496217e96c14334a160df97fffedd6e0a04e66b9c5af0d40be3c792ecf",
    "train-other-500": "ddb22f27f96ec163645d53215559df6aa36515f26e01dd70798188350adcb6d2",
}
NAMES = tuple(f"librispeech/{split}" for split in SHA256)


def place(name: str) -> Path:
    """The folder of a downloaded split."""
    return _download.place(name)


def load(name: str) -> Corpus:
    """A split; downloads it if it is not in the folder of corpora."""
    split = name.removeprefix("librispeech/")
    folder = _download.fetch_archive(
        URL.format(split=split),
        SHA256[split],
        inner=f"LibriSpeech/{split}",
        target=place(name),
    )
    return replace(_folder.load(folder, name), licence="CC BY 4.0")
