"""TokenBridge's quantizer, the codec over rvq-small, and autoregression over dimensions."""

import math
from pathlib import Path

import pytest
import torch

import audiotok
from audiotok.lm import RQLM, RQLMConfig
from audiotok.nn.quantizers.dimension_wise import DimensionWiseQuantizer
from audiotok.sound.audio import Audio
from audiotok.testing import sounds
from audiotok.tokens import Tokens

FILE = Path(__file__).parents[3] / "benchmarks" / "tokenbridge.py"


def test_codes_are_about_equally_probable_and_decode_near_the_latents():
    latents = torch.randn(3, 200_000, generator=torch.Generator().manual_seed(0))
    latents = latents * torch.tensor([[1.0], [5.0], [0.1]]) + torch.tensor([[0.0], [-7.0], [2.0]])
    quantizer = DimensionWiseQuantizer.calibrated(latents, 8)
    codes = quantizer.encode(latents[None])
    assert codes.shape == (1, 3, 200_000) and set(codes.unique().tolist()) == set(range(8))
    shares = codes[0, 1].bincount() / codes.shape[2]
    assert shares.min() > 0.09 and shares.max() < 0.16  # nearest values, as in the paper's code
    error = ((quantizer.decode(codes)[0] - latents) / latents.std(1, keepdim=True)).square().mean(1)
    assert error.max() < 0.06
    finer = DimensionWiseQuantizer.calibrated(latents, 64)
    again = (finer.decode(finer.encode(latents[None]))[0] - latents) / latents.std(1, keepdim=True)
    assert again.square().mean() < 0.01


def test_frames_that_are_not_finite_have_no_code():
    quantizer = DimensionWiseQuantizer(torch.zeros(2), torch.ones(2), 4)
    latents = torch.zeros(1, 2, 3)
    latents[0, 1, 1] = math.inf
    assert (quantizer.encode(latents) == -1).tolist() == [[[False, True, False]] * 2]
    with pytest.raises(ValueError, match="1 levels"):
        DimensionWiseQuantizer(torch.zeros(2), torch.ones(2), 1)


def test_the_codec_is_close_to_its_latents_and_better_with_more_bits():
    sound = Audio(torch.from_numpy(sounds.voice(16_000, 1.0)[None]).float(), 16_000)
    inner = audiotok.load("rvq-small", quiet=True)
    ceiling = inner.decode_latents(inner.encode_latents(sound.waveform[None]))[0]
    errors = []
    for option in (":bits=2", ":bits=6"):
        codec = audiotok.load(f"{FILE}::tokenbridge-rvq-small{option}", quiet=True)
        tokens = Tokens.from_bytes(codec.encode(sound).to_bytes())
        assert tokens.num_codebooks == 64
        errors.append(float((codec.decode(tokens).waveform - ceiling).square().mean()))
    assert errors[1] < errors[0] / 4


def test_a_depth_transformer_predicts_the_dimensions_one_after_another():
    torch.manual_seed(0)
    model = RQLM(RQLMConfig(codebook_sizes=(4,) * 6, dimension=16, heads=2, layers=1,
                            depth_dimension=16, depth_heads=2, depth_layers=1)).eval()  # fmt: skip
    codes = torch.randint(4, (1, 6, 5))
    before = model(codes).nats
    codes[0, 3, 2] = (codes[0, 3, 2] + 1) % 4
    after = model(codes).nats
    changed = (before != after)[0]
    assert not changed[:, :2].any() and not changed[:3, 2].any()  # earlier frames and dimensions
    assert changed[3, 2] and changed[4:, 2].any()
