"""Training losses against torchaudio, librosa and formulas written out."""

import librosa
import pytest
import torch
import torchaudio
from support.twins import speech_like
from torch.nn import functional as F

from audiotok.nn.losses import (
    LogMelLoss,
    MelEnergyLoss,
    MelSpectrogram,
    MultiScaleMelLoss,
    distillation_by_channel,
    distillation_by_frame,
    waveform_l1,
    waveform_l2,
)

RATE = 16000
DAC_BANDS = {32: 5, 64: 10, 128: 20, 256: 40, 512: 80, 1024: 160, 2048: 320}


@pytest.fixture(scope="module")
def sounds():
    return speech_like(8001)[:, 0], speech_like(8001, seed=1)[:, 0]


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("scale", ["htk", "slaney"])
def test_mel_spectrograms_are_torchaudio_s(sounds, power, scale):
    official = torchaudio.transforms.MelSpectrogram(
        RATE, 1024, hop_length=256, n_mels=40, power=power, f_min=50.0,
        norm="slaney" if scale == "slaney" else None, mel_scale=scale,
    )  # fmt: skip
    ours = MelSpectrogram(RATE, 1024, 256, 40, scale, power, low=50.0)
    torch.testing.assert_close(ours(sounds[0]), official(sounds[0]))


def test_frames_as_of_a_convolution_and_a_window_of_unit_norm(sounds):
    official = torchaudio.transforms.MelSpectrogram(
        RATE, 512, hop_length=128, n_mels=40, normalized=True, center=False
    )
    padded = F.pad(F.pad(sounds[0], (192, 192), mode="reflect"), (0, 63))  # 8001 is 62.5 hops
    ours = MelSpectrogram(RATE, 512, 128, 40, power=2, same=True, unit_norm=True)(sounds[0])
    assert ours.shape[-1] == 63
    torch.testing.assert_close(ours, official(padded))


def test_the_log_mel_loss_is_torchaudio_s(sounds):
    mel = torchaudio.transforms.MelSpectrogram(RATE, 1024, hop_length=256, n_mels=100, power=1)
    expected = F.l1_loss(*(mel(sound).clamp(min=1e-7).log() for sound in sounds))
    torch.testing.assert_close(LogMelLoss(RATE)(*sounds), expected)


@pytest.mark.parametrize(("power", "linear_weight"), [(1.0, 0.0), (2.0, 1.0)])
def test_the_multi_scale_mel_loss_is_that_of_librosa_s_bands(sounds, power, linear_weight):
    expected = 0.0
    for window, bands in DAC_BANDS.items():
        filters = torch.from_numpy(librosa.filters.mel(sr=RATE, n_fft=window, n_mels=bands))
        real, fake = (
            filters
            @ torch.stft(
                sound, window, window // 4, window=torch.hann_window(window), return_complex=True
            ).abs()
            for sound in sounds
        )
        logs = (m.clamp(min=1e-5).pow(power).log10() for m in (real, fake))
        expected += F.l1_loss(*logs) + linear_weight * F.l1_loss(real, fake)
    result = MultiScaleMelLoss(RATE, DAC_BANDS, power, linear_weight)(*sounds)
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=0)


def test_the_mel_energy_loss_by_torchaudio(sounds):
    expected = 0.0
    for window in (64, 128, 256, 512, 1024):
        mel = torchaudio.transforms.MelSpectrogram(
            RATE, window, hop_length=window // 4, n_mels=64, f_min=64.0, normalized=True,
            center=False,
        )  # fmt: skip
        side, missing = 3 * window // 8, -8001 % (window // 4)
        real, fake = (mel(F.pad(F.pad(s, (side, side), "reflect"), (0, missing))) for s in sounds)
        expected += (real - fake).abs().mean()
        expected += ((real + 1e-5).log10() - (fake + 1e-5).log10()).square().mean()
    torch.testing.assert_close(MelEnergyLoss(RATE)(*sounds), expected / 10)


@pytest.mark.parametrize(
    "loss",
    [LogMelLoss(RATE), MultiScaleMelLoss(RATE, {64: 10, 512: 40}, 2.0, 1.0), MelEnergyLoss(RATE)],
    ids=lambda loss: type(loss).__name__,
)
def test_spectral_losses_grow_with_noise_and_have_gradients(sounds, loss):
    noise = torch.randn(sounds[0].shape, generator=torch.Generator().manual_seed(0))
    values = [loss(sounds[0], sounds[0] + level * noise).item() for level in (0, 0.01, 0.1, 1)]
    assert values[0] == 0
    assert values == sorted(set(values))
    for start in (sounds[1], torch.zeros_like(sounds[0])):
        reconstruction = start.clone().requires_grad_()
        loss(sounds[0], reconstruction).backward()
        assert reconstruction.grad.isfinite().all()
    reference = sounds[0].clone().requires_grad_()
    assert not loss(reference, sounds[1]).requires_grad


def test_ten_times_as_loud_is_a_decade():
    loud = speech_like(8000)[:, 0] * 0.5 + 0.2 * torch.randn(2, 8000)
    result = MultiScaleMelLoss(RATE, {512: 20, 1024: 20})(loud, 10 * loud)
    torch.testing.assert_close(result, torch.tensor(2.0))  # one for each scale
    result = MultiScaleMelLoss(RATE, {512: 20}, power=2.0)(loud, 10 * loud)
    torch.testing.assert_close(result, torch.tensor(2.0))


def test_waveform_losses_by_hand():
    one, other = torch.tensor([[0.0, 1.0]]), torch.tensor([[2.0, 1.0]])
    assert (waveform_l1(one, other), waveform_l2(one, other)) == (1.0, 2.0)


def cosine(one, other):
    return (one @ other / one.norm() / other.norm()).item()


def test_distillation_by_channel_and_by_frame():
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 5, 30, requires_grad=True), torch.randn(2, 5, 28)
    cut = student.detach()[..., :28]
    cosines = torch.tensor([[cosine(cut[b, d], teacher[b, d]) for d in range(5)] for b in range(2)])
    result = distillation_by_channel(student, teacher)
    torch.testing.assert_close(result.detach(), -(1 / (1 + (-cosines).exp())).log().mean())
    cosines = torch.tensor(
        [[cosine(cut[b, :, t], teacher[b, :, t]) for t in range(28)] for b in range(2)]
    )
    result = distillation_by_frame(student, teacher)
    torch.testing.assert_close(result.detach(), 1 - cosines.mean())
    result.backward()
    assert student.grad[..., :28].abs().sum() > 0 and student.grad[..., 28:].abs().sum() == 0


def test_a_student_like_its_teacher_has_nothing_to_learn():
    features = torch.randn(2, 5, 30)
    torch.testing.assert_close(distillation_by_frame(2 * features, features), torch.tensor(0.0))
    least = -torch.tensor(1.0).sigmoid().log()
    torch.testing.assert_close(distillation_by_channel(2 * features, features), least)


def test_a_student_of_another_width_is_refused():
    with pytest.raises(ValueError, match="differ in clips or channels"):
        distillation_by_frame(torch.randn(2, 5, 30), torch.randn(2, 6, 30))
