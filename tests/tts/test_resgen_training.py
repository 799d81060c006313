"""Training of ResGen: batches, a run that is stopped, its file, recipes."""

import json

import pytest
import torch
from support.resgen import codebooks_of

from audiotok.codec import checkpoints
from audiotok.errors import CheckpointError, CorpusError
from audiotok.system import assets
from audiotok.training.folder import Folder
from audiotok.training.launch import launch
from audiotok.tts.resgen import recipe as recipes
from audiotok.tts.resgen import trained
from audiotok.tts.resgen.batches import Batches, Utterance
from audiotok.tts.resgen.model import ResGen, ResGenConfig
from audiotok.tts.resgen.training import Clips, Run, new_model

ABOUT = trained.About("random", "0" * 64, 10.0, ("a", "b", "c", "SIL"))


def utterance(number, speaker):
    """Codes say which phone they are of: something to learn."""
    generator = torch.Generator().manual_seed(number)
    phones = torch.randint(0, 4, (5,), generator=generator)
    durations = torch.randint(1, 4, (5,), generator=generator)
    spoken = phones.repeat_interleave(durations)
    codes = torch.stack([(spoken * 2 + layer) % 8 for layer in range(3)])
    return Utterance(codes, tuple(phones.tolist()), tuple(durations.tolist()), speaker)


@pytest.fixture
def clips():
    made = [utterance(number, "xyz"[number % 3]) for number in range(12)]
    return Clips(made, made[:6], ABOUT, codebooks_of(3), torch.linspace(1.2, 0.5, 3))


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text("""
name: small
clips: a
validation: b
depth: 3
network: {dimension: 16, heads: 2, layers: 2, text_layers: 1, components: 4, rank: 2}
batch: 4
accumulate: 2
steps: 6
validate_every: 3
validation_batches: 2
optimizer: {learning_rate: 0.01}
""")
    return path


def run(recipe, clips, out, report=None, resume=False):
    folder = Folder(out, recipes.load)
    make = lambda recipe, folder, group, note: Run(recipe, folder, group, clips)  # noqa: E731
    launch(make, recipe, folder, report=report, note=None, fresh=False, resume=resume, cpu=True)
    return folder.best


@pytest.mark.parametrize("predictor", ["latents", "tokens"])
def test_a_run_that_is_stopped_gives_the_same_weights(small, clips, tmp_path, predictor):
    recipe = recipes.load(small, [f"network.predictor={predictor}"])
    whole = run(recipe, clips, tmp_path / "whole")
    stopped = KeyboardInterrupt()

    def stop(step, steps, numbers):
        if step == 5:
            raise stopped

    with pytest.raises(KeyboardInterrupt):
        run(recipe, clips, tmp_path / "parts", stop)
    parts = run(recipe, clips, tmp_path / "parts", resume=True)
    assert whole.read_bytes() == parts.read_bytes()
    lines = [json.loads(line) for line in (tmp_path / "parts/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [3, 6]
    assert lines[0].keys() >= {"loss", "regression", "classification", "duration", "validation"}


def test_a_model_learns_and_comes_back_from_its_file(small, clips, tmp_path):
    recipe = recipes.load(small, ["steps=80", "validate_every=20", "drop=0.2", "accumulate=1"])
    path = run(recipe, clips, tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    values = [line["validation"] for line in lines]
    assert values[-1] < values[0] - 0.3
    model, about = trained.load(path)
    assert about == ABOUT and not model.training
    assert torch.equal(model.codebooks, clips.codebooks)  # exact: the search depends on them
    assert torch.equal(model.deviations, clips.deviations)
    assert path.stat().st_size < 2.3 * sum(p.numel() for p in model.parameters()) + 9000


def test_batches_have_prompts_of_the_same_voice_and_depend_on_their_number_alone(clips):
    settings = {"size": 4, "prompt_frames": (2, 3), "prompt_phone": 4, "drop": 0.5, "seed": 1}
    batches = Batches(clips.training, **settings)
    dropped = 0
    for number in range(20):
        codes, condition = batches[number]
        again = Batches(clips.training, **settings)[number]
        assert torch.equal(codes, again[0])
        dropped += int(condition.dropped.sum())
        for row in range(4):
            prompt, length = int(condition.prompt_frames[row]), int(condition.lengths[row])
            assert prompt in (2, 3) and condition.phones[row, 0] == 4
            own = codes[row, :, prompt:length]
            (match,) = (n for n, u in enumerate(clips.training) if torch.equal(u.codes, own))
            voice = clips.training[match].speaker
            assert any(
                torch.equal(u.codes[:, :prompt], codes[row, :, :prompt])
                for n, u in enumerate(clips.training)
                if u.speaker == voice and n != match
            )
    assert 20 < dropped < 60
    alone = [utterance(1, "x"), utterance(2, "y")]
    codes, condition = Batches(alone, **settings | {"size": 2})[0]
    assert condition.prompt_frames.tolist() == [0, 0] and (condition.phones < 4).all()
    with pytest.raises(CorpusError, match="2 clips are no batch of 4"):
        Batches(alone, **settings)


@pytest.mark.parametrize("said", ["", "{", "[]", "null", '{"config": {}}', "[" * 100_000])
def test_what_a_damaged_model_says_is_one_line(tmp_path, said):
    path = tmp_path / "model.safetensors"
    checkpoints.save(path, {"a": torch.ones(1)}, {trained.METADATA_KEY: said})
    with pytest.raises(CheckpointError, match="is damaged: its metadata") as caught:
        trained.load(path)
    assert "\n" not in str(caught.value)
    checkpoints.save(path, {"a": torch.ones(1)}, {})
    with pytest.raises(CheckpointError, match="is no model of ResGen"):
        trained.load(path)


def test_a_file_that_declares_a_huge_network_costs_no_memory(tmp_path, clips, small):
    model = new_model(recipes.load(small), clips)
    path = tmp_path / "model.safetensors"
    trained.save(path, model, ABOUT)
    state, metadata = checkpoints.read_state(path)
    content = json.loads(metadata[trained.METADATA_KEY])
    content["config"] |= {"dimension": 8192, "layers": 256}
    checkpoints.save(path, state, {trained.METADATA_KEY: json.dumps(content)})
    with pytest.raises(CheckpointError, match="declares a network much larger than its weights"):
        trained.load(path)


@pytest.mark.parametrize(
    ("name", "least", "most"), [("resgen-mini", 8e6, 9e6), ("resgen-paper", 4.5e8, 8e8)]
)
def test_recipes_that_ship(name, least, most):
    recipe = recipes.load(assets.find(recipes.KIND, name, CheckpointError))
    assert recipe.name == name
    latents = {"resgen-mini": 64, "resgen-paper": 512}[name]
    with torch.device("meta"):
        model = ResGen(
            ResGenConfig(
                depth=recipe.depth,
                codebook_size=16,
                latents=latents,
                phones=40,
                **recipe.network.model_dump(),
            )  # fmt: skip
        )
    assert least < sum(p.numel() for p in model.parameters()) < most
