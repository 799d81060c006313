"""Sound files for tests: as soundfile writes them, and taken apart."""

import numpy as np
import soundfile

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


def correlation(found, sound):
    """Of two sounds (n,) that should be the same, 1 at most."""
    length = min(len(found), len(sound))
    return float(np.corrcoef(found[:length], sound[:length])[0, 1])
