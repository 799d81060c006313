"""Recipes are strict, explain mistakes in one line, and those that ship are valid."""

import copy

import pytest
import torch
import yaml
from support.training_kit import ADVERSARIAL, TINY, write_recipe

from audiotok.errors import AudiotokError, RecipeError
from audiotok.nn.lm_spt import LMSPTConfig
from audiotok.system import assets
from audiotok.training import codebooks, families, load_recipe, train
from audiotok.training.optimisers import learning_rate
from audiotok.training.settings import OptimizerConfig

SHIPPED = [name for name in assets.names("recipes") if name != "asr-mini"]  # of codecs


@pytest.mark.parametrize("name", SHIPPED)
def test_recipes_that_ship_are_valid(name):
    path = assets.find("recipes", name, RecipeError)
    recipe = load_recipe(path)
    header = path.read_text().partition("\nname:")[0]
    assert header.startswith(f"# {name}: ")
    for word in ("# Data ", "# Hardware ", "# Expect "):
        assert word in header
    assert "results/" in header or "not run by us" in header or "your data" in header
    assert recipe.name.startswith(name) or name == "finetune"
    assert load_recipe(path, ["steps=999999"]).steps == 999999


def test_the_recipe_of_the_codec_that_ships():
    from audiotok.codecs.wavtokenizer import _MINI, WavTokenizer

    recipe = load_recipe(assets.find("recipes", "wavtokenizer-mini", RecipeError))
    assert recipe.model == _MINI
    assert recipe.name == WavTokenizer.DEFAULT
    assert len(set(recipe.data.clips)) == 251
    for name in ("rvq-convnext", "ablation", "lm-spt-mini"):
        path = assets.find("recipes", name, RecipeError)
        assert load_recipe(path).data.clips == recipe.data.clips


def test_lm_spt_as_published_and_as_mended():
    path = assets.find("recipes", "lm-spt-12.5", RecipeError)
    fixed, published = (
        load_recipe(path, [f"axes.slips={word}"]) for word in ("fixed", "published")
    )
    assert fixed.model == published.model == LMSPTConfig()
    taught = published.distillation
    assert (taught.weight, taught.frames, taught.floor) == (500, "padded", "batch")
    # over 30 s instead of the 6 s of a crop
    assert fixed.distillation.weight == pytest.approx(500 * fixed.data.crop_seconds / 30)
    rates = [learning_rate(published.discriminator_optimizer, step, 88000) for step in (0, 50_000)]
    assert rates == [1e-3, 1e-3]
    assert learning_rate(fixed.optimizer, 88000, 88000) == pytest.approx(5e-5)
    for rate in (6.25, 12.5, 25):
        recipe = load_recipe(path, [f"axes.rate={rate}", "axes.setting=paper"])
        with torch.device("meta"):
            network = families.build(recipe.family, recipe.model)
        assert 24000 / network.hop_length == rate and recipe.name == f"lm-spt-{rate:g}"
        assert recipe.distillation.teacher == "openai/whisper-small"


def test_lm_spt_mini_has_one_budget():
    path = assets.find("recipes", "lm-spt-mini", RecipeError)
    words = ("resynthesis", "features", "off")
    recipes = [load_recipe(path, [f"axes.distill={word}"]).model_dump() for word in words]
    for recipe in recipes:
        del recipe["name"], recipe["distillation"]
    assert recipes[0] == recipes[1] == recipes[2]


def test_the_stages_of_rvq_convnext_are_of_one_network():
    path = assets.find("recipes", "rvq-convnext", RecipeError)
    stages = ("autoencoder", "codebooks", "adversarial")
    recipes = [load_recipe(path, [f"axes.stage={stage}"]) for stage in stages]
    first, second, third = recipes
    assert first.model == second.model == third.model and first.data == second.data == third.data
    assert [recipe.quantizer.start_step for recipe in recipes] == [None, 0, 0]
    assert second.start_from == f"runs/{first.name}/model.safetensors" and second.quantizer.new
    assert third.start_from == f"runs/{second.name}/model.safetensors" and not third.quantizer.new
    assert third.ema and third.discriminators and not second.discriminators
    network = families.build(first.family, first.model)
    frames_per_second = first.model.sample_rate / network.hop_length
    assert frames_per_second * 10 * len(codebooks.sizes(network.quantizer)) == 6000
    numbers = sum(tensor.numel() for tensor in network.state_dict().values())
    assert 2 * numbers < 15e6  # bytes as float16


def test_the_ablation_has_one_bitrate_and_one_budget():
    path = assets.find("recipes", "ablation", RecipeError)
    seen = {}
    for quantizer in ("rvq", "svq", "fsq", "kmeans"):
        for rate in (16000, 24000, 44100):
            recipe = load_recipe(path, [f"axes.quantizer={quantizer}", f"axes.sample_rate={rate}"])
            network = families.build(recipe.family, recipe.model)
            bits = sum(size.bit_length() - 1 for size in codebooks.sizes(network.quantizer))
            assert bits * rate / network.hop_length == 1200
            seen[recipe.name] = recipe
    assert len(seen) == 12 and "ablation-svq-44k" in seen
    budgets = {(r.steps, r.seed, r.data.batch_size, r.data.crop_seconds) for r in seen.values()}
    assert len(budgets) == 1
    taught = load_recipe(path, ["axes.distill=on", "distillation.weight=3"])
    assert taught.distillation.weight == 3 and taught.name == "ablation-rvq-distilled"
    assert load_recipe(path, ["axes.domain=music"]).data.clips is None


MISTAKES = [
    ("stepps=3", "unknown key 'stepps'; did you mean 'steps'"),
    ("model.stride=[2]", "unknown key 'model.stride'; did you mean 'strides'"),
    ("data.mixing={probability: 1, snr: [0, 1]}", "'data.mixing.snr'; did you mean 'snr_db'"),
    ("losses.mell=1", "unknown key 'losses.mell'; did you mean 'mel'"),
    ("steps=many", "steps = 'many'"),
    ("steps=0", "steps = 0"),
    ("steps", "has no '='"),
    ("steps.more=1", "holds no keys"),
    ("family=wavtokeniser", "'wavtokeniser' has no trainer; did you mean 'wavtokenizer'"),
    ("quantizer.start_step=8", "not before the last of 8 steps"),
    ("quantizer.kmeans_latents=15", "below the codebook size 16"),
    ("quantizer.kmeans_latents=null", "these codebooks start by k-means"),
    ("quantizer.dropout=0.5", "needs a residual quantizer: this one is a VectorQuantizer"),
    ("data.crop_seconds=0.03", "shorter than the longest window"),
    ("data.validation_fraction=0.01", "leave 6 clips to train on and 0"),
    ("data.clips=[nine]", "1 of 1 clips of the recipe are not in corpus"),
    ("data.corpus=/nowhere/at/all", "neither a file"),
    ("data.gain_db=[3, -3]", "gain_db runs from 3.0 to -3.0: give the lower one first"),
    ("data={corpus: c, crop_seconds: 1, batch_size: 1, gain_db: [0, 1], peak_db: [0, 1]}", "both"),
    ("losses.mel_bands={}", "mel needs mel_bands"),
    ("losses={complex_stft: 1}", "complex_stft needs mel_bands"),
    ("losses.stft_power=0", "losses.stft_power = 0"),
    ("data.speed=[1.1, 0.9]", "speed runs from 1.1 to 0.9: give the lower one first"),
    ("data.additional=[{corpus: c, share: 0.6}, {corpus: d, share: 0.6}]", "add up to 1.2"),
    ("data.additional=[{corpus: /nowhere/at/all, share: 0.5}]", "neither a file"),
    ("data.room={probability: 0.5, second: [1, 2]}", "did you mean 'seconds'"),
    ("ema=1", "ema = 1"),
    ("losses={commitment: 1}", "no loss compares sound with sound"),
    ("optimizer.schedule=exponential", "schedule exponential and decay None do not fit"),
    ("discriminator_optimizer={learning_rate: 1}", "belong together: 0 discriminators"),
    ("discriminators=[{kind: multi_perod, frozen: true}]", "did you mean 'multi_period'"),
    ("discriminators=[{kind: multi_scale, frozen: true, settings: {chanels: 2}}]", "'channels'"),
    ("discriminators=[{kind: multi_scale, start_step: 9}]", "discriminators.0.start_step 9 is not"),
    ("start_from=nothing-like-this", "nothing-like-this"),
    ("trackers=[tensorbord]", "tensorbord"),
    ("name=a/b", "name = 'a/b'"),
    ("precision=fp16", "precision = 'fp16'"),
    ("axes.quantizer=fsq", "unknown axis 'quantizer'"),
]


@pytest.mark.parametrize(("override", "message"), MISTAKES)
def test_what_cannot_work_is_explained(override, message, recipe_file, tmp_path):
    with pytest.raises(AudiotokError) as caught:
        train(recipe_file, [override], tmp_path / "run")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_crop_shorter_than_a_frame_is_explained(recipe_file):
    changes = ["data.crop_seconds=0.01", "losses={waveform_l1: 1}"]
    with pytest.raises(RecipeError, match="80 samples, shorter than one frame of the model, 160"):
        load_recipe(recipe_file, changes)


def test_strides_that_do_not_fit_are_explained(recipe_file):
    with pytest.raises(RecipeError, match="model"):
        load_recipe(recipe_file, ["family=mini", "model={strides: [2], quantizer: {kind: rvqq}}"])


@pytest.mark.parametrize("content", ["a: [1", "- 1\n- 2\n", "\x00", "", "name: x\n"])
def test_files_that_are_no_recipe(content, tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text(content)
    with pytest.raises(RecipeError):
        load_recipe(path)


def test_a_codebook_needs_latents_to_start_from(recipe_file):
    few = ["quantizer.start_step=7", "data.batch_size=1", "data.crop_seconds=0.1"]
    with pytest.raises(RecipeError, match="see 5 latents, fewer than the codebook size 16"):
        load_recipe(recipe_file, few)


def test_a_recipe_written_out_reads_back_equal(corpus, tmp_path):
    recipe = load_recipe(write_recipe(tmp_path / "tiny.yaml", corpus, **ADVERSARIAL))
    (tmp_path / "again.yaml").write_text(recipe.to_yaml())
    assert load_recipe(tmp_path / "again.yaml") == recipe
    changed = load_recipe(tmp_path / "again.yaml", ["discriminators.1.start_step=5"])
    assert changed.discriminators[1].start_step == 5
    with pytest.raises(RecipeError, match="'2' is no position in a list of 2"):
        load_recipe(tmp_path / "again.yaml", ["discriminators.2.start_step=5"])


def test_axes_lay_their_choice_over_the_recipe(tmp_path):
    content = copy.deepcopy(TINY) | {"name": "tiny-{size}", "axes": {"size": "small"}}
    content["choices"] = {"size": {"small": None, "big": {"model": {"dimension": 32}, "steps": 99}}}
    path = tmp_path / "axes.yaml"
    path.write_text(yaml.safe_dump(content))
    assert (load_recipe(path).name, load_recipe(path).steps) == ("tiny-small", 8)
    big = load_recipe(path, ["steps=50", "axes.size=big"])  # overrides come last
    assert (big.name, big.model.dimension, big.steps) == ("tiny-big", 32, 50)
    assert big.model.codebook_size == 16
    with pytest.raises(RecipeError, match="axes.size = 'huge': expected one of big, small"):
        load_recipe(path, ["axes.size=huge"])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"warmup_steps": 4}, {0: 0.25, 1: 0.5, 50: 0.5, 100: 0.0}),
        ({"final": 0.5}, {0: 1.0, 50: 0.75, 100: 0.5}),
        ({"schedule": "exponential", "decay": 0.9}, {0: 1.0, 2: 0.81}),
        ({"schedule": "constant"}, {0: 1.0, 99: 1.0}),
    ],
)
def test_learning_rates(settings, expected):
    config = OptimizerConfig(learning_rate=1.0, **settings)
    for step, rate in expected.items():
        assert learning_rate(config, step, 100) == pytest.approx(rate, abs=3e-3)
