"""Remarks below a table about its clips and its ASR model. Imports nothing."""

from __future__ import annotations

from collections.abc import Collection

# {name of a corpus in tables: description of its clips}
CORPORA = {
    "bundled": "The bundled corpus is synthetic: speech of five voices of two classical "
    "synthesisers (Flite, Festival), and computed music and sounds; nobody was recorded",
}
SMALL_ASR_MODEL = (
    "`wer`, `cer` and `dwer` are by a small ASR model (CMU Pocketsphinx), whose word error rate "
    "on original recordings of LibriSpeech readers is 0.59: compare them with the row of the "
    "reference only, never with published rates"
)
_ASR_COLUMNS = {"wer", "cer", "dwer"}


def remarks(data: str, columns: Collection[str]) -> list[str]:
    """Sentences without a full stop to print below a table.

    Args:
        data: the name of the corpus.
        columns: of the table.
    """
    sentences = [CORPORA[data]] if data in CORPORA else []
    return sentences + ([SMALL_ASR_MODEL] if _ASR_COLUMNS & set(columns) else [])
