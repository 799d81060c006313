"""Any bytes are read as sound, or refused in one line."""

import numpy as np
import pytest
from support import fuzzing
from support.sound_kit import FORMATS, samples, written

from audiotok.sound.audio import read


def good(folder, kind):
    """Files of this format: mono and stereo, short and long, joined, with a tag."""
    sounds = [samples(count, channels) / 4 for count, channels in ((300, 1), (5_000, 2))]
    files = [written(folder / f"good.{kind}", sound) for sound in sounds]
    if kind in ("mp3", "ogg", "opus"):
        files += [files[0] + files[0], files[1] + b"TAG" + bytes(125)]
    if kind in ("mp3", "flac"):
        files.append(b"ID3\x04\0\0\0\0\0\x10" + bytes(16) + files[0])
    if kind == "wav":
        for form in ("RF64", "WAVEX"):
            files.append(written(folder / "good.wav", sounds[0], form="wav", format=form))
        files.append(written(folder / "good.wav", sounds[0], subtype="FLOAT"))
    return files


@pytest.mark.parametrize("kind", FORMATS)
def test_any_sound_file_is_read_or_refused(tmp_path, kind):
    def reader(path):
        audio = read(path)
        assert np.isfinite(audio.waveform.numpy()).all() and audio.num_samples < 10**7

    found = fuzzing.fuzz(tmp_path / f"any.{kind}", good(tmp_path, kind), reader)
    assert found["refused"] > 0


def test_any_cut_sound_file_gives_what_is_there(tmp_path):
    files = [data for kind in FORMATS for data in good(tmp_path, kind)]
    fuzzing.fuzz(tmp_path / "any", files, lambda path: read(path, allow_truncated=True))


def test_a_reader_that_fails_is_noticed(tmp_path):
    """The fuzzer itself: any other exception, and a message of two lines, end it."""

    def fails(path):
        if len(path.read_bytes()) != 100:
            raise ValueError("no")

    with pytest.raises(AssertionError, match="ValueError: no"):
        fuzzing.fuzz(tmp_path / "a", [bytes(100)], fails, 5)
    assert (tmp_path / "a.failed").exists()
