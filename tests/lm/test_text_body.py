"""A tiny language model of text under codes: causal, cached, its weights kept."""

import pytest
import torch

from audiotok.errors import RecipeError
from audiotok.lm import PatternLMConfig
from audiotok.lm.text_body import TextBody, on_text

transformers = pytest.importorskip("transformers")

QWEN = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
    "intermediate_size": 32, "vocab_size": 50,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**QWEN)).save_pretrained(tmp_path)
    return str(tmp_path)


def lm(folder, pattern="delay"):
    torch.manual_seed(1)
    config = PatternLMConfig(codebook_sizes=(8, 8), pattern=pattern)
    return on_text(config, folder).eval()


def test_the_blocks_are_those_of_the_text_model(folder):
    model = lm(folder)
    reference = transformers.Qwen2ForCausalLM.from_pretrained(folder).model
    assert model.embeddings[0].weight.shape == (8, 16)
    parameters = dict(model.transformer.model.named_parameters())
    block_names = [
        name for name, _ in reference.named_parameters() if not name.startswith("embed_tokens")
    ]
    assert block_names and all(
        parameters[name].equal(reference.get_parameter(name)) for name in block_names
    )
    random = TextBody(folder, weights=False).model
    assert not random.get_parameter(block_names[0]).equal(reference.get_parameter(block_names[0]))


def test_what_comes_later_changes_nothing_before(folder):
    model = lm(folder)
    codes = torch.randint(0, 8, (1, 2, 12), generator=torch.Generator().manual_seed(0))
    other = codes.clone()
    other[:, :, 8:] = 7 - other[:, :, 8:]
    one, two = (model(c).nats[:, :, :7] for c in (codes, other))
    torch.testing.assert_close(one, two)


@pytest.mark.parametrize("pattern", ["delay", "interleaved"])
def test_generation_with_its_cache_is_what_the_likelihood_says(folder, pattern):
    from audiotok.lm import Sampling

    model = lm(folder, pattern)
    prompt = torch.randint(0, 8, (2, 2, 5), generator=torch.Generator().manual_seed(0))
    generated = model.generate(prompt, 6, Sampling(temperature=0))
    assert generated[:, :, :5].equal(prompt)
    assert model(generated).hits[:, :, 5:].all()  # each was the likeliest, seen without a cache


def test_no_model_there(tmp_path):
    with pytest.raises(RecipeError, match="is no language model of text"):
        TextBody(str(tmp_path))
