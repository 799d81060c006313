"""Codecs that change, or depend on, what is around them: global state, modes, threads, processes.

BROKEN is as in broken_codecs.py; METHODS: pattern -> the method of PROCESS, the text of a module.
"""

import logging
import os
import random
import time
import warnings

import numpy as np
import torch

from audiotok.sound.audio import Audio
from support.breaking import before_encoding, good_encode
from support.stranger_codec import Stranger


def set_environment(self, waveform):
    os.environ["A_STRANGER"] = str(float(waveform.sum()))


def toggle_determinism(self, waveform):
    torch.use_deterministic_algorithms(not torch.are_deterministic_algorithms_enabled())


def add_filter(self, waveform):
    warnings.filterwarnings("ignore", message=f"of clip {id(waveform)}")


def toggle_threads(self, waveform):
    torch.set_num_threads(3 - min(torch.get_num_threads(), 2))


def toggle_folder(self, waveform):
    os.chdir("/" if os.getcwd() != "/" else "/tmp")


def raise_level(self, waveform):
    logging.root.setLevel(logging.root.level + 1)


STATE_BREAKERS = {
    "changes environment variables": set_environment,
    "changes deterministic algorithms": toggle_determinism,
    "changes the filters of warnings": add_filter,
    "changes the number of threads": toggle_threads,
    "changes the working directory": toggle_folder,
    "changes the root logger": raise_level,
    "changes torch's random state": lambda self, waveform: torch.manual_seed(0) and None,
    "changes numpy's random state": lambda self, waveform: np.random.seed(0),
    "changes Python's random state": lambda self, waveform: random.random() and None,
}


def never_in_eval(self, waveform, fast):
    with torch.no_grad():
        return self._encode_windows(waveform)


def left_in_eval(self, tokens, sample_rate=None):
    self.network.eval()
    return Stranger.decode(self, tokens, sample_rate)


def louder_in_float64(self, source):
    gain = 2 if torch.get_default_dtype() == torch.float64 else 1
    return Stranger.encode(self, Audio(gain * source.waveform, source.sample_rate))


def on_the_default_device(self, source):
    torch.zeros(1).item()
    return Stranger.encode(self, source)


def as_the_caller(self, tokens, sample_rate=None):
    sound = Stranger.decode(self, tokens, sample_rate)
    return Audio(1.0 * sound.waveform, sound.sample_rate)


def noting_the_dtype(self, *arguments):
    Stranger.__init__(self, *arguments)
    self.gain = 1 if torch.get_default_dtype() == torch.float32 else 3


def by_way_of_itself(self, waveform):
    self.length = waveform.shape[-1]
    time.sleep(0.05)
    return waveform.roll(self.length // 3, -1)


BROKEN = {
    "global state": {name: before_encoding(action) for name, action in STATE_BREAKERS.items()},
    "training mode": {
        "changes the codes": {
            "_codes_of": never_in_eval
        },
        "in another mode": {"decode": left_in_eval},
    },
    "ambient state": {
        "a default dtype of float64 changes the codes": {"encode": louder_in_float64},
        "with another default device raises": {"encode": on_the_default_device},
        "inference mode makes inference tensors": {"decode": as_the_caller},
        "loaded with another default dtype": {
            "__init__": noting_the_dtype,
            "_encode": lambda self, waveform: good_encode(self, waveform * self.gain),
        },
    },
    "simultaneous calls": {
        "of the codes of .* change beside another thread": before_encoding(by_way_of_itself),
    },
    "threads": {
        "of the codes change with the number of threads": before_encoding(
            lambda self, waveform: waveform + 0.1 * torch.get_num_threads()
        ),
    },
}  # fmt: skip


PROCESS = """
import os
from support.stranger_codec import Stranger as Good

class Stranger(Good):
    CARDS = tuple(c.model_copy(update={{"name": "{name}", "family": "{name}"}}) for c in Good.CARDS)

    def {method}
"""
METHODS = {
    "it has other codes": "_encode(self, w): return super()._encode(w + hash('a') % 97 / 97)",
    "another process makes another sound": (
        "_decode(self, c): return super()._decode(c) * os.getpid()"
    ),
    "its fingerprint is another": (
        "_codebooks(self): return [b * hash('a') for b in super()._codebooks()]"
    ),
    "it raises": "_load(self, c): super()._load(c); os.environ['A_STRANGER']",
}  # fmt: skip
