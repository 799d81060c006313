"""Sound that libsndfile does not read: FFmpeg's where PyAV is installed, else a line what to do."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from support.sound_kit import correlation

from audiotok.errors import AudioError
from audiotok.sound.audio import AudioFile, read
from audiotok.system.failures import is_transient

RATE = 48_000
TONE = (0.3 * np.sin(np.arange(2 * RATE) * 2 * np.pi * 440 / RATE)).astype(np.float32)
HEADS = {
    "m4a": b"\0\0\0\x20ftypM4A ",
    "webm": b"\x1a\x45\xdf\xa3" + bytes(40),
    "aac": b"\xff\xf1\x50\x80" + bytes(40),
    "wma": b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + bytes(40),
    "amr": b"#!AMR\n" + bytes(40),
    "wv": b"wvpk" + bytes(40),
}
FILES = {  # extension: codec and format of FFmpeg
    "m4a": ("aac", None),
    "webm": ("libopus", None),
    "mka": ("flac", None),
    "aac": ("aac", "adts"),
    "wv": ("wavpack", None),
}


@pytest.mark.parametrize("name", [*HEADS, "", "bin"])
def test_without_pyav_one_line_says_what_to_install(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, "av", None)
    path = tmp_path / f"a.{name}".rstrip(".")
    path.write_bytes(HEADS.get(name, HEADS["m4a"]))
    with pytest.raises(AudioError, match=r"pip install 'audiotok\[media\]'") as caught:
        read(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    assert not is_transient(caught.value)  # in a folder it costs this file, not all of a shard


def encode(path, codec, form, channels):
    av = pytest.importorskip("av", reason="PyAV is not installed: pip install 'audiotok[media]'")
    layout = ("mono", "stereo")[channels - 1]
    with av.open(str(path), "w", format=form) as file:
        stream = file.add_stream(codec, rate=RATE, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.tile(TONE, (channels, 1)), "fltp", layout)
        frame.sample_rate, frame.pts = RATE, 0
        resampler = av.AudioResampler(stream.codec_context.format or "fltp", layout, RATE)
        for part in [*resampler.resample(frame), *resampler.resample(None), None]:
            file.mux(stream.encode(part))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("name", FILES)
def test_ffmpeg_reads_it(tmp_path, name, channels):
    path = tmp_path / f"a.{name}"
    encode(path, *FILES[name], channels)
    for other in (path, Path(shutil.copy(path, tmp_path / "no_extension"))):
        file = AudioFile(other)
        assert (file.channels, file.sample_rate) == (channels, RATE)
        assert 2 * RATE <= file.num_samples <= 2 * RATE + 4096
        assert file.read().num_samples == file.num_samples
    decoded = read(other).waveform[-1].numpy()
    result = max(correlation(decoded[delay:], TONE) for delay in range(0, 2200, 4))
    assert result > 0.99


@pytest.mark.parametrize("name", ["webm", "mka", "wv"])
def test_a_cut_file_is_refused_unless_that_is_allowed(tmp_path, name):
    path = tmp_path / f"a.{name}"
    encode(path, *FILES[name], 1)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(AudioError, match="damaged or cut short.*--allow-truncated"):
        read(path)
    assert RATE // 2 < read(path, allow_truncated=True).num_samples < 3 * RATE // 2


def test_ffmpeg_opens_no_other_file(tmp_path):
    pytest.importorskip("av", reason="PyAV is not installed: pip install 'audiotok[media]'")
    encode(tmp_path / "secret.m4a", "aac", None, 1)
    path = tmp_path / "a.aac"
    for list_ in ("#EXTM3U\n#EXTINF:2,\nsecret.m4a\n", "ffconcat version 1.0\nfile secret.m4a\n"):
        for head in (b"", b"\xff\xf1", b"\0\0\0\x20ftyp"):
            path.write_bytes(head + list_.encode())
            with pytest.raises(AudioError):
                read(path.rename(tmp_path / "list"))


def test_other_codecs_in_a_wav_file(tmp_path):
    """What libsndfile does not decode: AAC in WAV is rare, MP2 is not."""
    path = tmp_path / "a.wav"
    encode(path, "mp2", "wav", 1)
    assert 2 * RATE <= read(path).num_samples <= 2 * RATE + 4096
