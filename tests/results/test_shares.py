from __future__ import annotations

import numpy as np
import pytest
from support import result_kit
from support.result_kit import put

import audiotok
from audiotok import tasks
from audiotok.harness import summary
from audiotok.results import shares

SPEAKERS = [f"s{n // 4}" for n in range(20)]


@pytest.mark.parametrize(
    ("column", "share"),
    [
        ("speaker_eer", True), ("probe_label_accuracy", True), ("probe_eer_seed_2", True),
        ("shift_agreement", True), ("reencode_agreement_10", True), ("pairs_speaker", True),
        ("speaker_identified", True), ("voicing_f1", True), ("probe_label_accuracy_chance", True),
        ("wer", False), ("probe_wer", False), ("f0_correlation", False), ("phone_share", False),
        ("probe_eer_seed_std", False), ("probe_eer_diverged", False), ("lm_saving", False),
    ],
)  # fmt: skip
def test_which_columns_are_shares(column, share):
    assert shares.is_share(column) == share
    expected = [0.0, 1.0] if share else [-0.1, 1.2]
    assert shares.within(column, [-0.1, 1.2]) == expected
    assert shares.within(column, None) is None


class Identified(tasks.Task):
    name = "speaker"
    columns = (
        tasks.Column("speaker_identified", "", True, 3, "a share"),
        tasks.Column("lm_saving", "", True, 3, "none"),
    )


def test_no_interval_of_a_share_leaves_0_to_1():
    """19 of 20 clips: the t interval over five speakers goes beyond 1."""
    values = np.array([1.0] * 19 + [0.0])
    entries = [
        {"clip": str(n), "speaker": SPEAKERS[n], "failures": []}
        | {"values": {"speaker_identified": value, "lm_saving": value}}
        for n, value in enumerate(values)
    ]
    found = summary.scores(entries, [Identified()], [], 0)
    low, high = found["speaker_identified"]["ci95"]
    beyond = found["lm_saving"]["ci95"]
    assert high == 1.0 < beyond[1] and low == beyond[0] < found["speaker_identified"]["mean"]


def test_a_difference_of_shares_stays_within_its_range(tmp_path, monkeypatch):
    about = {"speaker_identified": ("speaker", "", True, 3)}
    monkeypatch.setattr(result_kit, "ABOUT", result_kit.ABOUT | about)
    for name, last in (("one", 1.0), ("two", 0.0)):
        values = [last] * 19 + [1.0 - last]
        put(tmp_path, name, {"speaker_identified": values}, speaker=SPEAKERS)
    frame = audiotok.compare("one", "two", results=tmp_path).set_index("column")
    row = frame.loc["speaker_identified"]
    assert row["high"] == 1.0 and 0 < row["low"] < row["difference"]
