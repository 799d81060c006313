"""Durations in whole frames, files of durations, crops."""

import pytest
import torch
from support import tts_kit

from audiotok.data import load
from audiotok.errors import SpeechError
from audiotok.tts import alignment
from audiotok.tts.base import crop
from audiotok.tts.durations import Durations, read, write


def test_every_phone_gets_a_frame_and_the_sum_is_kept():
    found = alignment.durations([0.0, 0.001, 0.002, 0.1], 10, 50.0)
    assert found.tolist() == [1, 1, 3, 5]
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        count = int(torch.randint(1, 30, (), generator=generator))
        starts = torch.rand(count, generator=generator).sort().values.tolist()
        starts[0] = 0.0
        found = alignment.durations(starts, 30, 30.0)
        assert int(found.sum()) == 30 and int(found.min()) >= 1 and len(found) == count


def test_a_sound_too_short_for_its_phones_is_refused():
    with pytest.raises(SpeechError, match="3 phones in 2 frames"):
        alignment.durations([0.0, 0.1, 0.2], 2, 50.0)
    with pytest.raises(SpeechError, match="0 phones"):
        alignment.durations([], 2, 50.0)


def test_real_speech_is_aligned():
    clip = next(clip for clip in load("bundled") if clip.text)
    found = alignment.align(clip.read(), clip.text)
    assert found.starts[0] == 0 and list(found.starts) == sorted(found.starts)
    assert set(alignment.phones.NAMES) >= set(found.names)
    assert len(found.ids) == len(found.starts) > 10


def test_a_crop_has_the_phones_that_are_spoken_in_it():
    target = tts_kit.example(phones=5, frames=30).target  # six frames each
    part = crop(target, 2, 8, 2)  # frames 4 to 20
    assert part.phones.tolist() == target.phones[:4].tolist()
    assert part.durations.tolist() == [1, 3, 3, 1]
    assert torch.equal(part.codes, target.codes[:, 4:20])


def test_durations_are_read_as_they_were_written(tmp_path):
    found = Durations(("SIL", "HH", "AH", "SIL"), (0.1, 0.04, 0.125, 0.2))
    write(tmp_path / "d.tsv", found)
    assert read(tmp_path / "d.tsv") == found
    assert found.units(0.04).tolist() == [2, 2, 3, 5]
    found.check(("HH", "AH"))


@pytest.mark.parametrize(
    "content, message",
    [
        ("HH 0.1 2", "line 1: .* is not a phone and its seconds"),
        ("HH\tnan", "expected more than 0"),
        ("HH\t-1", "expected more than 0"),
        ("XX\t1", "'XX' is no phone"),
        ("", "0 durations for 0 phones"),
        ("HH\t100", "expected at most 60 s"),
    ],
)
def test_files_that_are_no_durations_are_refused(tmp_path, content, message):
    (tmp_path / "d.tsv").write_text(content)
    with pytest.raises(SpeechError, match=message):
        read(tmp_path / "d.tsv")


def test_durations_of_another_text_are_refused():
    with pytest.raises(SpeechError, match="at phone 2 they have AH, the text has the end"):
        Durations(("HH", "AH"), (0.1, 0.1)).check(("HH", "SIL"))
