"""Phone error rates of a recogniser of `audiotok train-asr` on corpora that it was not trained on.

    python benchmarks/teacher.py runs/asr-mini CORPUS... > results/training/asr-mini/phones.csv

Of each corpus the clips with a text are used, of its split `test` where it has one, without those
with a word that is not in the CMU dictionary. Clips longer than the input of the recogniser are cut
into pieces, whose outputs are concatenated. With Wilson's 95 % interval, as if phones were
independent.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

import jiwer
import torch

from audiotok import data
from audiotok.errors import CorpusError
from audiotok.lm.pairs import wilson
from audiotok.recogniser.model import Recogniser, collapse
from audiotok.recogniser.phones import classes_of
from audiotok.recogniser.recipe import load
from audiotok.recogniser.training import sound_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("corpora", nargs="+")
    arguments = parser.parse_args()
    model = Recogniser(load(arguments.run / "recipe.yaml").encoder).eval()
    model.load_state_dict(torch.load(arguments.run / "state.pt", weights_only=True)["model"])
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["corpus", "clips", "phones", "phone_error_rate", "low", "high"])
    for name in arguments.corpora:
        corpus = data.load(name)
        references, hypotheses = [], []
        for clip in corpus:
            if not clip.text or clip.split not in (None, "test"):
                continue
            try:
                references.append(" ".join(map(str, classes_of(clip.text))))
            except CorpusError as error:
                print(error, file=sys.stderr)
                continue
            hypotheses.append(" ".join(map(str, recognise(model, sound_of(clip)))))
        count = sum(len(text.split()) for text in references)
        rate = jiwer.wer(references, hypotheses)
        low, high = wilson(min(rate, 1.0) * count, count)
        row = [corpus.name, len(references), count, *(f"{x:.4f}" for x in (rate, low, high))]
        table.writerow(row)


@torch.no_grad()
def recognise(model: Recogniser, waveform: torch.Tensor) -> list[int]:
    """Classes of the phones in (L,) of any length."""
    best: list[int] = []
    for piece in waveform.split(model.num_samples):
        best += model(piece[None])[0, : model.frames(len(piece))].argmax(-1).tolist()
    return collapse(best)


if __name__ == "__main__":
    main()
