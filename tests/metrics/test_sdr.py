"""SDR and CI-SDR against torchmetrics, plain least squares and a case by hand; what is forgiven."""

import math

import numpy as np
import pytest
import torch

from audiotok.errors import MetricError
from audiotok.metrics import compute
from audiotok.metrics._check import noisy, voice
from audiotok.metrics.sdr import TAPS, sdr
from audiotok.sound.audio import Audio

RNG = np.random.default_rng(0)
NOISE, OTHER = RNG.standard_normal((2, 8000))


def plain(reference, reconstruction):
    """By the definition: the reconstruction projected on 512 delayed copies of the reference."""
    delayed = np.zeros((len(reference) + TAPS - 1, TAPS))
    for tap in range(TAPS):
        delayed[tap : tap + len(reference), tap] = reference
    wanted = np.pad(reconstruction, (0, TAPS - 1))
    target = delayed @ np.linalg.lstsq(delayed, wanted)[0]
    return 10 * math.log10(np.sum(target**2) / np.sum((wanted - target) ** 2))


def speech():
    return voice(16_000, 1).waveform[0, 2000:10_000].double().numpy()


def upsampled():
    """Half of the band is empty: the copies nearly depend on each other."""
    return voice(8_000, 1).resample(16_000).waveform[0, 4000:12_000].double().numpy()


TONE = np.sin(0.1 * np.arange(8000))


@pytest.mark.parametrize(
    ("reference", "reconstruction"),
    [
        (NOISE, NOISE + 0.1 * OTHER),
        (NOISE, OTHER),
        (NOISE, np.pad(-0.3 * NOISE, (100, 0))[:8000]),
        (NOISE, np.pad(NOISE, (0, 100))[100:]),
        (speech(), speech() + 0.01 * OTHER),
        (upsampled(), upsampled() + 0.01 * OTHER),
        (TONE, TONE + 0.01 * OTHER),
        (NOISE, np.full(8000, 0.1)),
    ],
    ids=["noise", "unrelated", "late", "early", "speech", "half the band", "tone", "dc"],
)
def test_it_is_least_squares(reference, reconstruction):
    assert sdr(reference, reconstruction) == pytest.approx(
        plain(reference, reconstruction), abs=1e-5
    )


def test_it_is_mir_evals():
    """mir_eval 0.8.2's bss_eval_sources, fast_bss_eval 0.1.4's sdr and ci_sdr's ci_sdr in fp64 give
    these numbers for 32000 samples of these seeds, to 1e-9."""
    generator = np.random.default_rng(0)
    noise = generator.standard_normal(32_000)
    rough = noise + 0.1 * generator.standard_normal(32_000)
    assert sdr(noise, rough) == pytest.approx(20.018423794463786, abs=1e-8)
    assert sdr(noise, generator.standard_normal(32_000)) == pytest.approx(
        -18.166622146782338, abs=1e-8
    )


def test_it_is_torchmetrics():
    functional = pytest.importorskip("torchmetrics.functional.audio")
    clean = voice(16_000, 1)
    for level in (0.003, 0.1):
        rough = noisy(clean, level)
        expected = functional.signal_distortion_ratio(
            rough.waveform[0].double(), clean.waveform[0].double()
        )
        found = compute(["sdr", "ci_sdr"], reference=clean, reconstruction=rough)
        assert found["sdr"] == found["ci_sdr"] == pytest.approx(float(expected), abs=1e-4)


def test_by_hand():
    """An impulse, and a reconstruction whose energy beyond 511 samples no filter can give: 0 dB."""
    impulse, late = np.zeros((2, 2000))
    impulse[0] = 1
    late[300], late[600] = 0.5, 0.5
    assert sdr(impulse, late) == pytest.approx(0, abs=1e-9)
    late[600] = 0.05
    assert sdr(impulse, late) == pytest.approx(20, abs=1e-9)


def test_gain_polarity_and_an_equaliser_are_forgiven_but_not_what_comes_early():
    equalised = np.convolve(NOISE, [0.5, -0.3, 0.2])[:8000]
    assert sdr(NOISE, -0.01 * NOISE) == sdr(NOISE, NOISE) == 100
    assert sdr(NOISE, equalised) > 40  # but for the end that was cut off
    reference = Audio(torch.from_numpy(NOISE[None, 300:]).float(), 16_000)
    late = Audio(torch.from_numpy(NOISE[None, :-300]).float(), 16_000)
    for name in ("sdr", "ci_sdr"):
        found = compute(name, reference=late, reconstruction=reference)
        assert found[name] < -5
        assert found[f"{name}_aligned"] == 100
        found = compute(name, reference=reference, reconstruction=late)
        assert 0 < found[name] < 20  # the beginning is not in the reference
        assert found[f"{name}_aligned"] == 100


@pytest.mark.parametrize("name", ["sdr", "ci_sdr"])
def test_no_number_where_there_is_none(name):
    sound = voice(16_000, 1)
    silence = Audio(torch.zeros_like(sound.waveform), 16_000)
    constant = Audio(torch.full_like(sound.waveform, 0.3), 16_000)
    for pair in ((silence, sound), (sound, silence), (constant, sound), (sound, constant)):
        with pytest.raises(MetricError, match="is silent"):
            compute(name, reference=pair[0], reconstruction=pair[1])
    short = Audio(sound.waveform[:, : 2 * TAPS - 1], 16_000)
    with pytest.raises(MetricError, match="of 1023 samples"):
        compute(name, reference=short, reconstruction=short)
