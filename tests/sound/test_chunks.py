"""WAV, RF64, AIFF, W64, CAF and AU: lengths that promise nothing, cut files, endless chunks."""

import struct
import time

import pytest
from support.sound_kit import samples, written

from audiotok.errors import AudioError
from audiotok.sound.audio import read

SOUND = samples(32_000)[:, 0] / 4
CHUNKED = ("wav", "rf64", "aiff", "w64", "caf", "au")
WIDE = ("rf64", "w64", "caf")  # whose lengths have 64 bits
LENGTHS = {  # where the length of the sound stands, behind what; how it is written
    "wav": (b"data", 0, "<I"),
    "rf64": (b"ds64", 12, "<Q"),
    "aiff": (b"SSND", 0, ">I"),
    "w64": (b"data", 12, "<Q"),
    "caf": (b"data", 0, ">Q"),
    "au": (b".snd", 4, ">I"),
}
PLACEHOLDERS = {  # length -> who writes it
    0: "a recorder that was stopped",
    0xFFFFFFFF: "ffmpeg",
    0xFFFFFFFF - 36: "-1 for the whole file",
    0xFFFFFFFE: "an even number",
    0x7FFFF000: "sox",
    0x7FFFFFFF: "speech services",
    0x7FFFFFFF - 36: "the same, for the whole file",
    0x80000000: "one more",
    0x7FFFFFFF + 44: "header counted in",
    2_000_000_000: "10**9 samples",
    4_000_000_000: "10**9 stereo samples",
    2**30: "2**29 samples",
}


def made(folder, kind):
    if kind == "rf64":
        return written(folder / "a.wav", SOUND, form="wav", format="RF64"), folder / "a.wav"
    return written(folder / f"a.{kind}", SOUND), folder / f"a.{kind}"


def with_length(data, kind, length):
    mark, offset, form = LENGTHS[kind]
    data = bytearray(data)
    struct.pack_into(form, data, data.index(mark) + len(mark) + offset, length)
    return bytes(data)


@pytest.mark.parametrize("kind", CHUNKED)
def test_a_length_that_is_none_promises_nothing(tmp_path, kind):
    data, path = made(tmp_path, kind)
    expected = read(path).waveform
    assert expected.shape == (1, 32_000)
    lengths = [*PLACEHOLDERS, len(data), len(data) - 8]
    lengths += [2**64 - 1, 2**63 - 1] if kind in WIDE else []
    for length in lengths:
        path.write_bytes(with_length(data, kind, length))
        assert read(path).waveform.equal(expected), (kind, hex(length))


@pytest.mark.parametrize("kind", CHUNKED)
def test_a_length_that_is_one_is_kept_to(tmp_path, kind):
    data, path = made(tmp_path, kind)
    cut = data[: len(data) // 2]
    for bad in (cut, with_length(data, kind, 1_234_567_890), with_length(data, kind, 123_456)):
        path.write_bytes(bad)
        with pytest.raises(AudioError, match="cut short: .* bytes .* missing; --allow-truncated"):
            read(path)
        result = read(path, allow_truncated=True)
        assert result.num_samples >= 13_000  # CAF files begin with 4 kB of nothing
        assert result.waveform[:, :13_000].equal(read_whole(tmp_path, data, path)[:, :13_000])


def read_whole(folder, data, path):
    whole = folder / f"whole{path.suffix}"
    whole.write_bytes(data)
    return read(whole).waveform


def test_an_empty_file_stays_empty(tmp_path):
    path = tmp_path / "a.wav"
    data = written(path, SOUND[:0])
    for bad in (data, data + b"LIST\4\0\0\0INFO"):
        path.write_bytes(bad)
        with pytest.raises(AudioError, match="holds 0 samples"):
            read(path)


def test_the_environment_may_allow_cut_files(tmp_path, monkeypatch):
    data, path = made(tmp_path, "wav")
    path.write_bytes(data[:20_044])
    for value in ("", "0"):
        monkeypatch.setenv("AUDIOTOK_ALLOW_TRUNCATED", value)
        with pytest.raises(AudioError, match="cut short"):
            read(path)
    monkeypatch.setenv("AUDIOTOK_ALLOW_TRUNCATED", "1")
    assert read(path).num_samples == 10_000
    with pytest.raises(AudioError, match="cut short"):
        read(path, allow_truncated=False)


def test_sound_that_begins_behind_the_end(tmp_path):
    path = tmp_path / "a.au"
    data = bytearray(written(path, SOUND))
    data[4:12] = (10**6).to_bytes(4, "big") + b"\xff" * 4
    path.write_bytes(data)
    for allow, message in ((False, "cut short"), (True, "holds 0 samples")):
        with pytest.raises(AudioError, match=message):
            read(path, allow_truncated=allow)


HEADS = {
    "wav": b"RIFF\xff\xff\xff\xffWAVE",
    "rf64": b"RF64\xff\xff\xff\xffWAVE",
    "aiff": b"FORM\xff\xff\xff\xffAIFF",
    "caf": b"caff\0\1\0\0",
    "w64": b"riff.\x91\xcf\x11\xa5\xd6(\xdb\x04\xc1\0\0" + bytes(8) + b"wave" + bytes(12),
    "au": b".snd\xff\xff\xff\0",
    "ogg": b"OggS",
    "mp3": b"ID3\x04\0\0\0\0\0\0\xff\xfb\x90\xc4",
    "flac": b"fLaC",
}


@pytest.mark.parametrize("kind", HEADS)
def test_a_sparse_file_of_zeros_is_refused_at_once(tmp_path, kind):
    path = tmp_path / "a"
    with open(path, "wb") as file:
        file.write(HEADS[kind])
        file.truncate(10 * 2**30)  # of which nothing is on the disk
    start = time.process_time()
    with pytest.raises(AudioError):
        read(path)
    assert time.process_time() - start < 2


@pytest.mark.parametrize("kind", CHUNKED)
def test_any_beginning_of_a_file_is_refused_in_one_line(tmp_path, kind):
    data, path = made(tmp_path, kind)
    for stop in range(1, 120):
        path.write_bytes(data[:stop])
        with pytest.raises(AudioError) as caught:
            read(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("start", [0, 4, 11])
def test_sound_that_begins_inside_of_its_header(tmp_path, start):
    data = written(tmp_path / "a.au", SOUND)
    (tmp_path / "a.au").write_bytes(data[:4] + struct.pack(">II", start, 20_000) + data[12:])
    with pytest.raises(AudioError, match=f"begins at byte {start}, in the header"):
        read(tmp_path / "a.au")
