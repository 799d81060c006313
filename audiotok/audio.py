"""Audio: a waveform with its sample rate; reading, writing, resampling, channels, every check.

A waveform of L samples at rate r has ceil(L * s / r) samples at rate s, everywhere.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from torchaudio.transforms import Resample

from audiotok.containers import describe
from audiotok.errors import AudioError
from audiotok.files import replacing

SAMPLE_RATES = (1_000, 768_000)  # Hz, the lowest and the highest accepted
MAX_SAMPLES = 2**31  # per channel: 12 hours at 48 kHz
MAX_PEAK = 8.0  # floats may overshoot [-1, 1]; beyond this they were not scaled at all
_KERNEL_LIMIT = 2**20  # floats of a resampling kernel; more awkward ratios go through soxr
_BLOCK = 2**22  # samples resampled at once
_UNKNOWN_FRAMES = 2**62  # libsndfile gives such a number for a FLAC file that came through a pipe
_WRITERS = {  # extension: format and subtype of libsndfile
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}


@dataclass(frozen=True, eq=False)
class Audio:
    """A sound.

    Attributes:
        waveform: (C, L) float32 on the CPU, nominally in [-1, 1]; C is 1 or 2, L at least 1, all
            finite.
        sample_rate: Hz.
    """

    waveform: torch.Tensor
    sample_rate: int

    def __post_init__(self) -> None:
        check_sample_rate(self.sample_rate)
        waveform = self.waveform
        if not isinstance(waveform, torch.Tensor) or waveform.dtype != torch.float32:
            kind = getattr(waveform, "dtype", type(waveform).__name__)
            raise AudioError(f"a waveform is a float32 tensor, not {kind}: use as_audio to convert")
        if waveform.device.type != "cpu":
            raise AudioError(f"a waveform is kept on the CPU, not on {waveform.device}: use .cpu()")
        if waveform.ndim != 2 or waveform.shape[0] not in (1, 2):
            raise AudioError(
                f"a waveform has shape (1 or 2 channels, samples), not {tuple(waveform.shape)}"
            )
        if waveform.shape[1] == 0:
            raise AudioError("the waveform is empty: at least 1 sample is needed")
        if not all(edge.isfinite() for edge in torch.aminmax(waveform)):
            first = int((~waveform.isfinite()).any(0).nonzero()[0])
            raise AudioError(f"the waveform is not finite (NaN or infinity) at sample {first}")

    @property
    def channels(self) -> int:
        return self.waveform.shape[0]

    @property
    def num_samples(self) -> int:
        """Samples per channel."""
        return self.waveform.shape[1]

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.num_samples / self.sample_rate

    def resample(self, sample_rate: int) -> Audio:
        """The same sound at another rate, `resampled_length` samples long.

        torchaudio's sinc interpolation with its defaults, as the official WavTokenizer and EnCodec
        use it; where the ratio is so awkward that its kernel would be huge (44099 -> 24000), soxr.
        """
        check_sample_rate(sample_rate)
        if sample_rate == self.sample_rate:
            return self
        waveform = _resample(self.waveform, self.sample_rate, sample_rate)
        return Audio(waveform, sample_rate)

    def to_channels(self, channels: int) -> Audio:
        """The same sound with 1 channel (the mean of two) or 2 (one, twice)."""
        if channels not in (1, 2):
            raise AudioError(f"{channels} channels were asked for: audiotok knows 1 and 2")
        if channels == self.channels:
            return self
        if channels == 1:
            return Audio(self.waveform.mean(0, keepdim=True), self.sample_rate)
        return Audio(self.waveform.repeat(2, 1), self.sample_rate)


def check_sample_rate(sample_rate: int) -> None:
    """Raises AudioError unless `sample_rate` is an int within SAMPLE_RATES."""
    low, high = SAMPLE_RATES
    if isinstance(sample_rate, bool) or not isinstance(sample_rate, int):
        raise AudioError(f"a sample rate is an int in Hz, not {sample_rate!r}")
    if not low <= sample_rate <= high:
        raise AudioError(f"a sample rate of {sample_rate} Hz is not between {low} and {high} Hz")


def resampled_length(num_samples: int, sample_rate: int, new_sample_rate: int) -> int:
    """Samples at `new_sample_rate` of what has `num_samples` at `sample_rate`, rounded up."""
    return -(-num_samples * new_sample_rate // sample_rate)


@lru_cache(maxsize=16)
def _resampler(old: int, new: int) -> Resample | None:
    """torchaudio's resampler between two coprime rates; None where its kernel would be too big."""
    width = math.ceil(6 * old / (0.99 * min(old, new)))
    if new * (old + 2 * width) > _KERNEL_LIMIT:
        return None
    return Resample(old, new)


@torch.no_grad()
def _resample(waveform: torch.Tensor, sample_rate: int, new_sample_rate: int) -> torch.Tensor:
    """(C, L) -> (C, resampled_length), in blocks: the filter is local, so blocks change nothing."""
    divisor = math.gcd(sample_rate, new_sample_rate)
    old, new = sample_rate // divisor, new_sample_rate // divisor
    length = waveform.shape[1]
    resampled = waveform.new_zeros(waveform.shape[0], resampled_length(length, old, new))
    resampler = _resampler(old, new)
    if resampler is None:
        for channel, samples in enumerate(waveform):
            piece = torch.from_numpy(soxr.resample(samples.numpy(), sample_rate, new_sample_rate))
            piece = piece[: resampled.shape[1]]
            resampled[channel, : len(piece)] = piece
        return resampled
    context = math.ceil(resampler.width / old) * old
    step = max(_BLOCK // old, 1) * old
    for start in range(0, length, step):
        before = min(start, context)
        block = waveform[:, start - before : start + step + context]
        piece = resampler(block)[:, before * new // old :][:, : step * new // old]
        begin = start * new // old
        resampled[:, begin : begin + piece.shape[1]] = piece
    return resampled


def read(path: str | Path) -> Audio:
    """Reads a WAV, FLAC, Ogg (Vorbis, Opus), MP3 or AIFF file of 1 or 2 channels.

    Integers are scaled to [-1, 1]. Floats are kept as they are, also where they overshoot [-1, 1];
    a peak beyond MAX_PEAK is refused, for such floats are integers that nobody scaled.

    Raises:
        AudioError: missing, not a file, unreadable, mislabelled, cut short, empty, not finite,
            more than two channels, absurd rate.
    """
    path = Path(path)
    container = describe(path)
    try:
        with open(path, "rb") as raw, soundfile.SoundFile(raw.fileno(), closefd=False) as file:
            _check_declared(file, path)
            declared = max(file.frames, container.frames)
            sample_rate = file.samplerate
            samples = np.empty((file.frames, file.channels), np.float32)
            samples = file.read(out=samples)  # at once: reading on in parts would seek
    except (soundfile.LibsndfileError, OSError, MemoryError) as reason:
        raise AudioError(
            f"{path} cannot be decoded as {container.name}, it is damaged or cut short "
            f"({_first_line(reason)})"
        ) from reason
    if len(samples) < declared:
        raise AudioError(
            f"{path} is damaged or cut short: of {declared} samples declared, "
            f"{len(samples)} are there"
        )
    return _checked(torch.from_numpy(samples.T), sample_rate, str(path))


def _check_declared(file: soundfile.SoundFile, path: Path) -> None:
    """Raises AudioError where the header alone shows that the file cannot be used."""
    if file.channels > 2:
        raise AudioError(f"{path} has {file.channels} channels: mix it to 1 or 2 first")
    low, high = SAMPLE_RATES
    if not low <= file.samplerate <= high:
        raise AudioError(f"{path} has {file.samplerate} Hz, which is not between {low} and {high}")
    if file.frames == 0:
        raise AudioError(f"{path} is empty: it holds 0 samples")
    if file.frames >= _UNKNOWN_FRAMES:
        raise AudioError(
            f"{path} does not declare its length: convert it, e.g. with `flac` or `sox`"
        )
    if file.frames > MAX_SAMPLES:
        raise AudioError(f"{path} has {file.frames} samples, more than {MAX_SAMPLES}: cut it")


def _checked(waveform: torch.Tensor, sample_rate: int, where: str) -> Audio:
    try:
        audio = Audio(waveform.contiguous(), sample_rate)
    except AudioError as reason:
        raise AudioError(f"{where}: {reason}") from None
    peak = float(waveform.abs().max())
    if peak > MAX_PEAK:
        raise AudioError(
            f"{where} peaks at {peak:g}: floats are expected in [-1, 1]; were integers not scaled?"
        )
    return audio


def _first_line(reason: BaseException) -> str:
    text = getattr(reason, "error_string", None) or str(reason) or type(reason).__name__
    return text.strip().splitlines()[0].removeprefix("Error : ").rstrip(".")


def write(path: str | Path, audio: Audio, subtype: str | None = None) -> None:
    """Writes `audio` in the format that the extension of `path` names, whole or not at all.

    Args:
        path: .wav and .flac (16-bit PCM), .ogg (Vorbis), .opus or .mp3.
        subtype: another sample format of libsndfile, e.g. "PCM_24" or "FLOAT". Samples beyond
            [-1, 1] are clipped in every format but FLOAT and DOUBLE.
    """
    extension = Path(path).suffix.lower()
    if extension not in _WRITERS:
        raise AudioError(
            f"cannot write {path}: the extension {extension!r} is none of {', '.join(_WRITERS)}"
        )
    file_format, default = _WRITERS[extension]
    subtype = subtype or default
    if not soundfile.check_format(file_format, subtype):
        raise AudioError(f"cannot write {path}: {file_format} has no sample format {subtype!r}")
    buffer = io.BytesIO()
    try:
        samples = audio.waveform.T.detach().numpy()
        soundfile.write(buffer, samples, audio.sample_rate, format=file_format, subtype=subtype)
    except soundfile.LibsndfileError as reason:
        raise AudioError(
            f"cannot write {path}: {file_format} {subtype} at {audio.sample_rate} Hz: "
            f"{_first_line(reason)}; resample, or choose .wav"
        ) from reason
    with replacing(path, AudioError) as file:
        file.write(buffer.getbuffer())


_FULL_SCALE = {torch.int8: 2**7, torch.int16: 2**15, torch.int32: 2**31}


def as_audio(source: str | Path | Audio | tuple) -> Audio:
    """Audio from a path, an Audio, or (array or tensor, sample_rate).

    Arrays are (L,), (1 or 2, L) or (L, 1 or 2), floats or integers; int8, int16, int32 and uint8
    are scaled from their full range. A shape that could be read both ways is refused.
    """
    if isinstance(source, Audio):
        return source
    if isinstance(source, (str, Path)):
        return read(source)
    if not (isinstance(source, tuple) and len(source) == 2):
        raise AudioError(
            f"expected a path, an Audio, or (array, sample_rate), not {type(source).__name__}"
        )
    array, sample_rate = source
    if isinstance(sample_rate, np.integer):
        sample_rate = int(sample_rate)
    check_sample_rate(sample_rate)
    try:
        waveform = torch.as_tensor(array).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as reason:
        raise AudioError(f"the array is not numeric: {_first_line(reason)}") from None
    return _checked(_two_dimensions(_float32(waveform)), sample_rate, "the array")


def _float32(waveform: torch.Tensor) -> torch.Tensor:
    if waveform.is_floating_point():
        return waveform.to(torch.float32)
    if waveform.dtype == torch.uint8:
        return (waveform.to(torch.float32) - 128) / 128
    if waveform.dtype in _FULL_SCALE:
        return (waveform.to(torch.float64) / _FULL_SCALE[waveform.dtype]).to(torch.float32)
    raise AudioError(
        f"an array of {waveform.dtype} has no known full scale: use floats in [-1, 1] or int16"
    )


def _two_dimensions(waveform: torch.Tensor) -> torch.Tensor:
    shape = tuple(waveform.shape)
    if len(shape) == 1:
        return waveform[None]
    if len(shape) != 2 or min(shape) > 2:
        raise AudioError(f"an array of shape {shape} is not (samples,) or (1 or 2, samples)")
    if max(shape) <= 2 and shape != (1, 1) and min(shape) > 0:
        raise AudioError(f"shape {shape} could be (channels, samples) or the reverse: use Audio")
    return waveform if shape[0] <= 2 else waveform.T
