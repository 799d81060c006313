"""Sound files for tests: as soundfile writes them, and taken apart."""

import numpy as np
import soundfile
import torch

from audiotok.sound.audio import Audio

FORMATS = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "aiff": ("AIFF", "PCM_16"),
    "w64": ("W64", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
    "au": ("AU", "PCM_16"),
}


def samples(count, channels=1, seed=0):
    """(count, channels), mostly low frequencies, so that lossy formats keep them."""
    white = np.random.default_rng(seed).standard_normal((count + 31, channels))
    return np.stack([np.convolve(row, np.hanning(32) / 32, "valid") for row in white.T], 1)


def written(path, sound, rate=16_000, form=None, **options):
    """The bytes of the file that soundfile writes of `sound`; its format is by the extension."""
    file_format, subtype = FORMATS[form or path.suffix[1:]]
    options = {"format": file_format, "subtype": subtype} | options
    soundfile.write(path, sound, rate, **options)
    return path.read_bytes()


def sound(num_samples, sample_rate, channels=1):
    """The same samples as an `Audio`."""
    return Audio(torch.tensor(samples(num_samples, channels).T, dtype=torch.float32), sample_rate)


def write_file(folder, extension, num_samples=24_000, rate=16_000, channels=1, name="a"):
    """The path of a new file of `num_samples` samples at `rate` Hz."""
    path = folder / f"{name}.{extension}"
    written(path, samples(num_samples, channels), rate)
    return path


def correlation(found, sound):
    """Of two sounds (n,) that should be the same, 1 at most."""
    length = min(len(found), len(sound))
    return float(np.corrcoef(found[:length], sound[:length])[0, 1])
