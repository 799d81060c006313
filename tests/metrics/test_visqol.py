"""ViSQOL: the package's numbers at the rates of its modes, no number where there is none.

On the pairs that Google's C++ code is tested with (its testdata; not here) the package gives
1.3889, 2.2502, 4.3497, 2.3468 and 4.7321 in audio mode, as the original; in speech mode 3.3153,
the original 3.3130.
"""

import pytest
import torch

from audiotok.errors import MetricError
from audiotok.metrics import compute, get
from audiotok.metrics._check import noisy, voice
from audiotok.sound.audio import Audio

MODES = {"visqol": ("audio", 48_000), "visqol_speech": ("speech", 16_000)}


@pytest.fixture(params=MODES)
def name(request):
    if get(request.param).missing():
        pytest.skip("needs the extra mos")
    return request.param


def test_it_is_the_package(name):
    import visqol

    mode, rate = MODES[name]
    package = visqol.VisqolApi()
    package.create(mode=mode)
    clean, rough = voice(24_000, 2), noisy(voice(24_000, 2), 0.003)
    arrays = [a.waveform.mean(0, keepdim=True) for a in (clean, rough)]
    arrays = [Audio(a, 24_000).resample(rate).waveform[0].double().numpy() for a in arrays]
    expected = package.measure_from_arrays(*arrays, rate).moslqo
    found = compute(name, reference=clean, reconstruction=rough)[name]
    assert found == pytest.approx(expected, abs=1e-9)
    assert 1 < found < 4.5


def test_no_number_where_there_is_none(name):
    silence = Audio(torch.zeros(1, 32_000), 16_000)
    with pytest.raises(MetricError, match="is silent"):
        compute(name, reference=voice(16_000, 1), reconstruction=silence)
    short = Audio(voice(16_000, 1).waveform[:, :15_000], 16_000)
    with pytest.raises(MetricError, match="lasts 0.938 s, at least 1.0 s"):
        compute(name, reference=short, reconstruction=short)
