"""Any bytes are read as sound, or refused in one line."""

import numpy as np
import pytest
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


def comparable(audio):
    waveform = audio.waveform.numpy()
    assert np.isfinite(waveform).all() and audio.num_samples < 10**7
    return waveform.tobytes(), waveform.shape, audio.sample_rate


@pytest.mark.parametrize("kind", FORMATS)
def test_sound(tmp_path, fuzz, kind):
    fuzz(tmp_path / f"any.{kind}", good(tmp_path, kind), lambda path: comparable(read(path)))


def test_cut_sound(tmp_path, fuzz):
    files = [data for kind in FORMATS for data in good(tmp_path, kind)]
    fuzz(tmp_path / "any", files, lambda path: comparable(read(path, allow_truncated=True)))
