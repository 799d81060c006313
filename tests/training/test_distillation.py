"""A teacher of transformers, random and tiny: the first codebook comes closer to it."""

import pytest
import torch
import torchaudio
from support.training_kit import write_recipe

from audiotok.errors import RecipeError
from audiotok.nn.lm_spt import LMSPTConfig, LMSPTNetwork
from audiotok.nn.log_mel import LogMel, fit
from audiotok.nn.outputs import Output
from audiotok.training import train
from audiotok.training.distillation import make
from audiotok.training.settings import DistillationConfig
from audiotok.training.teacher import Teacher

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
        layer: Teacher(DistillationConfig(teacher=hubert, layer=layer, weight=1), waveform.device)
        for layer in (0, 1, 2, "average", "last")
    }
    features = {layer: teacher(waveform, 8000).features for layer, teacher in found.items()}
    assert features[2].shape[:2] == (2, 16)
    assert abs(features[2].shape[2] - 100) <= 2  # a second at 100 Hz
    mean = (features[0] + features[1] + features[2]) / 3
    torch.testing.assert_close(features["average"], mean)
    torch.testing.assert_close(features["last"], features[2])


def test_a_teacher_hears_what_its_own_extractor_makes(hubert, whisper):
    """Within the rounding of float32, and gradients pass."""
    sound = 0.1 * torch.randn(2, 16_000, generator=torch.Generator().manual_seed(0))
    for name in (hubert, whisper):
        teacher = Teacher(DistillationConfig(teacher=name, layer="last", weight=1), sound.device)
        teacher.extractor.do_normalize = True  # HuBERT's large ones do so
        theirs = teacher.extractor(list(sound.numpy()), sampling_rate=16000, return_tensors="pt")
        theirs.pop("attention_mask", None)
        expected = teacher.encoder(**theirs).last_hidden_state.transpose(1, 2)
        waveform = sound[:, None].clone().requires_grad_()
        heard = teacher(waveform, 16000)
        torch.testing.assert_close(heard.features, expected, rtol=1e-3, atol=1e-3)
        heard.features.sum().backward()
        assert waveform.grad.abs().max() > 0
        assert teacher.differentiable


@pytest.fixture(scope="module")
def whisper(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whisper")
    torch.manual_seed(0)
    config = transformers.WhisperConfig(
        vocab_size=99, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=3,
        d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16,
    )  # fmt: skip
    transformers.WhisperModel(config).save_pretrained(folder)
    transformers.WhisperFeatureExtractor().save_pretrained(folder)
    return str(folder)


def test_whisper_is_a_teacher_and_tells_its_padding(whisper):
    settings = DistillationConfig(teacher=whisper, layer="last", weight=1)
    heard = Teacher(settings, torch.device("cpu"))(torch.randn(1, 1, 8000), 8000)
    assert heard.features.shape == (1, 16, 1500)  # 30 s
    assert heard.frames == 50  # 1 s


def resynthesis(teacher, **changes):
    settings = {"teacher": teacher, "objective": "resynthesis", "layer": "last", "weight": 2.0}
    config = LMSPTConfig()
    with torch.device("meta"):
        network = LMSPTNetwork(config)
    settings = DistillationConfig.model_validate(settings | changes)
    return make(settings, network, config, torch.device("cpu"))


@pytest.mark.parametrize("frames", ["valid", "padded"])
@pytest.mark.parametrize("floor", ["clip", "batch"])
def test_resynthesis_is_the_squared_error_of_what_whisper_hears(whisper, frames, floor):
    """Written out: arXiv 2506.16738, and the settings of the published code."""
    generator = torch.Generator().manual_seed(0)
    original = 0.1 * torch.randn(2, 1, 48_000, generator=generator)  # 2 s at 24 kHz
    original[1] *= 0.01
    again = (0.1 * torch.randn(2, 1, 32_000, generator=generator)).requires_grad_()
    loss = resynthesis(whisper, frames=frames, floor=floor)
    output = Output(original, torch.zeros(0), None, {}, None, again)
    found = loss(original, output, None)

    encoder = transformers.WhisperModel.from_pretrained(whisper).encoder.eval()
    at_16k = torchaudio.functional.resample(original[:, 0], 24000, 16000)
    mel, pairs = LogMel(), ((at_16k, "clip"), (again[:, 0], floor))
    heard = [encoder(mel(fit(x, 480_000), its)).last_hidden_state for x, its in pairs]
    count = 100 if frames == "valid" else 1500
    expected = (heard[0] - heard[1])[:, :count].square().mean()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    found.backward()
    assert again.grad.abs().amax((1, 2)).min() > 0
    assert loss.weight == 2 and not list(loss.parameters())


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


def test_resynthesis_needs_an_auxiliary_decoder(hubert, corpus, tmp_path):
    taught = {"teacher": hubert, "objective": "resynthesis", "weight": 1.0}
    recipe = write_recipe(tmp_path / "tiny.yaml", corpus, distillation=taught)
    with pytest.raises(RecipeError, match="needs a network with an auxiliary decoder"):
        train(recipe, (), tmp_path / "run")


def test_a_teacher_that_is_not_there_is_one_line(corpus, tmp_path, hubert):
    for changes, message in (
        ({"teacher": str(tmp_path / "none")}, "which is not on this machine"),
        ({"teacher": hubert, "layer": 3}, "whose hidden states are 0 to 2"),
        (
            {"teacher": hubert, "floor": "batch"},
            "belong to the objective resynthesis, not to",
        ),
    ):
        recipe = write_recipe(tmp_path / "t.yaml", corpus, distillation={"weight": 1.0} | changes)
        with pytest.raises(RecipeError, match=message) as caught:
            train(recipe, (), tmp_path / "run")
        assert "\n" not in str(caught.value)
