"""ConvNeXt between filterbanks: an MDCT before training, the lower band passes, levels pass."""

import math

import pytest
import torch

from audiotok.nn.convnext import ConvNeXtSizes, SynthesisFilterbank
from audiotok.nn.mini import MiniConfig, MiniNetwork

RVQ = {"kind": "rvq", "num_codebooks": 2, "codebook_size": 16}


def config(**changes):
    convnext = changes.pop("convnext", {"widths": (16, 32), "depths": (1, 2)})
    sizes = {"strides": (20, 4), "sample_rate": 8000, "dimension": 24}
    return MiniConfig(quantizer=RVQ, convnext=convnext, **(sizes | changes))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return MiniNetwork(config()).eval()


def tone(hertz, seconds=0.5, level=0.05):
    return level * torch.sin(2 * math.pi * hertz * torch.arange(int(8000 * seconds)) / 8000)


@torch.no_grad()
def through(network, sound):
    found = network(sound[None, None], quantize=False).waveform[0, 0, : len(sound)]
    return found[200:-200], sound[200:-200]  # the ends see reflections


def test_shapes(network):
    for length in (79, 80, 81, 800):
        output = network(torch.randn(2, 1, length))
        frames = math.ceil(length / 80)
        assert output.latents.shape == (2, 24, frames)
        assert output.codes.shape == (2, 2, frames)
        assert output.waveform.shape == (2, 1, frames * 80)
    assert network.hop_length == 80
    assert torch.equal(network.decode(network.encode(torch.randn(1, 1, 160))).isfinite().all(),
                       torch.tensor(True))  # fmt: skip


def test_the_filterbanks_start_as_an_mdct():
    """With as many channels as bands, analysis and synthesis give back the sound."""
    sizes = {"widths": (20,), "depths": (0,)}
    built = MiniNetwork(config(strides=(20,), convnext=sizes))
    analysis, sound = built.encoder.layers[0], torch.randn(1, 1, 400)
    with torch.no_grad():
        found = SynthesisFilterbank(20, 20)(analysis(sound))
    torch.testing.assert_close(found[..., 40:-40], sound[..., 40:-40], rtol=0, atol=1e-5)


def test_untrained_it_passes_the_lower_part_of_the_band(network):
    """24 latents for 4 frames of 20 bands up to 4 kHz: the lowest 6, up to 1200 Hz."""
    for hertz, passes in ((300, True), (900, True), (2500, False)):
        found, sound = through(network, tone(hertz))
        left = ((found - sound).square().mean() / sound.square().mean()).item()
        assert left < 0.1 if passes else 0.9 < left < 1.1, hertz


def test_levels_pass(network):
    """A hundredth of the level comes back as a hundredth, roughly: no norm takes it away."""
    for level in (0.1, 0.001):
        found, sound = through(network, tone(500, level=level))
        assert (found @ sound / (sound @ sound)).item() == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"convnext": {"widths": (16,), "depths": (1, 2)}}, "one depth from 0 on"),
        ({"convnext": {"widths": (16, 0), "depths": (1, 2)}}, "one positive width"),
        ({"strides": (20,)}, "a width for each stride"),
        ({"num_filters": 8}, "num_filters is of SEANet and Vocos"),
        ({"backbone_dim": 64}, "backbone_dim is of SEANet and Vocos"),
    ],
)
def test_sizes_that_do_not_fit(changes, message):
    with pytest.raises(ValueError, match=message):
        config(**changes)


def test_sizes_are_read_back_from_what_was_written():
    written = config()
    assert MiniConfig.model_validate_json(written.model_dump_json()) == written
    assert written.convnext == ConvNeXtSizes(widths=(16, 32), depths=(1, 2))
