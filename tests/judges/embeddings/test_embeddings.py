"""Encoders and taggers on tiny networks with random weights, saved here: their numbers mean
nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from audiotok.errors import MetricError
from audiotok.judges import embeddings
from audiotok.judges.embeddings.hub import HubEncoder
from audiotok.judges.embeddings.tagger import Tagger
from audiotok.judges.embeddings.whisper import WhisperEncoder
from audiotok.sound.audio import Audio

transformers = pytest.importorskip("transformers")


def sound(seconds, rate=24_000, seed=0):
    noise = torch.randn(1, round(seconds * rate), generator=torch.Generator().manual_seed(seed))
    return Audio(0.1 * noise, rate)


@pytest.fixture(scope="module")
def wavlm(tmp_path_factory):
    path = tmp_path_factory.mktemp("wavlm")
    config = transformers.WavLMConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        conv_dim=[16, 16, 16], conv_kernel=[10, 3, 2], conv_stride=[5, 8, 8],
        num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.WavLMModel(config).save_pretrained(path)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def clap(tmp_path_factory):
    path = tmp_path_factory.mktemp("clap")
    config = transformers.ClapConfig(
        audio_config={
            "depths": [1, 1, 1, 1], "num_attention_heads": [1, 1, 2, 2], "hidden_size": 64,
            "patch_embeds_hidden_size": 8, "projection_dim": 12, "num_mel_bins": 64,
            "spec_size": 256,
        },
        text_config={
            "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 16, "vocab_size": 40, "projection_dim": 12,
        },
        projection_dim=12,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.ClapModel(config).save_pretrained(path)
    transformers.ClapFeatureExtractor(truncation="rand_trunc").save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    path = tmp_path_factory.mktemp("ast")
    config = transformers.ASTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_length=64, num_mel_bins=32, num_labels=5,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.ASTForAudioClassification(config).save_pretrained(path)
    transformers.ASTFeatureExtractor(max_length=64, num_mel_bins=32).save_pretrained(path)
    return path


def test_wavlm_is_the_mean_of_its_last_layer(wavlm):
    encoder = embeddings.get(str(wavlm))
    assert isinstance(encoder, HubEncoder) and encoder.missing() is None
    original = sound(1.0)
    features, network = encoder.network
    samples = original.resample(16_000).waveform[0].numpy()
    inputs = features(samples, sampling_rate=16_000, return_tensors="pt")
    with torch.no_grad():
        expected = network(**inputs).last_hidden_state[0].mean(0).numpy()
    assert encoder.embed(original) == pytest.approx(expected, abs=1e-5)


def test_pieces_count_by_their_length(wavlm):
    encoder = HubEncoder(wavlm)
    whole = sound(12.5, 16_000)
    parts = [Audio(part, 16_000) for part in whole.waveform.split(160_000, 1)]
    first, second = map(encoder.embed, parts)
    assert encoder.embed(whole) == pytest.approx((10 * first + 2.5 * second) / 12.5, abs=1e-5)


def test_clap_gives_its_own_embedding_at_48_khz(clap):
    encoder = embeddings.get(str(clap))
    found = encoder.embed(sound(1.0))
    assert found.shape == (12,) and np.isfinite(found).all()
    assert encoder.embed(sound(1.0, seed=1)) != pytest.approx(found)


def test_posteriors_of_a_classifier(classifier):
    tagger = Tagger(classifier)
    found = tagger.posteriors(sound(0.5))
    assert found.shape == (5,) and found.sum() == pytest.approx(1) and (found > 0).all()


def test_silence_has_no_embedding(wavlm, classifier):
    silence = Audio(torch.zeros(1, 16_000), 16_000)
    for judge in (HubEncoder(wavlm).embed, Tagger(classifier).posteriors):
        for audio in (silence, sound(0.05)):
            with pytest.raises(MetricError, match="no embedding of"):
                judge(audio)


def test_which_encoder_a_name_means(tmp_path):
    assert embeddings.get("resemblyzer").name == "Resemblyzer"
    assert isinstance(embeddings.get("whisper-base"), WhisperEncoder)
    assert isinstance(embeddings.get("openai/whisper-tiny"), WhisperEncoder)
    assert isinstance(embeddings.get("laion/clap-htsat-unfused"), HubEncoder)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "whisper"}))
    assert isinstance(embeddings.get(str(tmp_path)), WhisperEncoder)


def test_weights_that_are_not_here_are_missing_and_never_random():
    for name in ("nobody/no-such-model", "whisper-nosuchsize"):
        encoder = embeddings.get(name)
        assert "not on this machine" in str(encoder.missing())
        with pytest.raises(MetricError, match="not on this machine"):
            encoder.embed(sound(1.0))
