"""CTC recognisers on tiny wav2vec 2.0 networks whose output is set by hand."""

from __future__ import annotations

import json
import pickle

import pytest
import torch

from audiotok.errors import MetricError
from audiotok.judges.asr.bundles import Bundle
from audiotok.judges.asr.ctc import Ctc
from audiotok.sound.audio import Audio

SOUND = Audio(0.1 * torch.randn(1, 24_000, generator=torch.Generator().manual_seed(0)), 24_000)
LAYERS = [(16, 10, 5), (16, 3, 2), (16, 2, 2)]
SYMBOLS = ["<pad>", "|", "a", "b"]


def collapsed(frames: list[int]) -> str:
    """CTC's rule, written plainly: repetitions are one, then blanks (0) vanish."""
    kept = [f for i, f in enumerate(frames) if i == 0 or f != frames[i - 1]]
    return " ".join("".join(SYMBOLS[f] for f in kept if f).replace("|", " ").split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    transformers = pytest.importorskip("transformers")
    path = tmp_path_factory.mktemp("ctc")
    vocabulary = {symbol: i for i, symbol in enumerate([*SYMBOLS, "<unk>"])}
    (path / "vocab.json").write_text(json.dumps(vocabulary))
    transformers.Wav2Vec2CTCTokenizer(
        str(path / "vocab.json"), bos_token=None, eos_token=None
    ).save_pretrained(path)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(path)
    config = transformers.Wav2Vec2Config(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, conv_dim=[16, 16, 16], conv_kernel=[10, 3, 2], conv_stride=[5, 2, 2],
        num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2, pad_token_id=0,
        feat_extract_norm="layer",
    )  # fmt: skip
    torch.manual_seed(0)
    network = transformers.Wav2Vec2ForCTC(config)
    network.lm_head.weight.data *= 50
    network.lm_head.bias.data[-1] = -100  # never <unk>
    network.save_pretrained(path)
    return path


def test_transformers(folder):
    recogniser = Ctc(folder)
    text = recogniser.transcribe(SOUND)
    features, _, network = recogniser.network
    waveform = SOUND.resample(16_000).waveform[0].numpy()
    inputs = features(waveform, sampling_rate=16_000, return_tensors="pt")
    with torch.inference_mode():
        frames = network(**inputs).logits[0].argmax(-1).tolist()
    assert len(set(frames)) == len(SYMBOLS) and text == collapsed(frames) != ""
    copy = pickle.loads(pickle.dumps(recogniser))
    assert "network" not in vars(copy) and copy.transcribe(SOUND) == text
    assert isinstance(copy.transcribe(Audio(torch.zeros(1, 1), 16_000)), str)


def test_weights_that_are_not_here_are_said_in_one_line(monkeypatch, tmp_path):
    pytest.importorskip("transformers")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    recogniser = Ctc("facebook/none")
    assert "hf download facebook/none" in str(recogniser.missing())
    with pytest.raises(MetricError, match="not on this machine"):
        recogniser.transcribe(SOUND)
    with pytest.raises(MetricError, match="CTC model cannot be loaded"):
        Ctc(tmp_path).transcribe(SOUND)


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """A bundle of torchaudio's own class, its weights in a folder of torch.hub."""
    from torchaudio import models, pipelines

    params = dict(
        extractor_mode="group_norm", extractor_conv_layer_config=LAYERS, extractor_conv_bias=False,
        encoder_embed_dim=16, encoder_projection_dropout=0.0, encoder_pos_conv_kernel=8,
        encoder_pos_conv_groups=2, encoder_num_layers=1, encoder_num_heads=2,
        encoder_attention_dropout=0.0, encoder_ff_interm_features=16,
        encoder_ff_interm_dropout=0.0, encoder_dropout=0.0, encoder_layer_norm_first=False,
        encoder_layer_drop=0.0, aux_num_out=4,
    )  # fmt: skip
    bundle = pipelines.Wav2Vec2ASRBundle(
        "models/tiny.pth", params, _sample_rate=16_000, _normalize_waveform=False,
        _model_type="Wav2Vec2", _labels=("|", "a", "b"), _remove_aux_axis=(),
    )  # fmt: skip
    monkeypatch.setattr(pipelines, "TINY", bundle, raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    torch.manual_seed(0)
    network = models.wav2vec2_model(**params)
    network.aux.weight.data *= 50
    return tmp_path / "checkpoints" / "tiny.pth", network.eval()


def test_torchaudio(tiny):
    path, network = tiny
    recogniser = Bundle("TINY")
    assert f"curl -L --create-dirs -o {path} https://" in str(recogniser.missing())
    with pytest.raises(MetricError, match="weights of TINY are not on this machine"):
        recogniser.transcribe(SOUND)
    path.parent.mkdir()
    torch.save(network.state_dict(), path)
    assert recogniser.missing() is None and len(recogniser.identity["weights"]) == 64
    text = recogniser.transcribe(SOUND)
    with torch.inference_mode():
        frames = network(SOUND.resample(16_000).waveform)[0][0].argmax(-1).tolist()
    assert len(set(frames)) == 4 and text == collapsed(frames) != ""
    copy = pickle.loads(pickle.dumps(recogniser))
    assert "network" not in vars(copy) and copy.transcribe(SOUND) == text


def test_damaged_weights_are_said_in_one_line(tiny):
    path, _ = tiny
    path.parent.mkdir()
    torch.save({"aux.weight": torch.zeros(4, 4), "aux.bias": torch.zeros(4)}, path)
    with pytest.raises(MetricError, match="TINY cannot be loaded from .*tiny.pth: Error"):
        Bundle("TINY").transcribe(SOUND)
