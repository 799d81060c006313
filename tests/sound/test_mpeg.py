"""MP3 files without the frame that tells their length, joined ones, and damaged ones."""

import io

import numpy as np
import pytest
from support.sound_kit import correlation, samples, written

from audiotok.errors import AudioError
from audiotok.sound import mpeg
from audiotok.sound.audio import read

RATE = 44_100
NOISE, SILENCE = 0.5 * samples(2 * RATE)[:, 0], np.zeros(2 * RATE)
SOUNDS = {  # what a guess by the bit rate of the first frame gets wrong, in both directions
    "tone": 0.3 * np.sin(np.arange(4 * RATE) * 2 * np.pi * 440 / RATE),
    "noise, then silence": np.r_[NOISE, SILENCE],
    "silence, then noise": np.r_[SILENCE, NOISE],
}
DELAY = 576  # samples that the encoder puts before the sound, if no Info frame tells of them


def without_info(data):
    """The file without its first frame, as encoders that write into a pipe leave it."""
    result, missing = mpeg.encodings(io.BytesIO(data), len(data))
    assert len(result) == 1 and result[0].info and not missing
    return data[len(result[0].info) :]


@pytest.fixture
def mp3(tmp_path):
    def write(sound, rate=RATE, **options):
        return written(tmp_path / "made.mp3", sound, rate, **options)

    write.path = tmp_path / "a.mp3"
    return write


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE", "AVERAGE"])
@pytest.mark.parametrize("name", SOUNDS)
def test_all_of_a_file_without_info_frame_is_read(mp3, name, mode):
    mp3.path.write_bytes(without_info(mp3(SOUNDS[name], bitrate_mode=mode)))
    result = read(mp3.path)
    assert 4 * RATE <= result.num_samples <= 4 * RATE + 3 * 1152
    assert correlation(result.waveform[0].numpy()[DELAY:], SOUNDS[name]) > 0.9


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 48_000])
def test_every_rate(mp3, rate, channels):
    data = mp3(samples(2 * rate, channels), rate)
    mp3.path.write_bytes(data)
    assert read(mp3.path).num_samples == 2 * rate
    mp3.path.write_bytes(without_info(data))
    result = read(mp3.path)
    assert 2 * rate <= result.num_samples <= 2 * rate + 3 * 1152 and result.channels == channels


def test_joined_files_are_read_one_after_another(mp3):
    first, second = samples(RATE)[:, 0], samples(RATE, seed=1)[:, 0]
    a, b = mp3(first), mp3(second)
    both = np.r_[first, second]
    tag = b"TAG" + bytes(125)
    id3 = b"ID3\x04\0\0\0\0\x10\0" + bytes(2048)
    for joined in (a + b, a + tag + b, a + id3 + b, id3 + a + tag + id3 + b + tag):
        mp3.path.write_bytes(joined)
        result = read(mp3.path)
        assert result.num_samples == 2 * RATE
        assert correlation(result.waveform[0].numpy(), both) > 0.99
    mp3.path.write_bytes(a + without_info(b))  # the first declares its own length only
    assert correlation(read(mp3.path).waveform[0].numpy()[RATE + DELAY :], second) > 0.99
    mp3.path.write_bytes(without_info(a) + b)
    assert correlation(read(mp3.path).waveform[0].numpy()[-RATE:], second) > 0.99


def test_joined_files_of_different_rates_are_refused(mp3):
    mp3.path.write_bytes(mp3(NOISE, 44_100) + mp3(NOISE, 22_050))
    with pytest.raises(AudioError, match="consists of files of 1 .* 44100 Hz and of 1 at 22050"):
        read(mp3.path)


def test_an_info_frame_without_numbers_promises_nothing(mp3):
    data = bytearray(mp3(NOISE))
    at = data.index(b"Xing") if b"Xing" in data[:200] else data.index(b"Info")
    for flags, count in ((0, 0), (15, 0), (15, 0xFFFFFFFF)):
        data[at + 7] = flags
        data[at + 8 : at + 12] = count.to_bytes(4, "big")
        mp3.path.write_bytes(data)
        assert 2 * RATE <= read(mp3.path).num_samples <= 2 * RATE + 3 * 1152


def test_cut_files_are_refused_unless_that_is_allowed(mp3):
    whole = mp3(NOISE)
    bare = without_info(whole)
    frames = mpeg.encodings(io.BytesIO(bare), len(bare))[0][0].frames
    for data in (whole[: len(whole) // 2], bare[: len(bare) // 2], bare + whole[: len(whole) // 2]):
        mp3.path.write_bytes(data)
        with pytest.raises(AudioError, match=r"cut short: .*--allow-truncated"):
            read(mp3.path)
        result = read(mp3.path, allow_truncated=True)
        assert result.num_samples > RATE // 2 and result.waveform.abs().max() > 0.1
    # between two frames: only the Info frame tells
    stop = mpeg.encodings(io.BytesIO(whole), len(whole))[0][0].ranges[0][1]
    last = max(i for i in range(stop - 2000, stop - 4) if whole[i : i + 2] == bare[:2])
    mp3.path.write_bytes(whole[:last])
    with pytest.raises(AudioError, match=f"1 of {frames} frames"):
        read(mp3.path)


def test_junk_is_passed_over_at_the_ends_and_refused_in_the_middle(mp3):
    data = without_info(mp3(NOISE))
    mp3.path.write_bytes(data)
    expected = read(mp3.path).num_samples
    middle = mpeg.encodings(io.BytesIO(data), len(data))[0][0].ranges[0][1] // 2
    junk = np.random.default_rng(0).bytes(3000)
    mp3.path.write_bytes(b"\xff\xfb\x90" + bytes(500) + data + bytes(300))
    assert read(mp3.path).num_samples == expected
    for bad in (data[:middle] + junk + data[middle:], data + bytes(2**20)):
        mp3.path.write_bytes(bad)
        with pytest.raises(AudioError, match="bytes at byte .* are no MP3 frames"):
            read(mp3.path)
