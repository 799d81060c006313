"""Sound files that are read, and what is refused: no sound, damage, wrong labels, bad contents."""

import math
import os
import resource

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.sound_kit import sound, write_file

from audiotok.errors import AudioError
from audiotok.sound import audio as audio_module
from audiotok.sound import resampling
from audiotok.sound.audio import AudioFile, read, write

EXTENSIONS = ("wav", "flac", "ogg", "opus", "mp3", "aiff")


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("extension", EXTENSIONS)
def test_reads_every_format(tmp_path, extension, channels):
    audio = read(write_file(tmp_path, extension, channels=channels))
    assert audio.waveform.shape == (channels, 24_000)
    assert (audio.sample_rate, audio.channels, audio.num_samples) == (16_000, channels, 24_000)
    assert audio.duration == 1.5
    assert audio.waveform.is_contiguous() and audio.waveform.abs().max() > 0.2


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_agrees_with_soundfile(tmp_path, extension):
    path = write_file(tmp_path, extension, num_samples=50_000, channels=2)
    expected, _ = soundfile.read(path, dtype="float32")
    # not array_equal: libmpg123 rounds as it likes
    assert np.allclose(read(path).waveform, expected.T, rtol=0, atol=1e-6)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_integers_are_scaled(tmp_path, subtype):
    samples = np.array([-1.0, -0.5, 0.0, 0.5])
    soundfile.write(tmp_path / "a.wav", samples, 8_000, subtype=subtype)
    assert np.allclose(read(tmp_path / "a.wav").waveform, samples, atol=0.01)


def test_float_overshoot_is_kept_and_unscaled_integers_are_refused(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.array([0.0, 1.5]), 8_000, subtype="FLOAT")
    assert read(path).waveform.max() == 1.5
    soundfile.write(path, np.array([0.0, 12_000.0]), 8_000, subtype="FLOAT")
    with pytest.raises(AudioError, match="peaks at 12000: floats are expected in"):
        read(path)


def test_a_wave_file_through_a_pipe_has_no_length(tmp_path):
    path = write_file(tmp_path, "wav")
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = b"\xff" * 4
    path.write_bytes(data)
    assert read(path).num_samples == 24_000


REFUSED = {
    "missing": ("no.wav", None, "does not exist"),
    "no bytes": ("a.wav", b"", "is empty: it holds 0 bytes"),
    "text": ("a.wav", b"hello, this is no sound", "is not a sound file"),
    "one byte": ("a.mp3", b"\xff", "is not a sound file"),
    "riff without data": ("a.wav", b"RIFF\x04\0\0\0WAVE", "cannot be decoded as WAV"),
    "flac without data": ("a.flac", b"fLaC" + bytes(60), "cannot be decoded as FLAC"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses_what_is_no_sound(tmp_path, case):
    name, content, message = REFUSED[case]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    refuses(tmp_path / name, message)


def refuses(path, message):
    with pytest.raises(AudioError, match=message) as caught:
        read(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_refuses_folders_and_devices(tmp_path):
    refuses(tmp_path, "is a folder")
    refuses("/dev/null", "is no regular file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_refuses_what_may_not_be_read(tmp_path):
    path = write_file(tmp_path, "wav")
    path.chmod(0)
    refuses(path, "cannot be opened: Permission denied")


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("extension", EXTENSIONS)
def test_refuses_files_cut_short(tmp_path, extension, share):
    data = write_file(tmp_path, extension).read_bytes()
    cut = tmp_path / f"cut.{extension}"
    cut.write_bytes(data[: int(len(data) * share)])
    refuses(cut, "cut short")


@pytest.mark.parametrize("extension", ["flac", "ogg", "opus", "mp3"])
def test_refuses_damage_in_the_middle(tmp_path, extension):
    data = bytearray(write_file(tmp_path, extension, num_samples=160_000).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 300] = np.random.default_rng(0).bytes(300)
    path = tmp_path / f"bad.{extension}"
    path.write_bytes(data)
    refuses(path, "damaged or cut short")


@pytest.mark.parametrize("content", EXTENSIONS)
@pytest.mark.parametrize("label", EXTENSIONS)
def test_refuses_wrong_labels(tmp_path, content, label):
    path = tmp_path / f"b.{label}"
    write_file(tmp_path, content).rename(path)
    if content == label or (content, label) == ("opus", "ogg"):
        assert read(path).num_samples == 24_000
    else:
        refuses(path, "is mislabelled")


def test_an_unknown_extension_claims_nothing(tmp_path):
    path = write_file(tmp_path, "flac").rename(tmp_path / "sound.bin")
    assert read(path).num_samples == 24_000


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (np.zeros((10, 3)), 16_000, "has 3 channels"),
        (np.zeros((0, 1)), 16_000, "is empty: it holds 0 samples"),
        (np.zeros((10, 1)), 100, "has 100 Hz, which is not between 1000 and 768000"),
        (np.zeros((10, 1)), 2_000_000, "has 2000000 Hz"),
        (np.array([0.1, math.nan, 0.1]), 16_000, r"not finite \(NaN or infinity\) at sample 1"),
        (np.array([0.1, 0.2, -math.inf]), 16_000, "not finite .* at sample 2"),
    ],
)
def test_refuses_contents(tmp_path, samples, rate, message):
    soundfile.write(tmp_path / "a.wav", samples, rate, subtype="FLOAT")
    refuses(tmp_path / "a.wav", message)


def test_flac_that_declares_absurd_lengths(tmp_path):
    path = write_file(tmp_path, "flac")
    data = bytearray(path.read_bytes())
    data[21] |= 0x0F
    data[22:26] = b"\xff" * 4  # 2**36 - 1 samples
    path.write_bytes(data)
    refuses(path, "has 68719476735 samples, more than")
    data[21] &= 0xF0
    data[22:26] = b"\x3f\0\0\0"  # 4 GiB of float32, which are not to be touched
    path.write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(AudioError, match="as a whole|cut short: of 1056964608 samples"):
        read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 2**20
    data[22:26] = bytes(4)  # none, as the encoder leaves it that writes into a pipe
    path.write_bytes(data)
    assert read(path).num_samples == 24_000


@given(
    st.binary(max_size=300), st.sampled_from([b"", b"RIFF....WAVEfmt ", b"fLaC", b"OggS", b"ID3"])
)
@settings(deadline=None, max_examples=150)
def test_any_bytes_are_read_or_refused(tmp_path_factory, data, head):
    path = tmp_path_factory.getbasetemp() / "any.bin"
    path.write_bytes(head + data)
    try:
        read(path)
    except AudioError as error:
        assert "\n" not in str(error)


@given(st.data())
@settings(deadline=None, max_examples=150)
def test_any_mutation_is_read_or_refused(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp()
    extension = data.draw(st.sampled_from(["wav", "flac", "ogg", "opus", "aiff"]))
    content = bytearray(write_file(folder, extension, num_samples=2_000, name="m").read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, min(len(content) - 1, 200)))
        content[at] = data.draw(st.integers(0, 255))
    path = folder / f"mutated.{extension}"
    path.write_bytes(content)
    try:
        read(path)
    except AudioError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("extension", [".wav", ".flac", ".ogg", ".mp3"])
@pytest.mark.parametrize("new", [44_100, 16_000, 44_099])
def test_a_file_is_converted_block_by_block(monkeypatch, tmp_path, extension, new):
    """As if it were read, mixed and resampled; blocks of all sizes."""
    path = tmp_path / f"a{extension}"
    write(path, sound(12_011, 44_100, channels=2))
    whole = read(path)
    for block in (700, 7_777):
        monkeypatch.setattr(audio_module, "BLOCK", block)
        monkeypatch.setattr(resampling, "BLOCK", block)
        assert torch.equal(read(path).waveform, whole.waveform)
        for channels in (None, 1, 2):
            expected = whole.to_channels(channels or 2).resample(new).waveform
            result = AudioFile(path).converted(channels, new)
            torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)


def test_what_does_not_fit_into_memory_is_refused_before_it_is_read(monkeypatch, tmp_path):
    path = write_file(tmp_path, "flac")
    needed = 24_000 * 4
    monkeypatch.setattr(audio_module, "free_memory", lambda: 2 * needed - 1)
    monkeypatch.setattr(torch, "zeros", lambda *_: pytest.fail("it was taken"))
    refuses(path, "has 24000 samples in 1 channel.*: cut it into pieces")
    monkeypatch.undo()
    monkeypatch.setattr(audio_module, "free_memory", lambda: 2 * needed)
    assert read(path).num_samples == 24_000
