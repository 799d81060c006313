"""What tables say of the bundled corpus and of the small ASR model."""

from support.result_kit import put, spread

from audiotok.report import leaderboard
from audiotok.results.remarks import CORPORA, SMALL_ASR_MODEL, remarks


def test_remarks_belong_to_a_corpus_and_to_columns():
    assert remarks("bundled", ["stoi"]) == [CORPORA["bundled"]]
    assert remarks("librispeech/test-clean", ["stoi", "wer"]) == [SMALL_ASR_MODEL]
    assert remarks("librispeech/test-clean", ["wer_whisper", "wer_closed"]) == []


def test_the_leaderboard_has_them(tmp_path):
    put(tmp_path, "opus", {"stoi": spread(0.9, width=0.01)}, data="bundled", role="baseline")
    text = leaderboard.build(tmp_path)["LEADERBOARD.md"].decode()
    assert f"{CORPORA['bundled']}.\n" in text and SMALL_ASR_MODEL not in text
