"""Discriminators: against the official class of EnCodec, against plain sums, and their shapes."""

import pytest
import torch
from support.twins import assert_judge_alike, give_weights, speech_like
from torch.nn import functional as F

from audiotok.nn.discriminators import (
    DISCRIMINATORS,
    DiscriminatorSet,
    MultiBandDiscriminator,
    MultiPeriodDiscriminator,
    MultiResolutionDiscriminator,
    MultiScaleDiscriminator,
)
from audiotok.nn.discriminators.base import Spectrum, normalised

SMALL = {
    "multi_period": {"channels": (4, 6, 8), "strides": (3, 3, 1)},
    "multi_resolution": {"channels": 4},
    "multi_band": {"channels": 4},
    "multi_scale": {"channels": 4},
}
# of the official classes
COUNTS = {
    "multi_period": (MultiPeriodDiscriminator, 41_105_770),
    "multi_resolution": (MultiResolutionDiscriminator, 600_198),
    "multi_band": (MultiBandDiscriminator, 1_413_990),
    "multi_scale": (MultiScaleDiscriminator, 283_398),
}


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_sizes_are_those_published(name):
    built, count = COUNTS[name]
    assert built is DISCRIMINATORS[name]
    assert sum(parameter.numel() for parameter in built().parameters()) == count


@pytest.mark.parametrize(("channels", "length"), [(32, 4096), (8, 4097), (8, 6000)])
def test_multi_scale_equals_encodec(channels, length):
    module = pytest.importorskip("encodec.msstftd")
    torch.manual_seed(0)
    official = module.MultiScaleSTFTDiscriminator(channels)
    ours = MultiScaleDiscriminator(channels=channels)
    give_weights(official, ours)
    waveform = speech_like(length)
    with torch.no_grad():
        assert_judge_alike(ours(waveform), list(zip(*official(waveform), strict=True)))


def test_multi_scale_judges_channels_together_like_encodec():
    module = pytest.importorskip("encodec.msstftd")
    torch.manual_seed(0)
    official = module.MultiScaleSTFTDiscriminator(4, in_channels=2)
    ours = MultiScaleDiscriminator(channels=4, waveform_channels=2)
    give_weights(official, ours)
    waveform = speech_like(3000, batch=4).view(2, 2, 3000)
    with torch.no_grad():
        assert_judge_alike(ours(waveform), list(zip(*official(waveform), strict=True)))


@pytest.mark.parametrize(
    ("length", "always_pad", "rows"), [(60, False, 20), (60, True, 21), (58, True, 20)]
)
def test_a_period_s_columns_are_judged_each_by_itself(length, always_pad, rows):
    torch.manual_seed(0)
    disc = MultiPeriodDiscriminator((3,), (4, 5), (2, 1), always_pad=always_pad).discriminators[0]
    waveform = torch.randn(2, 1, length)
    logits, maps = disc(waveform)
    padded = F.pad(waveform, (0, 3 * rows - length), mode="reflect")
    for column in range(3):
        hidden = padded[..., column::3]
        assert hidden.shape[-1] == rows
        for conv, stride, result in zip(disc.convs, (2, 1), maps, strict=False):
            hidden = F.conv1d(hidden, conv.weight[..., 0], conv.bias, stride, padding=2)
            hidden = F.leaky_relu(hidden, 0.1)
            torch.testing.assert_close(result[..., column], hidden)
        expected = F.conv1d(hidden, disc.post.weight[..., 0], disc.post.bias, padding=1)
        torch.testing.assert_close(logits[..., column], expected)


@pytest.mark.parametrize("window", ["hann", "rectangular"])
@pytest.mark.parametrize("unit_norm", [False, True])
def test_a_spectrum_is_the_fourier_transform_of_each_frame(window, unit_norm):
    waveform = speech_like(100)[:, 0]
    spectrum = Spectrum(16, 4, window, centred=False, unit_norm=unit_norm)(waveform)
    weights = torch.hann_window(16) if window == "hann" else torch.ones(16)
    if unit_norm:
        weights = weights / weights.square().sum().sqrt()
    expected = torch.fft.rfft(waveform.unfold(-1, 16, 4) * weights).mT
    torch.testing.assert_close(spectrum, expected)


def test_a_window_that_is_unknown_is_refused():
    with pytest.raises(ValueError, match="window 'hamming' is neither 'hann' nor 'rectangular'"):
        MultiResolutionDiscriminator(window="hamming")


def test_as_many_strides_as_channels():
    with pytest.raises(ValueError, match=r"periods are \[2, 0\]: expected whole numbers from 1"):
        MultiPeriodDiscriminator(periods=(2, 0))
    with pytest.raises(ValueError, match=r"channels \(4, 4\) and strides .* differ in number"):
        MultiPeriodDiscriminator(channels=(4, 4))


@pytest.mark.parametrize("length", [2048, 2049, 3000])
def test_matched_strides_give_the_frames_of_a_convolution(length):
    for windows in ((512,), (1024,)):
        ((logits, _),) = MultiBandDiscriminator(windows, channels=2)(speech_like(length))
        assert logits.shape[2] == -(-length // (windows[0] // 4))


def test_bands_see_their_frequencies_alone():
    torch.manual_seed(0)
    disc = MultiBandDiscriminator((256,), channels=2).discriminators[0]
    time = torch.arange(4000)
    low, high = (torch.sin(torch.pi * share * time)[None, None] for share in (0.05, 0.9))
    (_, maps), (_, other) = disc(low), disc(low + high)
    pairs = zip(maps, other, strict=True)  # away from the ends, where tones break off
    changed = [(one - two)[:, :, 9:-9].abs().max() > 0.02 for one, two in pairs]
    assert changed == [False] * 20 + [True] * 5  # five maps for each band


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_each_gives_judgements_that_gradients_pass(name):
    torch.manual_seed(0)
    disc = DISCRIMINATORS[name](**SMALL[name])
    waveform = speech_like(4000).requires_grad_()
    judgements = disc(waveform)
    assert len(judgements) == len(disc.discriminators)
    sum(logits.square().mean() for logits, _ in judgements).backward()
    assert waveform.grad.abs().sum() > 0
    for parameter in disc.parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all()


@pytest.mark.parametrize("name", ["multi_period", "multi_resolution", "multi_band"])
def test_channels_are_judged_one_by_one(name):
    torch.manual_seed(0)
    disc = DISCRIMINATORS[name](**SMALL[name])
    stereo = speech_like(2500, batch=2).view(1, 2, 2500)
    for (logits, _), (single, _) in zip(disc(stereo), disc(stereo[:, 1:]), strict=True):
        torch.testing.assert_close(logits[1:], single)


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_normalised_sound_is_judged_whatever_its_level_and_offset(name):
    torch.manual_seed(0)
    disc = DISCRIMINATORS[name](**SMALL[name], normalise=True)
    plain = DISCRIMINATORS[name](**SMALL[name])
    plain.load_state_dict(disc.state_dict())
    waveform = speech_like(3000)
    changed = 3 * waveform + 0.2
    for (one, _), (two, _) in zip(disc(waveform), disc(changed), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-4)
    assert normalised(changed).abs().amax() == pytest.approx(0.8)
    assert not torch.allclose(plain(waveform)[0][0], plain(changed)[0][0], rtol=1e-2)


def test_features_to_match_are_chosen():
    waveform = speech_like(2500)

    def count(build, **options):
        return len(build(**options)(waveform)[0][1])

    sizes = {"periods": (2,), **SMALL["multi_period"]}
    assert count(MultiPeriodDiscriminator, **sizes) == 4
    assert count(MultiPeriodDiscriminator, **sizes, skip_features=1) == 3
    assert count(MultiPeriodDiscriminator, **sizes, match_logits=False) == 3
    sizes = {"windows": (512,), "channels": 2}
    assert count(MultiBandDiscriminator, **sizes) == 25
    assert count(MultiBandDiscriminator, **sizes, skip_features=1, match_logits=True) == 21


def test_a_set_lists_the_judgements_of_its_members():
    torch.manual_seed(0)
    first = MultiPeriodDiscriminator((2, 3), **SMALL["multi_period"])
    second = MultiScaleDiscriminator((256,), channels=2)
    waveform = speech_like(1000)
    result = DiscriminatorSet([first, second])(waveform)
    expected = first(waveform) + second(waveform)
    assert len(result) == 3
    for (one, _), (two, _) in zip(result, expected, strict=True):
        assert torch.equal(one, two)


def test_weights_are_normalised():
    """All of a convolution's weight but its gain is a direction: its length does not count."""
    disc = MultiResolutionDiscriminator((512,), channels=2)
    waveform = speech_like(2000)
    before = disc(waveform)[0][0]
    for name, parameter in disc.named_parameters():
        if name.endswith("original1"):
            parameter.data.mul_(7)
    torch.testing.assert_close(disc(waveform)[0][0], before)
