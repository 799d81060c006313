"""What a file promises is compared with what is decoded: checksums, lengths, cut files."""

import hashlib

import numpy as np
import pytest
import soundfile
import torch
from support.sound_kit import FORMATS, samples, written

from audiotok.errors import AudioError
from audiotok.sound.audio import AudioFile, read


@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16", "PCM_24"])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_checksum_of_flac_is_checked(tmp_path, subtype, channels):
    path = tmp_path / "a.flac"
    data = bytearray(written(path, samples(20_000, channels) / 4, subtype=subtype))
    assert read(path).num_samples == 20_000
    assert any(data[26:42])
    data[30] ^= 1
    path.write_bytes(data)
    with pytest.raises(AudioError, match="the checksum .MD5. of its samples is not the one"):
        read(path)
    data[26:42] = bytes(16)  # an encoder that writes into a pipe leaves it out
    path.write_bytes(data)
    assert read(path).num_samples == 20_000


def test_the_md5_is_that_of_the_samples(tmp_path):
    """As the format says: interleaved, little-endian, whole bytes."""
    path = tmp_path / "a.flac"
    data = written(path, samples(5_000, 2) / 4)
    integers, _ = soundfile.read(path, dtype="int16")
    assert hashlib.md5(integers.astype("<i2").tobytes()).digest() == data[26:42]


def test_flac_behind_a_tag(tmp_path):
    path = tmp_path / "a.flac"
    data = written(path, samples(5_000) / 4)
    path.write_bytes(b"ID3\x04\0\0\0\0\x01\0" + bytes(128) + data)
    assert read(path).num_samples == 5_000


@pytest.mark.parametrize("share", [0.6, 0.9])
@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_there_of_a_cut_file(tmp_path, caplog, kind, share):
    path = tmp_path / f"a.{kind}"
    data = written(path, samples(100_000) / 4)
    whole = read(path).waveform
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(AudioError, match="cut short.*--allow-truncated"):
        read(path)
    file = AudioFile(path, allow_truncated=True)
    assert share * 0.4 * 100_000 < file.num_samples < (share + 0.1) * 100_000
    result = file.read().waveform
    assert result.shape == (1, file.num_samples)
    ahead = file.num_samples - 5_000
    torch.testing.assert_close(result[:, :ahead], whole[:, :ahead], rtol=0, atol=1e-3)
    resampled = file.converted(None, 8_000)
    assert resampled.shape == (1, -(-file.num_samples // 2))
    assert f"{path} is cut short: only its first {file.num_samples} samples are read" in caplog.text


def test_damage_that_moves_no_byte(tmp_path):
    """Any flipped bit of a FLAC file's frames is noticed."""
    path = tmp_path / "a.flac"
    data = written(path, samples(8_000) / 4)
    rng = np.random.default_rng(0)
    first = data.index(b"\xff\xf8")  # frame
    for at, bit in zip(rng.integers(first, len(data), 100), rng.integers(0, 8, 100), strict=True):
        bad = bytearray(data)
        bad[at] ^= 1 << bit
        path.write_bytes(bad)
        with pytest.raises(AudioError):
            read(path)
