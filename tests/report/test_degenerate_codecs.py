"""A constant, a copying and a random codec, measured as any other codec is."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile

from audiotok import data
from audiotok.harness import harness
from audiotok.harness.settings import BenchSettings
from audiotok.report.boards import BANDS, Boards

FILE = Path(__file__).parents[1] / "support" / "degenerate_codecs.py"
TASKS = ["reconstruction", "tokens"]
NOISE = {"constant", "dice"}


@pytest.fixture(scope="module")
def boards(tmp_path_factory):
    """Three clips of 1 s."""
    folder = tmp_path_factory.mktemp("clips")
    for number, clip in enumerate(list(data.load("bundled"))[:15:5]):
        sound = clip.read()
        piece = sound.waveform[:, : sound.sample_rate]
        soundfile.write(folder / f"{number}.wav", piece.T.numpy(), sound.sample_rate)
    settings = BenchSettings(
        tokenizer=["wavtokenizer-mini", *(f"{FILE}::{name}" for name in (*NOISE, "copying"))],
        data=folder,
        suite="smoke",
        tasks=TASKS,
        baselines=False,
        out=tmp_path_factory.mktemp("results"),
        workers=0,
    )
    return Boards(harness.run(settings))


def test_they_are_first_in_nothing_but_what_they_deserve(boards):
    ranks = boards.rankings["reconstruction"].columns
    assert set(ranks) == {"mel_distance", "pesq", "stoi"}
    for column in ranks.values():
        assert column["copying"] == 1 and column["wavtokenizer-mini"] == 2
        assert all(column[name] > 2 for name in NOISE & column.keys())
    assert boards.rankings["tokens"] is None


def test_a_constant_code_would_win_what_is_not_ranked(boards):
    """The numbers are there, and best: it is the ranking that leaves them out."""
    scores = {result.codec: result.scores for result in boards.group if result.role == "neural"}
    entropy = {name: one["entropy_bitrate"]["mean"] for name, one in scores.items()}
    assert min(entropy, key=entropy.get) == "constant" and entropy["constant"] < 50


def test_fronts_and_bands(boards):
    for front in boards.fronts:  # steady noise is the cheapest
        assert front.codecs == ["wavtokenizer-mini", "copying"]
    bands = {board.band: {result.codec for result in board.results} for board in boards.boards}
    assert bands == {BANDS[0]: NOISE, BANDS[1]: {"wavtokenizer-mini"}, BANDS[4]: {"copying"}}
