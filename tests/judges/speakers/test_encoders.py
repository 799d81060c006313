"""Speaker encoders: Resemblyzer on bundled clips, x-vectors on a tiny WavLM with random weights."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from audiotok import data
from audiotok.errors import MetricError
from audiotok.judges.speakers.resemblyzer import Resemblyzer
from audiotok.judges.speakers.xvector import XVector
from audiotok.sound.audio import Audio
from audiotok.tasks import get

SOUND = Audio(0.1 * torch.randn(1, 24_000, generator=torch.Generator().manual_seed(0)), 24_000)


@pytest.fixture(scope="module")
def resemblyzer():
    if (error := Resemblyzer().missing()) is not None:
        pytest.skip(str(error))
    return Resemblyzer()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    transformers = pytest.importorskip("transformers")
    path = tmp_path_factory.mktemp("wavlm")
    config = transformers.WavLMConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        conv_dim=[16, 16, 16], conv_kernel=[10, 3, 2], conv_stride=[5, 8, 8],
        num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2, tdnn_dim=[16, 16, 16],
        tdnn_kernel=[5, 3, 3], tdnn_dilation=[1, 2, 3], xvector_output_dim=24,
        use_weighted_layer_sum=True,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.WavLMForXVector(config).save_pretrained(path)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(path)
    return path


def test_resemblyzer_gives_unit_vectors(resemblyzer):
    embedding = resemblyzer.embed(data.load("bundled", limit=1).clips[0].read())
    assert embedding.shape == (256,) and embedding @ embedding == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("samples", [1, 100, 16_000])
def test_no_voice_no_number(samples, resemblyzer):
    for waveform in (torch.zeros(1, samples), 1e-4 * torch.ones(1, samples)):
        with pytest.raises(MetricError, match="no speaker|no voice"):
            resemblyzer.embed(Audio(waveform, 16_000))


def test_x_vectors_are_those_of_transformers(folder):
    encoder = XVector(folder)
    embedding = encoder.embed(SOUND)
    features, network = encoder.network
    waveform = SOUND.resample(16_000).waveform[0]
    normal = (waveform - waveform.mean()) / (waveform.var(correction=0) + 1e-7).sqrt()
    with torch.inference_mode():
        expected = network(normal[None]).embeddings[0]
    assert embedding.shape == (24,) and embedding @ embedding == pytest.approx(1, abs=1e-5)
    assert np.allclose(embedding, expected / expected.norm(), atol=1e-5)
    copy = pickle.loads(pickle.dumps(encoder))
    assert "network" not in vars(copy) and np.array_equal(copy.embed(SOUND), embedding)
    task = get(f"speaker_wavlm:{folder}")
    assert task.available() is None and task.name.startswith(f"speaker_wavlm:{folder.name}@")
    for sound in (Audio(torch.zeros(1, 16_000), 16_000), Audio(SOUND.waveform[:, :1_000], 24_000)):
        with pytest.raises(MetricError, match="no speaker in"):
            encoder.embed(sound)


def test_weights_that_are_not_here_are_said_in_one_line(monkeypatch, tmp_path):
    pytest.importorskip("transformers")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert "hf download microsoft/wavlm-base-plus-sv" in get("speaker_wavlm").available()
    assert get("speaker_wavlm").columns[2].name == "speaker_eer_wavlm"
