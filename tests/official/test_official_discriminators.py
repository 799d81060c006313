"""Discriminators and losses against the packages they come from, where those are installed.

With pytest's rootdir at the repository: PYTHONPATH=<folder with dac and vocos> pytest tests/official
"""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "nn"))
from twins import assert_judge_alike, give_weights, speech_like  # noqa: E402

from audiotok.nn import adversarial  # noqa: E402
from audiotok.nn.discriminators import (  # noqa: E402
    DiscriminatorSet,
    MultiBandDiscriminator,
    MultiPeriodDiscriminator,
)
from audiotok.nn.losses import LogMelLoss, MultiScaleMelLoss  # noqa: E402

LENGTHS = (8192, 8191, 9240)  # 9240 divides by every period


def paired(maps):
    """DAC's lists of maps, the logits last, as pairs."""
    return [(each[-1], each[:-1]) for each in maps]


@pytest.fixture(scope="module")
def dac_discriminators():
    pytest.importorskip("audiotools", reason="the package descript-audio-codec is not installed")
    module = pytest.importorskip("dac.model.discriminator")
    torch.manual_seed(0)
    official = module.Discriminator(sample_rate=16000)
    ours = DiscriminatorSet(
        [
            MultiPeriodDiscriminator(always_pad=True, match_logits=False),
            MultiBandDiscriminator(),
        ],
        normalise=True,
    )
    give_weights(official, ours)
    return official, ours


@pytest.mark.parametrize("length", LENGTHS)
def test_dac(dac_discriminators, length):
    official, ours = dac_discriminators
    waveform = speech_like(length)
    with torch.no_grad():
        assert_judge_alike(ours(waveform), paired(official(waveform)))


def test_dac_s_losses(dac_discriminators):
    loss = pytest.importorskip("dac.nn.loss")
    from audiotools import AudioSignal

    official, ours = dac_discriminators
    real, fake = speech_like(8192), speech_like(8192, seed=1)
    gan = loss.GANLoss(official)
    signals = AudioSignal(fake, 16000), AudioSignal(real, 16000)
    with torch.no_grad():
        judged_real, judged_fake = ours(real), ours(fake)
        found = adversarial.discriminator_loss(judged_real, judged_fake, "least_squares")
        torch.testing.assert_close(found, gan.discriminator_loss(*signals))
        generator, features = gan.generator_loss(*signals)
        found = adversarial.generator_loss(judged_fake, "least_squares")
        torch.testing.assert_close(found, generator)
        found = adversarial.feature_matching(judged_real, judged_fake)
        torch.testing.assert_close(found, features)


@pytest.mark.parametrize(("power", "linear_weight"), [(1.0, 0.0), (2.0, 1.0)])
def test_dac_s_mel_loss(power, linear_weight):
    pytest.importorskip("audiotools", reason="the package descript-audio-codec is not installed")
    loss = pytest.importorskip("dac.nn.loss")
    from audiotools import AudioSignal

    windows, bands = (32, 64, 128, 256, 512, 1024, 2048), (5, 10, 20, 40, 80, 160, 320)
    official = loss.MelSpectrogramLoss(
        bands, windows, pow=power, mag_weight=linear_weight, mel_fmin=[0] * 7, mel_fmax=[None] * 7
    )
    real, fake = speech_like(16000), speech_like(16000, seed=1)
    ours = MultiScaleMelLoss(16000, dict(zip(windows, bands, strict=True)), power, linear_weight)
    torch.testing.assert_close(
        ours(real[:, 0], fake[:, 0]),
        official(AudioSignal(fake, 16000), AudioSignal(real, 16000)),
        rtol=1e-5,
        atol=0,
    )


def judged(waveform, official):
    """Vocos' discriminators take a real and a generated waveform (B, L) at once."""
    real, _, maps, _ = official(waveform[:, 0], waveform[:, 0], bandwidth_id=None)
    return list(zip(real, maps, strict=True))


@pytest.mark.parametrize("length", LENGTHS)
def test_vocos(length):
    module = pytest.importorskip("vocos.discriminators", reason="vocos is not installed")
    torch.manual_seed(0)
    waveform = speech_like(length)
    for official, ours in (
        (module.MultiPeriodDiscriminator(), MultiPeriodDiscriminator(skip_features=1)),
        (
            module.MultiResolutionDiscriminator(),
            MultiBandDiscriminator(
                match_stride=False, skip_features=1, match_logits=True, normalise=True
            ),
        ),
    ):
        give_weights(official, ours)
        with torch.no_grad():
            assert_judge_alike(ours(waveform), judged(waveform, official))


def test_vocos_mel_loss():
    loss = pytest.importorskip("vocos.loss", reason="vocos is not installed")
    real, fake = speech_like(24000)[:, 0], speech_like(24000, seed=1)[:, 0]
    official = loss.MelSpecReconstructionLoss(24000)
    torch.testing.assert_close(LogMelLoss(24000)(real, fake), official(fake, real))
