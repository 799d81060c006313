"""Sound files that are written: formats, blocks, clipping and what is refused."""

import os

import pytest
import soundfile
import torch
from support.sound_kit import sound

from audiotok.errors import AudioError
from audiotok.sound.audio import Audio, read, write


@pytest.mark.parametrize("extension", ["wav", "flac", "ogg", "opus", "mp3"])
def test_what_is_written_is_read(tmp_path, extension):
    audio = sound(24_000, 24_000, channels=2)
    write(tmp_path / f"a.{extension}", audio)
    again = read(tmp_path / f"a.{extension}")
    assert again.sample_rate == 24_000
    assert again.num_samples == 24_000
    tolerance = 1 / 32768 if extension in ("wav", "flac") else 0.1
    assert (again.waveform - audio.waveform).abs().max() <= tolerance


def test_long_sound_is_written_in_blocks(tmp_path, monkeypatch):
    """libsndfile's Vorbis encoder overflows the stack where it is given millions of samples."""
    blocks, before = [], soundfile.SoundFile.write
    monkeypatch.setattr(
        soundfile.SoundFile,
        "write",
        lambda self, data: blocks.append(len(data)) or before(self, data),
    )
    write(tmp_path / "a.ogg", sound(300_000, 48_000))
    assert sum(blocks) == 300_000 and max(blocks) <= 2**16
    assert read(tmp_path / "a.ogg").num_samples == 300_000


def test_clipping_is_said(tmp_path, caplog):
    write(tmp_path / "a.wav", Audio(torch.tensor([[-1.0, 0.25, 1.0]]), 16_000))
    assert not caplog.text
    audio = Audio(torch.tensor([[-2.0, 0.25, 2.0]]), 16_000)
    write(tmp_path / "a.wav", audio)
    assert caplog.messages == [
        f"{tmp_path / 'a.wav'}: 2 of 3 samples are beyond [-1, 1] (peak 2) and were clipped"
    ]
    clipped = [-1.0, 0.25, 32767 / 32768]
    assert read(tmp_path / "a.wav").waveform[0].tolist() == clipped
    write(tmp_path / "b.wav", audio, subtype="FLOAT")
    assert len(caplog.messages) == 1
    assert read(tmp_path / "b.wav").waveform[0].tolist() == [-2.0, 0.25, 2.0]


@pytest.mark.parametrize(
    ("name", "rate", "subtype", "message"),
    [
        ("a.xyz", 16_000, None, "the extension '.xyz' is none of"),
        ("a", 16_000, None, "the extension '' is none of"),
        ("a.wav", 16_000, "VORBIS", "WAV has no sample format 'VORBIS'"),
        ("a.opus", 44_100, None, "OGG OPUS at 44100 Hz"),
        ("no/a.wav", 16_000, None, "No such file or directory"),
    ],
)
def test_refuses_to_write(tmp_path, name, rate, subtype, message):
    with pytest.raises(AudioError, match=message):
        write(tmp_path / name, sound(100, rate), subtype)
    assert not os.listdir(tmp_path)
