"""Clips of different lengths in one batch: the latents of each are those that it has alone."""

import pytest
import torch

from audiotok.nn import ragged
from audiotok.nn.convnext import ConvNeXtEncoder, ConvNeXtSizes
from audiotok.nn.dac import DACEncoder
from audiotok.nn.lm_spt import PooledSEANet, SEANetEncoderConfig
from audiotok.nn.seanet import SEANetEncoder
from audiotok.nn.soundstream import SoundStreamEncoder, SoundStreamSizes

POOLED = dict(kind="seanet", strides=(2, 4, 5), num_filters=4, num_lstm_layers=2, pooling=3)
ENCODERS = {
    "wavtokenizer": lambda: SEANetEncoder(8, 4, (2, 4, 5, 5)),
    "encodec": lambda: SEANetEncoder(8, 4, (2, 4, 5, 8), causal=True, stepwise=True),
    "speechtokenizer": lambda: SEANetEncoder(8, 4, (2, 4, 5), bidirectional=True, snake=True),
    "odd strides": lambda: SEANetEncoder(8, 4, (3, 3, 7), num_lstm_layers=1),
    "pooled": lambda: PooledSEANet(8, SEANetEncoderConfig(**POOLED)),
    "convnext": lambda: ConvNeXtEncoder(8, (20, 4), ConvNeXtSizes(widths=(8, 16), depths=(1, 2))),
    "soundstream": lambda: SoundStreamEncoder(
        8, (4, 5, 2), SoundStreamSizes(width=4, group_width=4)
    ),
    "dac": lambda: DACEncoder(8, 4, (2, 4, 5, 8)),
    "dac with odd strides": lambda: DACEncoder(8, 4, (3, 3, 7)),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_each_clip_is_as_it_is_alone(name):
    torch.manual_seed(0)
    encoder = ENCODERS[name]().double().eval()
    hop = encoder.hop_length
    lengths = [
        ragged.MIN_FRAMES * hop - hop + 1,
        11 * hop,
        12 * hop + 1,
        17 * hop - 1,
        40 * hop + 7,
    ]
    clips = [torch.randn(1, 1, length, dtype=torch.float64) * 0.1 for length in lengths]
    for filling in (0.0, 3.0):  # what stands behind a clip does not matter
        batch = torch.full((len(clips), 1, max(lengths)), filling, dtype=torch.float64)
        for row, clip in zip(batch, clips, strict=True):
            row[:, : clip.shape[-1]] = clip[0]
        with torch.inference_mode():
            together = ragged.encode(encoder, batch, lengths)
            for latents, clip in zip(together, clips, strict=True):
                alone = encoder(clip)[0]
                assert alone.abs().max() > 1e-3
                torch.testing.assert_close(latents[:, : alone.shape[1]], alone, rtol=0, atol=1e-12)


def test_a_network_that_mixes_clips_is_refused():
    with pytest.raises(TypeError, match="group norm"):
        ragged.encode(SEANetEncoder(8, 4, (2, 4), group_norm=True), torch.zeros(1, 1, 99), [99])
    with pytest.raises(TypeError, match="through a BatchNorm1d"):
        ragged._run(torch.nn.BatchNorm1d(1), torch.zeros(1, 1, 99), torch.tensor([99]))
