"""Reading, writing, resampling and every check of a waveform."""

import io
import math
import os

import numpy as np
import pytest
import soundfile
import torch
import torchaudio
from hypothesis import given, settings
from hypothesis import strategies as st

from audiotok.errors import AudioError
from audiotok.sound import audio as audio_module
from audiotok.sound import resampling
from audiotok.sound.audio import Audio, AudioFile, as_audio, read, resampled_length, write

FORMATS = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "aiff": ("AIFF", "PCM_16"),
}


def noise(num_samples, channels=1, seed=0):
    """Mostly low frequencies, so that lossy formats keep it."""
    white = np.random.default_rng(seed).standard_normal((num_samples + 31, channels))
    kernel = np.hanning(32) / 32
    smooth = [np.convolve(row, kernel, "valid") for row in white.T]
    return np.stack(smooth, 1).astype(np.float32)


def sound(num_samples, sample_rate, channels=1):
    return Audio(torch.from_numpy(noise(num_samples, channels).T.copy()), sample_rate)


def write_file(folder, extension, num_samples=24_000, rate=16_000, channels=1, name="a"):
    path = folder / f"{name}.{extension}"
    file_format, subtype = FORMATS[extension]
    soundfile.write(path, noise(num_samples, channels), rate, format=file_format, subtype=subtype)
    return path


# --- reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("extension", FORMATS)
def test_reads_every_format(tmp_path, extension, channels):
    audio = read(write_file(tmp_path, extension, channels=channels))
    assert audio.waveform.shape == (channels, 24_000)
    assert (audio.sample_rate, audio.channels, audio.num_samples) == (16_000, channels, 24_000)
    assert audio.duration == 1.5
    assert audio.waveform.is_contiguous() and audio.waveform.abs().max() > 0.2


@pytest.mark.parametrize("extension", FORMATS)
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
@pytest.mark.parametrize("extension", FORMATS)
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


@pytest.mark.parametrize("content", FORMATS)
@pytest.mark.parametrize("label", FORMATS)
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


# --- writing -------------------------------------------------------------------------------------


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


# --- Audio ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("waveform", "rate", "message"),
    [
        (torch.zeros(5), 16_000, r"has shape \(1 or 2 channels, samples\), not \(5,\)"),
        (torch.zeros(3, 5), 16_000, r"not \(3, 5\)"),
        (torch.zeros(1, 0), 16_000, "is empty"),
        (torch.zeros(1, 5).double(), 16_000, "not torch.float64"),
        (np.zeros((1, 5)), 16_000, "not float64"),
        (torch.zeros(1, 5), 0, "0 Hz is not between"),
        (torch.zeros(1, 5), 16_000.0, "an int in Hz, not 16000.0"),
        (torch.zeros(1, 5), True, "an int in Hz, not True"),
    ],
)
def test_audio_checks_itself(waveform, rate, message):
    with pytest.raises(AudioError, match=message):
        Audio(waveform, rate)


def test_channels():
    stereo = Audio(torch.tensor([[0.0, 0.5], [1.0, 0.5]]), 8_000)
    mono = stereo.to_channels(1)
    assert mono.waveform.tolist() == [[0.5, 0.5]]
    assert mono.to_channels(1) is mono
    assert mono.to_channels(2).waveform.tolist() == [[0.5, 0.5], [0.5, 0.5]]
    with pytest.raises(AudioError, match="3 channels"):
        stereo.to_channels(3)


# --- resampling ----------------------------------------------------------------------------------

RATES = st.sampled_from([8_000, 11_025, 16_000, 22_050, 24_000, 44_099, 44_100, 48_000])


@given(st.integers(1, 30_000), RATES, RATES)
@settings(deadline=None, max_examples=100)
def test_resampled_lengths(num_samples, old, new):
    audio = sound(num_samples, old).resample(new)
    assert audio.num_samples == resampled_length(num_samples, old, new)
    assert audio.num_samples == math.ceil(num_samples * new / old)
    assert audio.resample(old).num_samples >= num_samples


@pytest.mark.parametrize(("old", "new"), [(44_100, 24_000), (16_000, 24_000), (24_000, 16_000)])
def test_resampling_equals_torchaudio(old, new):
    audio = sound(30_011, old, channels=2)
    expected = torchaudio.transforms.Resample(old, new)(audio.waveform)
    assert torch.equal(audio.resample(new).waveform, expected)


@pytest.mark.parametrize(("old", "new"), [(44_100, 16_000), (16_000, 24_000), (48_000, 8_000)])
def test_blocks_change_nothing(monkeypatch, old, new):
    audio = sound(30_011, old)
    whole = audio.resample(new).waveform
    monkeypatch.setattr(resampling, "BLOCK", 1_000)
    torch.testing.assert_close(audio.resample(new).waveform, whole, rtol=0, atol=1e-6)


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


@pytest.mark.parametrize(("old", "new"), [(44_099, 24_000), (16_000, 44_099), (44_100, 24_000)])
def test_a_tone_stays_where_it_is(old, new):
    tone = torch.sin(2 * math.pi * 440 * torch.arange(old)[None] / old)
    expected = torch.sin(2 * math.pi * 440 * torch.arange(new)[None] / new)
    result = Audio(tone, old).resample(new).waveform
    assert (result - expected)[:, 500:-500].abs().max() < 0.01


# --- as_audio ------------------------------------------------------------------------------------


def test_as_audio_shapes():
    samples = np.linspace(-1, 1, 10)
    for array in (samples, samples[None], samples[:, None], list(samples), torch.tensor(samples)):
        audio = as_audio((array, 16_000))
        assert audio.waveform.shape == (1, 10) and audio.waveform.dtype == torch.float32
    for shape in ((2, 10), (10, 2)):
        assert as_audio((np.zeros(shape), np.int64(16_000))).waveform.shape == (2, 10)
    assert as_audio((np.zeros((1, 1)), 16_000)).num_samples == 1
    assert as_audio(audio) is audio


def test_as_audio_types(tmp_path):
    for dtype, low in ((np.int8, -128), (np.int16, -32768), (np.int32, -(2**31)), (np.uint8, 0)):
        assert as_audio((np.array([low], dtype), 16_000)).waveform.tolist() == [[-1.0]]
    assert as_audio((torch.zeros(3, requires_grad=True), 16_000)).num_samples == 3
    assert as_audio(str(write_file(tmp_path, "wav"))).num_samples == 24_000


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "expected a path, a file object, an Audio"),
        ((np.zeros(3),), "expected a path"),
        ((16_000, np.zeros(3)), "an int in Hz, not array"),
        ((np.zeros(3), "16000"), "an int in Hz, not '16000'"),
        ((np.zeros((2, 2)), 16_000), r"shape \(2, 2\) could be"),
        ((np.zeros((1, 2)), 16_000), r"shape \(1, 2\) could be"),
        ((np.zeros((3, 3)), 16_000), r"shape \(3, 3\) is not"),
        ((np.zeros((1, 1, 9)), 16_000), r"shape \(1, 1, 9\) is not"),
        ((np.float64(0.5), 16_000), r"shape \(\) is not"),
        ((np.zeros(0), 16_000), "is empty"),
        ((np.zeros((2, 0)), 16_000), "is empty"),
        ((np.zeros(3, np.int64), 16_000), "torch.int64 has no known full scale"),
        ((np.zeros(3, bool), 16_000), "torch.bool has no known full scale"),
        ((np.zeros(3, complex), 16_000), "torch.complex128 has no known full scale"),
        ((["a", "b"], 16_000), "is not numeric"),
        ((np.array([0.0, math.nan]), 16_000), "not finite"),
        ((np.array([0.0, 3000.0]), 16_000), "peaks at 3000"),
    ],
)
def test_as_audio_refuses(source, message):
    with pytest.raises(AudioError, match=message) as caught:
        as_audio(source)
    assert "\n" not in str(caught.value)


def test_open_files_and_dictionaries_of_data_sets(tmp_path):
    samples = 0.1 * np.random.default_rng(0).standard_normal(1_000).astype(np.float32)
    path = tmp_path / "a.wav"
    soundfile.write(path, samples, 16_000, subtype="FLOAT")
    with open(path, "rb") as file:
        sources = [io.BytesIO(path.read_bytes()), file]
        sources += [{"path": "a.wav", "array": samples, "sampling_rate": 16_000}]
        for source in sources:
            audio = as_audio(source)
            assert audio.sample_rate == 16_000
            np.testing.assert_array_equal(audio.waveform[0], samples)
    for invalid in (io.BytesIO(b"no sound"), io.StringIO("text"), {"array": samples}, 3):
        with pytest.raises(AudioError) as caught:
            as_audio(invalid)
        assert "\n" not in str(caught.value)
