"""Predictors of opinion scores: what they hear, that they repeat, and UTMOS's network against
transformers'."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from audiotok import data
from audiotok.data import Clip, Corpus
from audiotok.errors import MetricError
from audiotok.judges import mos
from audiotok.judges.mos import utmos
from audiotok.sound.audio import Audio
from audiotok.tasks import Item, get

SILENCE = Audio(torch.zeros(1, 16_000), 16_000)


@pytest.fixture(scope="module")
def speech():
    return data.load("bundled", limit=1).clips[0].read()


def noisy(audio, level):
    noise = torch.randn(audio.waveform.shape, generator=torch.Generator().manual_seed(0))
    return Audio(audio.waveform + level * noise, audio.sample_rate)


@pytest.fixture(scope="module")
def dnsmos():
    if (error := mos.get("dnsmos").missing()) is not None:
        pytest.skip(str(error))
    return mos.get("dnsmos")


def test_dnsmos_is_that_of_the_package(dnsmos, speech):
    from speechmos import dnsmos as official

    result = dnsmos(speech)
    expected = official.run(speech.waveform[0].numpy(), 16_000)
    for column, key in zip(result, ("p808_mos", "sig_mos", "bak_mos", "ovrl_mos"), strict=True):
        assert result[column] == pytest.approx(float(expected[key]), abs=1e-3), column
    assert set(result) == {column.name for column in dnsmos.columns}


def test_distillmos_hears_noise_and_prints_nothing(speech, capsys):
    if (error := mos.get("distillmos").missing()) is not None:
        pytest.skip(str(error))
    scores = [mos.get("distillmos")(noisy(speech, level))["distillmos"] for level in (0, 0.01, 0.1)]
    assert 1 <= scores[2] < scores[1] - 0.2 < scores[0] - 0.4 <= 5
    assert capsys.readouterr().out == ""


def test_plcmos_repeats_itself_and_hears_gaps(dnsmos, speech):
    plcmos = mos.get("plcmos")
    np.random.seed(1)
    state = np.random.get_state()[1].tolist()
    score = plcmos(speech)
    assert np.random.get_state()[1].tolist() == state
    np.random.seed(2)
    assert plcmos(speech) == score
    gaps = speech.waveform.clone()
    for start in range(0, gaps.shape[1], 3200):
        gaps[:, start : start + 800] = 0
    assert plcmos(Audio(gaps, speech.sample_rate))["plcmos"] < score["plcmos"] - 0.5


def test_what_has_no_score_is_an_error(dnsmos):
    for sound in (SILENCE, Audio(torch.rand(1, 1_000), 16_000)):
        for name in ("dnsmos", "plcmos", "distillmos"):
            with pytest.raises(MetricError, match=f"{name} has no value: the sound"):
                mos.get(name)(sound)


# fairseq's names, which the checkpoint has, and those of transformers.
FAIRSEQ = {
    r"masked_spec_embed": "mask_emb",
    r"feature_extractor\.conv_layers\.(\d+)\.conv\.": r"feature_extractor.conv_layers.\1.0.",
    r"feature_extractor\.conv_layers\.0\.layer_norm\.": "feature_extractor.conv_layers.0.2.",
    r"feature_projection\.layer_norm\.": "layer_norm.",
    r"feature_projection\.projection\.": "post_extract_proj.",
    r"pos_conv_embed\.conv\.parametrizations\.weight\.original0": "pos_conv.0.weight_g",
    r"pos_conv_embed\.conv\.parametrizations\.weight\.original1": "pos_conv.0.weight_v",
    r"pos_conv_embed\.conv\.": "pos_conv.0.",
    r"(layers\.\d+)\.layer_norm\.": r"\1.self_attn_layer_norm.",
    r"\.attention\.": ".self_attn.",
    r"feed_forward\.intermediate_dense\.": "fc1.",
    r"feed_forward\.output_dense\.": "fc2.",
}


@pytest.fixture
def small(monkeypatch, tmp_path):
    """transformers' network of two layers, and an UTMOS checkpoint that holds it."""
    transformers = pytest.importorskip("transformers")
    from torchaudio import models

    layers = [(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512, 2, 2)] * 2
    monkeypatch.setattr(
        models,
        "wav2vec2_base",
        lambda: models.wav2vec2_model(
            "group_norm",
            layers,
            False,
            768,
            0.0,
            128,
            16,
            2,
            12,
            0.0,
            64,
            0.0,
            0.0,
            False,
            0.0,
            None,
        ),
    )
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(num_hidden_layers=2, intermediate_size=64)
    network = transformers.Wav2Vec2Model(config).eval()
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.2)
    head = utmos.Network()
    torch.nn.init.normal_(head.domain_emb)
    torch.nn.init.normal_(head.judge_emb)
    state = {k: v for k, v in head.state_dict().items() if not k.startswith("wav2vec2.")}
    for name, tensor in network.state_dict().items():
        for pattern, new in FAIRSEQ.items():
            name = re.sub(pattern, new, name)
        state[f"wav2vec2.{name}"] = tensor
    path = tmp_path / "checkpoints" / utmos.FILE
    path.parent.mkdir()
    torch.save(state, path)
    return network, head.eval(), path


def test_utmos_computes_what_its_paper_draws(small, speech):
    network, head, path = small
    predictor = utmos.Utmos()
    assert predictor.missing() is None and len(predictor.identity["utmos"]) == 64
    scores = []
    for sound in (speech, noisy(speech, 0.1), Audio(speech.waveform[:, :12_345], 16_000)):
        with torch.inference_mode():
            frames = network(sound.waveform).last_hidden_state[0]
            about = torch.cat([head.domain_emb[0], head.judge_emb[0]]).expand(len(frames), -1)
            hidden = head.blstm(torch.cat([frames, about], 1))[0]
            expected = 3 + 2 * head.projection(hidden).mean()
        scores.append(predictor(sound)["utmos"])
        assert scores[-1] == pytest.approx(float(expected), abs=2e-6)
    assert abs(scores[0] - scores[1]) > 1e-4
    state = torch.load(path, weights_only=True)
    del state["blstm.bias_hh_l0"]
    torch.save(state, path)
    with pytest.raises(MetricError, match="UTMOS cannot be loaded .*blstm.bias_hh_l0"):
        utmos.Utmos()(speech)


def test_the_task_takes_what_is_here(monkeypatch, dnsmos, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    task = get("mos")
    task.prepare(Corpus("mixed", (Clip("said", text="yes"), Clip("played", label="piano"))))
    assert task.available() is None
    assert list(task.left_out()) == ["utmos"] and "curl -L" in task.left_out()["utmos"]
    assert "utmos" not in {column.name for column in task.columns}
    assert task.score(Item(Clip("played"), SILENCE, SILENCE)) == {}
    row = task.score(Item(Clip("said", text="yes"), SILENCE, SILENCE))
    assert set(row) == {column.name for column in task.columns}
    assert all(isinstance(value, MetricError) for value in row.values())


def test_without_any_predictor_the_task_says_so_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    reason = get("mos").available()
    assert "pip install 'audiotok[mos]'" in reason and "\n" not in reason
