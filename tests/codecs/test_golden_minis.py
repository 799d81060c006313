"""What the codecs that ship make of one sound, to the sample: any changed sign, activation or order
of a network shows here, where a network that is compared only with itself would not see it.

`golden_minis.json` holds, for each file of weights (by its sha256), the codes of `sound()` and
every 197th sample of what they decode to. After new weights, with tests/ and the repository on
PYTHONPATH: `python tests/codecs/test_golden_minis.py`.
"""

import json
import math
from pathlib import Path

import pytest
import torch

import audiotok
from audiotok.codec import checkpoints
from audiotok.results.results import sha256

GOLDEN = Path(__file__).with_name("golden_minis.json")
NAMES = ("wavtokenizer-mini", "rvq-mini", "lm-spt-mini")
STEP = 197  # samples
TOLERANCE = 1e-4  # of the peak; machines differ by less than a tenth of it


def sound():
    """0.6 s at 16 kHz with formants and a gliding pitch, the same on every machine."""
    seconds = torch.arange(9600, dtype=torch.float64) / 16_000
    phase = 2 * math.pi * (120 * seconds + 60 * seconds**2)
    partials = [(0.3 / k) * torch.sin(k * phase + k * k) for k in (1, 2, 3, 5, 8, 13, 21)]
    envelope = (0.2 + torch.sin(2 * math.pi * 3 * seconds) ** 2) / 1.2
    return (torch.stack(partials).sum(0) * envelope)[None].float()


def made(name):
    codec = audiotok.load(name)
    codes = codec.encode((sound(), 16_000)).codes[0]
    return codec, codes


def decoded(codec, codes):
    """Every STEP-th sample of the sound of codes (K, T), and its peak."""
    waveform = codec.decode_codes(codes[None])[0, 0]
    return waveform[::STEP], float(waveform.abs().max())


@pytest.mark.parametrize("name", NAMES)
def test_codes_and_sound_of_the_weights_that_ship(name):
    path = checkpoints.BUNDLED / f"{name}.safetensors"
    if not path.is_file():
        pytest.skip("the bundled weights are not there")
    golden = json.loads(GOLDEN.read_text())[name]
    assert sha256(path) == golden["weights"], "new weights: make golden_minis.json again"
    codec, codes = made(name)
    expected = torch.tensor(golden["codes"])
    assert codes.shape == expected.shape
    assert (codes[0] == expected[0]).double().mean() >= 0.95  # a near tie may fall otherwise
    samples, peak = decoded(codec, expected)
    assert (samples - torch.tensor(golden["samples"])).abs().max() < TOLERANCE * peak


if __name__ == "__main__":
    content = {}
    for name in NAMES:
        codec, codes = made(name)
        content[name] = {
            "weights": sha256(checkpoints.BUNDLED / f"{name}.safetensors"),
            "codes": codes.tolist(),
            "samples": [round(float(value), 7) for value in decoded(codec, codes)[0]],
        }
    GOLDEN.write_text(json.dumps(content, separators=(",", ":")) + "\n")
