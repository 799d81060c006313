"""Discriminators and losses against the packages they come from, where those are installed.

Found on PYTHONPATH: descript-audio-codec, vocos, speechtokenizer, checkouts of EnCodec (its package
has no balancer) and of WavTokenizer (which is no package).
"""

import pytest
import torch
from support.twins import assert_judge_alike, give_weights, speech_like  # noqa: E402

from audiotok.nn import adversarial  # noqa: E402
from audiotok.nn.balancer import Balancer  # noqa: E402
from audiotok.nn.discriminators import (  # noqa: E402
    DiscriminatorSet,
    MultiBandDiscriminator,
    MultiPeriodDiscriminator,
    MultiResolutionDiscriminator,
)
from audiotok.nn.losses import (  # noqa: E402
    LogMelLoss,
    MultiScaleMelLoss,
    distillation_by_channel,
)

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


@pytest.mark.parametrize("length", LENGTHS)
def test_wavtokenizer(length):
    """With a checkout of WavTokenizer on the path: it is no package."""
    module = pytest.importorskip("decoder.discriminators", reason="WavTokenizer is not there")
    within = pytest.importorskip("decoder.discriminator_dac")
    torch.manual_seed(0)
    waveform = speech_like(length)
    for official, ours in (
        (module.MultiPeriodDiscriminator(), MultiPeriodDiscriminator(skip_features=1)),
        (module.MultiResolutionDiscriminator(), MultiResolutionDiscriminator()),
    ):
        give_weights(official, ours)
        with torch.no_grad():
            assert_judge_alike(ours(waveform), judged(waveform, official))
    official = within.DACDiscriminator()
    ours = DiscriminatorSet(
        [
            MultiPeriodDiscriminator(always_pad=True, match_logits=False),
            MultiBandDiscriminator(window="rectangular", match_stride=False),
        ],
        normalise=True,
    )
    give_weights(official, ours)
    with torch.no_grad():
        assert_judge_alike(ours(waveform), paired(official(waveform)))


def test_encodec_s_balancer():
    """In the repository of EnCodec, not in its package."""
    module = pytest.importorskip("encodec.balancer", reason="this encodec has no balancer")
    weights = {"time": 0.1, "mel": 1.0, "adversarial": 3.0}
    official = module.Balancer(weights, total_norm=2.0, ema_decay=0.9)
    ours = Balancer(weights, total_norm=2.0, decay=0.9)
    for step in range(4):
        gradients = []
        for balancer in (official, ours):
            output = torch.randn(3, 1, 500, generator=torch.Generator().manual_seed(step))
            output.requires_grad_()
            losses = {
                "time": output.abs().mean() * 100**step,
                "mel": (output.square().sum(dim=2) + 1).log().sum(),
                "adversarial": torch.relu(1 - output[..., ::3]).mean(),
            }
            balancer.backward(losses, output)
            gradients.append(output.grad)
        torch.testing.assert_close(*gradients)


def test_speechtokenizer_s_distillation():
    loss = pytest.importorskip("speechtokenizer.trainer.loss", reason="no speechtokenizer here")
    student, teacher = torch.randn(2, 30, 12), torch.randn(2, 28, 12)  # its (B, T, D)
    torch.testing.assert_close(
        distillation_by_channel(student.mT, teacher.mT),
        loss.d_axis_distill_loss(student, teacher),
    )
