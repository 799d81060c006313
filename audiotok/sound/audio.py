"""Audio: a waveform with its sample rate; reading, resampling, channels, every check.

A waveform of L samples at rate r has ceil(L * s / r) samples at rate s, everywhere.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import torch

from audiotok.errors import AudioError
from audiotok.sound.containers import truncation_allowed
from audiotok.sound.decoding import MAX_SAMPLES, SAMPLE_RATES, Decoder
from audiotok.sound.resampling import BLOCK, resample, resampled_blocks, resampled_length
from audiotok.sound.writing import WRITABLE, first_line, write
from audiotok.system import notebook
from audiotok.system.defaults import pytorch_defaults
from audiotok.system.memory import free_memory

__all__ = [
    "MAX_PEAK", "MAX_SAMPLES", "SAMPLE_RATES", "WRITABLE", "Audio", "AudioFile", "Source",
    "as_audio", "check_sample_rate", "read", "resampled_length", "write",
]  # fmt: skip

MAX_PEAK = 8.0  # floats may exceed [-1, 1]; a larger peak means that they were not scaled


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
            first = _not_finite(waveform)
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

    def numpy(self) -> np.ndarray:
        """The waveform as an array (C, L) float32, which shares its memory."""
        return self.waveform.numpy(force=True)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def save(self, path: str | Path, subtype: str | None = None) -> None:
        """Writes a sound file in the format of the extension, see `write`; replaces an old one."""
        write(path, self, subtype)

    def play(self) -> None:
        """Shows a player in a notebook.

        Raises:
            AudioError: this is no notebook.
        """
        if not notebook.is_notebook():
            raise AudioError(
                "play() shows a player in a notebook, and this is none: write a file with "
                'save("sound.wav") and open it'
            )
        from IPython.display import display

        display(self)

    def __repr__(self) -> str:
        kind = "mono" if self.channels == 1 else "stereo"
        peak = float(self.waveform.abs().max())
        return f"Audio({self.duration:.2f} s, {self.sample_rate} Hz, {kind}, peak {peak:.3g})"

    def _repr_html_(self) -> str:
        about = f"<p>{notebook.text(self)}</p>"
        return about + notebook.player(self.numpy(), self.sample_rate)

    def resample(self, sample_rate: int) -> Audio:
        """The same sound at another rate, `resampled_length` samples long.

        By torchaudio's sinc interpolation with its defaults, as in the official WavTokenizer and
        EnCodec; by soxr if the ratio of the rates would need a huge kernel (44099 -> 24000).
        """
        check_sample_rate(sample_rate)
        if sample_rate == self.sample_rate:
            return self
        waveform = self.waveform
        stretch = lambda start, stop: waveform[:, start:stop]  # noqa: E731
        waveform = resample(stretch, tuple(waveform.shape), (self.sample_rate, sample_rate))
        return Audio(waveform, sample_rate)

    def to_channels(self, channels: int) -> Audio:
        """The same sound with 1 channel (the mean of two) or 2 (the one repeated)."""
        if channels not in (1, 2):
            raise AudioError(f"{channels} channels were requested: audiotok supports 1 and 2")
        if channels == self.channels:
            return self
        return Audio(_mixed(self.waveform, channels), self.sample_rate)

    def converted(self, channels: int | None, sample_rate: int) -> torch.Tensor:
        """The waveform (C, L) after `to_channels`, unless `channels` is None, and `resample`."""
        audio = self if channels is None else self.to_channels(channels)
        return audio.resample(sample_rate).waveform


# What `as_audio` and `Codec.encode` take
Source: TypeAlias = str | Path | Audio | tuple[Any, int] | dict[str, Any] | IO[bytes]


def check_sample_rate(sample_rate: int) -> None:
    """Raises AudioError unless `sample_rate` is an int within SAMPLE_RATES."""
    low, high = SAMPLE_RATES
    if isinstance(sample_rate, bool) or not isinstance(sample_rate, int):
        raise AudioError(f"a sample rate is an int in Hz, not {sample_rate!r}")
    if not low <= sample_rate <= high:
        raise AudioError(f"a sample rate of {sample_rate} Hz is not between {low} and {high} Hz")


class AudioFile:
    """A sound file that is decoded on demand, block by block. See `read`.

    Attributes:
        num_samples: per channel.
        channels, sample_rate: of the file.
    """

    def __init__(self, path: str | Path, allow_truncated: bool | None = None) -> None:
        self.path = Path(path)
        if allow_truncated is None:
            allow_truncated = truncation_allowed()
        self._decoder = Decoder(self.path, allow_truncated)
        self.num_samples, self.channels = self._decoder.num_samples, self._decoder.channels
        self.sample_rate = self._decoder.sample_rate

    def read(self) -> Audio:
        """All of it."""
        return Audio(self.converted(None, self.sample_rate), self.sample_rate)

    @pytorch_defaults()
    def converted(self, channels: int | None, sample_rate: int) -> torch.Tensor:
        """The waveform (C, L) of `read` after `to_channels`, unless None, and `resample`.

        Besides the result, only a few blocks of the file are in memory at any time.
        """
        long = self.stretches(channels, sample_rate)
        long.check_memory()
        # A damaged header may claim hours: NumPy takes memory only where something is written.
        waveform = torch.from_numpy(np.zeros(long.shape, dtype=np.float32))
        begin = 0
        for block in long.blocks:
            waveform[:, begin : begin + block.shape[1]] = block
            begin += block.shape[1]
        return waveform

    def stretches(self, channels: int | None, sample_rate: int) -> LongWaveform:
        """As `converted`, for sound of any length: it is never in memory at once."""
        shape = (channels or self.channels, self.num_samples)
        blocks = (_mixed(block, shape[0]) for block in self._blocks())
        if sample_rate != self.sample_rate:
            rates = (self.sample_rate, sample_rate)
            stretch = LongWaveform(self.path, shape, blocks).stretch
            blocks = self._to_the_end(resampled_blocks(stretch, shape, rates), stretch)
            shape = shape[0], resampled_length(self.num_samples, *rates)
        return LongWaveform(self.path, shape, blocks)

    def _to_the_end(
        self, blocks: Iterator[torch.Tensor], stretch: Callable[[int, int], torch.Tensor]
    ) -> Iterator[torch.Tensor]:
        yield from blocks
        stretch(self.num_samples, self.num_samples + 1)  # also check the end of the file

    def _blocks(self) -> Iterator[torch.Tensor]:
        """(C, n) one after another; checked."""
        position = 0
        for samples in self._decoder.blocks(BLOCK // 4):
            yield _checked(torch.from_numpy(samples.T), str(self.path), position)
            position += len(samples)


class LongWaveform:
    """A waveform (C, L) that arrives in blocks and is read from left to right.

    Attributes:
        shape: (C, L).
        blocks: (C, n) each, those that were not read yet.
    """

    def __init__(self, path: Path, shape: tuple[int, int], blocks: Iterator[torch.Tensor]) -> None:
        self.path, self.shape, self.blocks = path, shape, blocks
        self._blocks_kept: list[torch.Tensor] = []
        self._start = 0  # of the first block held

    def stretch(self, start: int, stop: int) -> torch.Tensor:
        """(C, stop - start), shorter at the end; consecutive stretches may overlap."""
        while self._blocks_kept and self._start + self._blocks_kept[0].shape[1] <= start:
            self._start += self._blocks_kept.pop(0).shape[1]
        available = self._start + sum(block.shape[1] for block in self._blocks_kept)
        while available < stop and (block := next(self.blocks, None)) is not None:
            self._blocks_kept.append(block)
            available += block.shape[1]
            if available <= start:
                self._start += self._blocks_kept.pop(0).shape[1]
        if not self._blocks_kept:
            return torch.empty(0, 0, dtype=torch.float32, device="cpu")
        return torch.cat(self._blocks_kept, 1)[:, start - self._start : stop - self._start]

    def check_memory(self) -> None:
        """Raises AudioError if the whole would take more than half of the free memory, since later
        steps need as much again."""
        needed, free = 4 * self.shape[0] * self.shape[1], free_memory()
        if needed > free / 2:
            raise AudioError(
                f"{self.path} has {self.shape[1]} samples in {self.shape[0]} channel(s), which "
                f"take {needed / 2**30:.1f} GiB as a whole, and {free / 2**30:.1f} GiB of memory "
                "are free: cut it into pieces"
            )


def read(path: str | Path, allow_truncated: bool | None = None) -> Audio:
    """Reads a sound file of 1 or 2 channels: (C, L) at its own rate.

    libsndfile reads WAV, FLAC, Ogg (Vorbis, Opus), MP3, AIFF, W64, CAF and AU; FFmpeg reads m4a,
    webm and others, if PyAV is installed. The format is found from the content. Concatenated files
    (MP3, Ogg) are read one after another.

    Integers are scaled to [-1, 1]. Floats are not changed, also if they exceed [-1, 1]; a peak
    above MAX_PEAK is refused, since such floats are most likely integers that were not scaled.

    Args:
        allow_truncated: read a file that is cut short, up to where it ends. Default: whether the
            environment variable AUDIOTOK_ALLOW_TRUNCATED is set, and not to 0.

    Raises:
        AudioError: missing, not a file, unreadable, mislabelled, damaged, cut short, empty, not
            finite, more than two channels, a sample rate out of range, too long for the memory; or
            it needs PyAV, which is not installed.
    """
    return AudioFile(path, allow_truncated).read()


def _checked(waveform: torch.Tensor, where: str, first: int = 0) -> torch.Tensor:
    """Check a waveform, and return it. Its first sample is number `first` of the sound `where`."""
    edges = torch.aminmax(waveform) if waveform.numel() else ()
    if not all(edge.isfinite() for edge in edges):
        number = first + _not_finite(waveform)
        raise AudioError(
            f"{where}: the waveform is not finite (NaN or infinity) at sample {number}"
        )
    peak = max((abs(float(edge)) for edge in edges), default=0.0)
    if peak > MAX_PEAK:
        raise AudioError(
            f"{where} peaks at {peak:g}: floats are expected in [-1, 1]; were integers not scaled?"
        )
    return waveform


def _not_finite(waveform: torch.Tensor) -> int:
    return int((~waveform.isfinite()).any(0).nonzero()[0])


def _mixed(waveform: torch.Tensor, channels: int) -> torch.Tensor:
    """(C, L) -> (channels, L): the mean of two channels, or one repeated."""
    if channels == len(waveform):
        return waveform
    return waveform.mean(0, keepdim=True) if channels == 1 else waveform.repeat(2, 1)


_FULL_SCALE = {torch.int8: 2**7, torch.int16: 2**15, torch.int32: 2**31}


def as_audio(source: Source) -> Audio:
    """Audio from a path, an open file or BytesIO, an Audio, (array or tensor, sample_rate), or a
    dictionary with "array" and "sampling_rate", as in Hugging Face data sets.

    Arrays are (L,), (1 or 2, L) or (L, 1 or 2), floats or integers; int8, int16, int32 and uint8
    are scaled from their full range. A shape that fits both orders, such as (2, 2), is refused.
    """
    if isinstance(source, Audio):
        return source
    if isinstance(source, (str, Path)):
        return read(source)
    if isinstance(source, dict) and {"array", "sampling_rate"} <= source.keys():  # of a data set
        source = source["array"], source["sampling_rate"]
    if callable(getattr(source, "read", None)):
        return _read_stream(source)
    if not (isinstance(source, tuple) and len(source) == 2):
        raise AudioError(
            "expected a path, a file object, an Audio, (array, sample_rate) or a dictionary with "
            f"array and sampling_rate, not {type(source).__name__}"
        )
    array, sample_rate = source
    if isinstance(array, Audio):
        raise AudioError(f"{array} has its sample rate: give it without {sample_rate!r}")
    if isinstance(sample_rate, np.integer):
        sample_rate = int(sample_rate)
    check_sample_rate(sample_rate)
    try:
        waveform = torch.as_tensor(array, device="cpu").detach()
    except (TypeError, ValueError, RuntimeError) as reason:
        raise AudioError(f"the array is not numeric: {first_line(reason)}") from None
    audio = _two_dimensions(_float32(waveform)).contiguous()
    return Audio(_checked(audio, "the array"), sample_rate)


def _read_stream(file: Any) -> Audio:
    """The sound of an open file or BytesIO, from its current position."""
    data = file.read()
    if not isinstance(data, bytes):
        raise AudioError(f"a file object gave {type(data).__name__}: open it in binary mode, 'rb'")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "sound").with_suffix(Path(str(getattr(file, "name", ""))).suffix)
        copy.write_bytes(data)
        return read(copy)


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
