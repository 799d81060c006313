"""A teacher of transformers, random and tiny: the first codebook comes closer to it."""

import pytest
import torch
from training_kit import write_recipe

from audiotok.errors import RecipeError
from audiotok.training import train
from audiotok.training.distillation import Teacher
from audiotok.training.settings import DistillationConfig

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def hubert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hubert")
    torch.manual_seed(0)
    config = transformers.HubertConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8, 8),
        conv_stride=(10, 16),
        conv_kernel=(20, 16),
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
    )
    transformers.HubertModel(config).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return str(folder)


def test_a_teacher_gives_a_layer_or_their_average(hubert):
    waveform = torch.randn(2, 1, 8000)
    found = {
        layer: Teacher(
            DistillationConfig(teacher=hubert, layer=layer, weight=1), 8000, waveform.device
        )
        for layer in (0, 1, 2, "average")
    }
    features = {layer: teacher(waveform) for layer, teacher in found.items()}
    assert features[2].shape[:2] == (2, 16)
    assert abs(features[2].shape[2] - 100) <= 2  # a second at 100 Hz
    mean = (features[0] + features[1] + features[2]) / 3
    torch.testing.assert_close(features["average"], mean)


def test_whisper_is_a_teacher_without_its_padding(tmp_path):
    config = transformers.WhisperConfig(
        vocab_size=99, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=3,
        d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16,
    )  # fmt: skip
    transformers.WhisperModel(config).save_pretrained(tmp_path)
    transformers.WhisperFeatureExtractor().save_pretrained(tmp_path)
    settings = DistillationConfig(teacher=str(tmp_path), layer=1, weight=1)
    features = Teacher(settings, 8000, torch.device("cpu"))(torch.randn(1, 1, 8000))
    assert features.shape == (1, 16, 50)  # of 1500 for 30 s


@pytest.mark.parametrize("objective", ["frame", "channel"])
def test_the_codec_learns_from_the_teacher(hubert, corpus, tmp_path, objective):
    taught = {"teacher": hubert, "objective": objective, "weight": 10.0}
    recipe = write_recipe(tmp_path / "tiny.yaml", corpus, distillation=taught)
    seen = []
    overrides = ["steps=30", "validate_every=30", "optimizer.learning_rate=0.003"]
    train(recipe, overrides, tmp_path / "run", lambda *a: seen.append(a[-1]["distillation"]))
    assert sum(seen[-5:]) < 0.95 * sum(seen[:5])
    state = torch.load(tmp_path / "run/state.pt", weights_only=True)
    assert state["distillation"]["projection.weight"].shape == (16, 8, 1)


def test_a_teacher_that_is_not_there_is_one_line(corpus, tmp_path, hubert):
    for changes, message in (
        ({"teacher": str(tmp_path / "none")}, "cannot be loaded"),
        ({"teacher": hubert, "layer": 3}, "whose hidden states are 0 to 2"),
    ):
        recipe = write_recipe(tmp_path / "t.yaml", corpus, distillation={"weight": 1.0} | changes)
        with pytest.raises(RecipeError, match=message) as caught:
            train(recipe, (), tmp_path / "run")
        assert "\n" not in str(caught.value)
