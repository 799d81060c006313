"""Real-time factors: audio by work, totals over a corpus, the hardware named."""

import pandas
import pytest
import torch

from audiotok import tasks
from audiotok.audio import Audio
from audiotok.tasks import Item
from audiotok.tasks.speed import hardware


def _item(duration, encode, decode, device=None):
    sound = Audio(torch.zeros(1, int(16_000 * duration)), 16_000)
    return Item(None, sound, sound, None, encode, decode, device)


def test_a_clip():
    row = tasks.get("speed").score(_item(2.0, 0.5, 0.25, "an abacus"))
    assert row["rtf_encode"] == 4
    assert row["rtf_decode"] == 8
    assert row["hardware"] == "an abacus"


def test_a_corpus_is_all_audio_by_all_work():
    """9 s at 9x and 1 s at 0.5x: 10 s in 3 s of work, not a mean of 4.75."""
    task = tasks.get("speed")
    rows = pandas.DataFrame([task.score(_item(9.0, 1.0, 1.0)), task.score(_item(1.0, 2.0, 4.0))])
    assert task.summarise(rows, []) == pytest.approx({"rtf_encode": 10 / 3, "rtf_decode": 2})


def test_the_ceiling_row_has_no_speed():
    task = tasks.get("speed")
    assert task.score(_item(1.0, None, None)) == {}
    assert task.summarise(pandas.DataFrame([{}]), []) == {}
    assert task.timing


def test_hardware_is_one_line_with_its_threads():
    name = hardware("cpu")
    assert f"{torch.get_num_threads()} thread" in name
    assert "\n" not in name
