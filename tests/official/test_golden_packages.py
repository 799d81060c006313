"""Our DAC, SNAC and SpeechTokenizer against what the official packages gave: golden/, written by
make_golden.py with the version and the date in each file. The packages need not be installed."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from support import official_weights

import audiotok

FOLDER = Path(__file__).with_name("golden")


@pytest.fixture(scope="module", params=official_weights.CASES)
def golden(request, tmp_path_factory):
    """Our codec with the weights of the official network, and the tensors and facts of the file."""
    codec, config = official_weights.CASES[request.param]
    with safe_open(FOLDER / f"{request.param}.safetensors", "pt") as file:
        kept, about = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118
    size = config.get("codebook_size", 1024)
    state = official_weights.state(kept, json.loads(about["shapes"]), size)
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "config.json").write_text(json.dumps(config))
    torch.save(state, folder / "pytorch_model.bin")
    return audiotok.load(codec, folder / "pytorch_model.bin"), kept, about


def test_the_values_of_the_official_package(golden):
    codec, kept, about = golden
    assert about["version"] and about["date"]
    waveform = official_weights.sound(codec.sample_rate, 4)[..., : int(about["length"])]
    expected = []
    for k in range(codec.card.num_codebooks):
        codes = kept[f"codes {k}"].long()
        expected.append(codes.repeat_interleave(codec.card.strides[k]))
    expected = torch.stack(expected)[None]
    with torch.inference_mode():
        latents, codes = codec.network.encoder(waveform), codec._encode(waveform)
        if about["package"] == "snac":
            silence = [torch.zeros_like(one) for one in codec._noise([0], 0, codes.shape[-1])]
            sound = codec.network.decode(expected, silence)
        else:
            sound = codec._decode(expected)
    given = kept["latents"]
    assert (latents[0, :, :64] - given).abs().max() <= 1e-4 * given.abs().max()
    wrong = (codes != expected).any(1).double().mean()
    assert codes.shape == expected.shape and wrong <= 0.02  # near ties
    given = kept["sound"]
    assert (sound[0, 0, : len(given)] - given).abs().max() <= 1e-5 * float(about["peak"])
    print(about["package"], f"{wrong:.3%} of the frames differ")
