"""The network of LM-SPT where it is not as published: small encoders and decoders, and a start."""

import pytest
import torch

from audiotok.nn.lm_spt import LMSPTConfig, LMSPTNetwork
from audiotok.nn.mini import MiniConfig, MiniNetwork

SMALL = {
    "sample_rate": 16000,
    "encoder": {
        "kind": "seanet",
        "strides": [2, 4, 5, 5],
        "num_filters": 2,
        "num_lstm_layers": 1,
        "pooling": 3,
    },
    "dimension": 8,
    "decoder": {
        "kind": "vocos",
        "upsampling": 3,
        "hop": 200,
        "dim": 64,
        "intermediate_dim": 32,
        "layers": 1,
    },
    "semantic_codebook_size": 16,
    "acoustic_codebook_size": 16,
    "num_acoustic_codebooks": 2,
    "codebook_dim": None,
    "taught_by": "averages",
}


@pytest.fixture
def network():
    torch.manual_seed(0)
    return LMSPTNetwork(LMSPTConfig.model_validate(SMALL | {"auxiliary_decoder": SMALL["decoder"]}))


def test_it_starts_from_a_small_codec(network):
    """Encoders that give the means of three frames, and a decoder that repeats them."""
    mini = MiniConfig.model_validate(
        {
            "quantizer": {"kind": "vq", "codebook_size": 16},
            "strides": [2, 4, 5, 5],
            "dimension": 8,
            "num_filters": 2,
            "num_lstm_layers": 1,
            "backbone_dim": 64,
            "backbone_intermediate_dim": 32,
            "backbone_layers": 1,
        }
    )
    other = MiniNetwork(mini).eval()
    network.eval().adopt(other)
    waveform = torch.randn(2, 1, 6000)
    with torch.no_grad():
        latents = other.encoder(waveform)
        means = latents.unflatten(2, (-1, 3)).mean(3)
        semantic, acoustic = network.encoder(waveform).chunk(2, 1)
        torch.testing.assert_close(semantic, means, rtol=1e-4, atol=1e-5)
        assert torch.equal(semantic, acoustic)
        expected = other.head(other.backbone(means.repeat_interleave(3, 2)))
        torch.testing.assert_close(network.decoder(means), expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"encoder\.encoder\S+ has shape"):
        wider = mini.model_copy(update={"num_filters": 4})
        network.adopt(MiniNetwork(wider))


def test_without_the_quantizer_the_decoder_hears_the_acoustic_latents(network):
    """Semantic vectors and what is left of them add up to those."""
    waveform = torch.randn(4, 1, 1800)
    output = network(waveform, quantize=False)
    semantic, acoustic = output.latents.chunk(2, 1)
    assert torch.equal(output.semantic, semantic) and output.codes is None
    network.eval()  # dropout
    torch.testing.assert_close(
        network(waveform, quantize=False).waveform, network.decoder(acoustic)
    )


def test_any_length_becomes_whole_frames(network):
    network.eval()
    for length in (1, 599, 600, 601, 4000):
        codes = network.encode(torch.randn(1, 1, length))
        assert codes.shape == (1, 3, -(-length // 600))
        assert network.decode(codes).shape[-1] == 600 * codes.shape[2]
        assert network.resynthesize(codes).shape[-1] == 600 * codes.shape[2]
