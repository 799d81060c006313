"""ResGen as a speech model: what it takes of a codec, its loss on examples, its answers."""

import json

import numpy as np
import pytest
import soundfile
import torch
from support.resgen import codebooks_of, codes_of, nested_codebooks
from typer.testing import CliRunner

from audiotok.cli import app
from audiotok.codec import registry
from audiotok.errors import CodecError, RecipeError, SpeechError
from audiotok.system import assets
from audiotok.tts import recipe as recipes
from audiotok.tts import trained, training
from audiotok.tts.base import Codes, Example, Generation, Prompt, Request
from audiotok.tts.corpus import Utterance
from audiotok.tts.resgen.model import ResGen, ResGenConfig

SMALL = {"dimension": 16, "heads": 2, "layers": 2, "text_layers": 1, "components": 4, "rank": 2}


def utterance(number, phones=5):
    """Codes say which phone they are of: something to learn."""
    generator = torch.Generator().manual_seed(number)
    ids = torch.randint(2, 6, (phones,), generator=generator)
    lasts = 2 + ids % 3
    spoken = ids.repeat_interleave(lasts)
    codes = torch.stack([(spoken * 2 + layer) % 8 for layer in range(3)])
    starts = tuple(((lasts.cumsum(0) - lasts) / 10).tolist())
    return Utterance(str(number), "x", codes, ids, starts, 10.0)


def example(number):
    other = utterance(number + 100, 3)
    return Example(utterance(number), Prompt(other.codes, other.phones, other.durations()))


def model_of(**settings):
    torch.manual_seed(0)
    model = ResGenConfig(latents=3, **SMALL | settings).build(codes_of(3))
    model.network.set_codec(codebooks_of(3), torch.linspace(1.2, 0.5, 3))
    return model


def test_a_model_learns_what_is_said_and_how_long_it_takes():
    """Phones decide codes and durations: after some steps both come out."""
    model, generator = model_of(drop=0.0, components=2), torch.Generator().manual_seed(0)
    model.network.set_codec(nested_codebooks(3), torch.tensor([1.1, 0.6, 0.3]))
    optimizer, examples = (
        torch.optim.Adam(model.parameters(), 0.01),
        [example(n) for n in range(24)],
    )
    for step in range(90):
        found = model.loss(examples[step % 3 :: 3], generator)
        optimizer.zero_grad()
        found["loss"].backward()
        optimizer.step()
    model.eval()
    asked = example(50)
    request = Request(asked.target.phones, asked.prompt, seed=1)
    options = Generation(steps=4, temperature=0.0, tau=0.0)
    (made,) = model.generate([request], options)
    assert torch.equal(made.durations, asked.target.durations()) and made.steps == 4
    assert (made.codes == asked.target.codes).float().mean() > 0.9


def test_requests_of_a_batch_do_not_depend_on_each_other():
    model = model_of().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    voices = [example(n).prompt for n in range(3)]
    requests = [
        Request(torch.tensor([2, 5, 9]), voices[0], torch.tensor([3, 1, 2]), seed=5),
        Request(torch.tensor([7, 8]), Prompt(voices[1].codes), seed=6),
        Request(torch.tensor([4] * 6), voices[2], seed=7),
    ]
    options = Generation(steps=3, guidance=0.5)
    together = model.generate(requests, options)
    for request, made in zip(requests, together, strict=True):
        (alone,) = model.generate([request], options)
        assert torch.equal(alone.codes, made.codes)
        assert torch.equal(alone.durations, made.durations)
        assert made.codes.shape == (3, int(made.durations.sum())) and made.steps == 3
        assert int(made.codes.min()) >= 0 and int(made.durations.min()) >= 1
    assert together[0].durations.tolist() == [3, 1, 2]
    assert torch.equal(next(model.stream(requests[0], options)), together[0].codes)
    with pytest.raises(SpeechError, match="do not fit"):
        model.generate([Request(torch.tensor([2, 5]), voices[0], torch.tensor([1]))])


def test_prompts_without_text_and_clips_without_condition_are_drawn():
    conditions = []
    model = model_of(drop=0.3, prompt_text=0.5)
    model.network.text.register_forward_pre_hook(
        lambda _, inputs: conditions.append(inputs[1].tolist())
    )
    dropped = []
    model.network.register_forward_pre_hook(lambda _, inputs: dropped.append(inputs[3].dropped))
    generator = torch.Generator().manual_seed(0)
    model.loss([example(n) for n in range(60)], generator)
    # 5 phones behind one for the whole prompt, or behind its three
    assert set(conditions[0]) == {6, 8} and 15 < conditions[0].count(6) < 45
    assert 8 < int(dropped[0].sum()) < 30


def test_fit_takes_the_codec_s_own_codewords(tmp_path):
    codec = registry.load("rvq-small")
    count, path = codec.num_codebooks, tmp_path / "deviations.json"
    kept = {"fingerprint": codec.fingerprint, "deviations": [1.0 / (n + 1) for n in range(count)]}
    path.write_text(json.dumps([kept]))
    card, books = codec.card, codec._codebooks()
    spoken = Codes(card.name, codec.fingerprint, card.codebook_sizes, card.strides, 50.0)
    config = ResGenConfig(latents=books[0].shape[1], deviations=str(path), **SMALL)
    model = config.build(spoken)
    assert isinstance(model, ResGen)
    model.fit()
    assert all(map(torch.equal, model.network.codebooks, books))
    assert model.network.deviations.tolist() == pytest.approx(kept["deviations"])
    wrong = ResGenConfig(latents=3, deviations=str(path), **SMALL).build(spoken)
    with pytest.raises(CodecError, match="expected latents: 3 of the recipe"):
        wrong.fit()
    path.write_text("[]")
    with pytest.raises(CodecError, match="no deviations of 12 codebooks of rvq-small"):
        config.build(spoken).fit()


def test_a_file_keeps_codewords_exactly(tmp_path):
    model, path = model_of().eval(), tmp_path / "model.safetensors"
    path.write_bytes(trained.content("resgen", model, {}))
    again = trained.load(path)
    assert torch.equal(again.network.codebooks, model.network.codebooks)
    assert torch.equal(again.network.deviations, model.network.deviations)
    request = Request(torch.tensor([2, 5, 9]), example(0).prompt)
    options = Generation(steps=2)
    made, other = model.generate([request], options)[0], again.generate([request], options)[0]
    assert torch.equal(made.durations, other.durations)
    assert (made.codes == other.codes).float().mean() > 0.5  # weights are in half precision


def test_a_model_has_its_own_number_of_steps():
    model = model_of(default_steps=3).eval()
    request = Request(torch.tensor([2, 5, 9]), example(0).prompt)
    for options in (None, Generation()):
        assert model.generate([request], options)[0].steps == 3
    assert model.generate([request], Generation(steps=2))[0].steps == 2


@pytest.fixture(scope="module")
def trained_run(tmp_path_factory):
    """A recipe on a corpus of noise, whose phones are given."""
    folder = tmp_path_factory.mktemp("tts")
    generator = np.random.default_rng(0)
    lines, rows = ["audio\ttext\tspeaker"], []
    for number in range(10):
        name, speaker = f"{number}.wav", "ab"[number % 2]
        wave = 0.1 * generator.standard_normal(6000 + 800 * number)
        soundfile.write(folder / name, wave, 16000)
        lines.append(f"{name}\tgo\t{speaker}")
        rows.append({"id": str(number), "phones": "SIL G OW SIL", "starts": [0, 0.05, 0.1, 0.2]})
    (folder / "manifest.tsv").write_text("\n".join(lines) + "\n")
    (folder / "tokens").mkdir()
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "tokens" / "phones.jsonl").write_text(text)
    codec = registry.load("rvq-small")
    kept = {"fingerprint": codec.fingerprint, "deviations": [0.5] * codec.num_codebooks}
    (folder / "deviations.json").write_text(json.dumps([kept]))
    (folder / "small.yaml").write_text(f"""
name: small
corpus: {folder}/manifest.tsv
tokens: {folder}/tokens
codecs: [rvq-small]
model: {{kind: resgen, latents: {codec._codebooks()[0].shape[1]}, dimension: 16, heads: 2,
  layers: 1, text_layers: 1, components: 3, rank: 2, deviations: {folder}/deviations.json}}
prompt_seconds: [0.1, 0.2]
validation_every: 2
batch: 3
steps: 4
validate_every: 2
optimizer: {{learning_rate: 0.01}}
""")
    return folder


def test_train_tts_trains_it_and_goes_on_and_say_speaks(trained_run, tmp_path):
    whole = training.train(trained_run / "small.yaml", out=tmp_path / "whole", cpu=True)
    stopped = KeyboardInterrupt()

    def stop(step, steps, numbers):
        if step == 3:
            raise stopped

    with pytest.raises(KeyboardInterrupt):
        training.train(trained_run / "small.yaml", out=tmp_path / "run", report=stop, cpu=True)
    path = training.train(trained_run / "small.yaml", out=tmp_path / "run", resume=True, cpu=True)
    assert path.read_bytes() == whole.read_bytes()
    books = registry.load("rvq-small")._codebooks()
    assert all(map(torch.equal, trained.load(path).network.codebooks, books))
    prompt, out = tmp_path / "voice.wav", tmp_path / "out.wav"
    wave = 0.1 * np.random.default_rng(1).standard_normal(20000)
    soundfile.write(prompt, wave, 16000)
    words = ["say", "go on", "--prompt", str(prompt), "-o", str(out), "--model", str(path)]
    run = CliRunner().invoke(app, [*words, "--steps", "5", "--guidance", "1"])
    assert run.exit_code == 0, run.output
    assert "5 steps" in run.output and soundfile.info(out).frames > 1000


@pytest.mark.parametrize(
    ("name", "least", "most"), [("resgen-mini", 8e6, 9.3e6), ("resgen-paper", 4.5e8, 8e8)]
)
def test_recipes_that_ship(name, least, most):
    recipe = recipes.load(assets.find(recipes.KIND, name, RecipeError))
    assert recipe.name == name and recipe.model.kind == "resgen"
    card = registry.find_card(recipe.codecs[0])
    with torch.device("meta"):
        model = recipe.model.build(codes_of(card.num_codebooks, card.codebook_sizes[0]))
    assert least < sum(p.numel() for p in model.parameters()) < most
    half = 2 * sum(p.numel() for p in model.parameters())
    exact = 4 * sum(b.numel() for b in model.buffers())
    assert name != "resgen-mini" or half + exact < 20e6  # what may ship


def test_heads_that_do_not_fit_are_explained(trained_run):
    with pytest.raises(RecipeError, match="dimension 16 does not divide into 3 heads of pairs"):
        recipes.load(trained_run / "small.yaml", ["model.heads=3"])
