"""Lyra v2's weights in PyTorch: near the official models; models of another form are refused."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

import audiotok
from audiotok.codec import checkpoints
from audiotok.codecs.lyra import ENCODER
from audiotok.errors import CheckpointError
from audiotok.sound import audio

pytest.importorskip("ai_edge_litert.interpreter")
from support import tiny_lyra  # noqa: E402 (it needs ai-edge-litert)

from audiotok.codecs import _lyra_weights  # noqa: E402

OFFICIAL = Path(os.environ.get("AUDIOTOK_LYRA") or checkpoints.local_folder("lyra-v2"))


def test_models_of_another_form_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match=f"{ENCODER} has layers of other sizes than Lyra v2"):
        _lyra_weights.network(tiny_lyra.write(tmp_path))


def test_weights_of_eight_bits_become_floats():
    values = np.array([[-128, 0], [3, 127]], np.int8)
    parameters = {
        "scales": np.array([0.5, 2.0]),
        "zero_points": np.array([0, 1]),
        "quantized_dimension": 0,
    }
    found = _lyra_weights._dequantized(values, parameters)
    assert found.tolist() == [[-64.0, 0.0], [4.0, 252.0]]
    assert (
        _lyra_weights._dequantized(values, parameters | {"scales": []}).tolist() == values.tolist()
    )


@pytest.mark.skipif(
    not (OFFICIAL / ENCODER).is_file(), reason=f"no {ENCODER} in {OFFICIAL}: set AUDIOTOK_LYRA"
)
@torch.no_grad()
def test_near_the_official_models():
    clip = next(iter(audiotok.data.load("bundled")))
    speech = audio.read(clip.path).converted(1, 16000)[None, :, :48_000]
    official = audiotok.load("lyra-v2", checkpoint=OFFICIAL)
    network = _lyra_weights.network(OFFICIAL).eval()
    latents = official.encode_latents(speech)
    sound = torch.as_tensor(official._decode_latents(latents))

    def difference(found, expected):
        """Its share of the power."""
        return float((found - expected).square().mean() / expected.var())

    assert difference(network.encoder(speech), latents) < 0.02
    assert difference(network.head(network.backbone(latents)), sound) < 0.02
    assert torch.equal(network.quantizer.codebooks, official.network.quantizer.codebooks)


@pytest.mark.skipif(
    not (OFFICIAL / ENCODER).is_file(), reason=f"no {ENCODER} in {OFFICIAL}: set AUDIOTOK_LYRA"
)
def test_the_networks_that_ship_are_those_of_lyra():
    shipped = audiotok.load("rvq-small", quiet=True).network.state_dict()
    for name, tensor in _lyra_weights.network(OFFICIAL).state_dict().items():
        if not name.startswith("quantizer."):
            assert torch.equal(shipped[name], tensor.half().float()), name


def test_a_missing_model_is_one_line(tmp_path):
    with pytest.raises(CheckpointError, match=f"{ENCODER} cannot be read .*: lyra-v2 needs"):
        _lyra_weights.network(tmp_path)
