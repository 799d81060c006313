"""Recipes of language models: contexts, a run, its going on, and what it says of itself."""

import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from audiotok import corpora
from audiotok.cli import app
from audiotok.codec import checkpoints, registry
from audiotok.errors import CheckpointError, CodecError, CorpusError, RecipeError
from audiotok.speech_lm import recipe, trained, training
from audiotok.speech_lm.contexts import Contexts
from audiotok.system import assets


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    """Shards of nine short clips."""
    folder = tmp_path_factory.mktemp("lm")
    (folder / "sound").mkdir()
    generator = np.random.default_rng(0)
    for number in range(9):
        wave = 0.1 * generator.standard_normal(400 + 100 * number)
        soundfile.write(folder / "sound" / f"{number}.wav", wave, 8000)
    corpora.encode(folder / "sound", "mulaw", folder / "tokens", shard_clips=4, workers=0)
    return str(folder / "tokens")


@pytest.fixture
def small(tokens, tmp_path):
    """A recipe that learns in a moment."""
    path = tmp_path / "small.yaml"
    path.write_text(f"""
name: small
tokens: {tokens}
validation: {tokens}
dimension: 16
heads: 2
layers: 1
context: 50
batch: 2
accumulate: 2
steps: 6
validate_every: 3
validation_contexts: 4
optimizer: {{learning_rate: 0.01}}
""")
    return path


def test_contexts_are_all_clips_one_after_another(tokens):
    result = iter(Contexts(tokens, 100, None, 0))
    clips = [t.codes[0] for _, t in corpora.read(tokens)]
    total = sum(c.shape[1] for c in clips)
    stream = torch.cat([next(result) for _ in range(total // 100)], 1)[0]
    values, counts = torch.cat(clips, 1)[0].unique(return_counts=True)
    seen, times = stream.unique(return_counts=True)
    assert stream.shape == (total // 100 * 100,) and total % 100 == 0
    assert seen.equal(values) and times.equal(counts)  # a whole pass


def test_processes_take_turns_and_a_run_goes_on_where_it_was(tokens):
    contexts = Contexts(tokens, 60, None, 3)

    def take(rank, count, skip, number):
        result = contexts.of_process(rank, count, skip)
        return [next(result) for _ in range(number)]

    alone = take(0, 1, 0, 12)
    both = [take(rank, 2, 0, 6) for rank in (0, 1)]
    assert all(map(torch.equal, alone[::2], both[0])) and all(
        map(torch.equal, alone[1::2], both[1])
    )
    assert all(map(torch.equal, take(1, 2, 4, 2), both[1][4:]))
    with pytest.raises(CorpusError, match="tokens of 1 codebooks, not 3"):
        Contexts(tokens, 60, 3, 0)


def test_a_run_that_is_stopped_gives_the_same_weights(small, tmp_path):
    whole = training.train(small, out=tmp_path / "whole", cpu=True)
    stopped = KeyboardInterrupt()

    def stop(step, steps, numbers):
        if step == 5:
            raise stopped

    with pytest.raises(KeyboardInterrupt):
        training.train(small, out=tmp_path / "parts", report=stop, cpu=True)
    parts = training.train(small, out=tmp_path / "parts", resume=True, cpu=True)
    assert whole.read_bytes() == parts.read_bytes()
    lines = [json.loads(line) for line in (tmp_path / "parts/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [3, 6]
    assert all(30_000 < line["bits_per_second"] < 200_000 for line in lines)  # 64,000 hold it
    message, _ = trained.read_metadata(whole)
    assert message.name == "small" and message.context == 50


def test_a_trained_model_comes_back_and_judges_pairs(small, tmp_path):
    path = training.train(small, ["steps=40", "optimizer.learning_rate=0.03"], tmp_path / "run",
                          cpu=True)  # fmt: skip
    message, tokens = trained.read_metadata(path)
    assert message.name == "small" and tokens.codec == "mulaw" and tokens.codebook_sizes == (256,)
    model, codes = trained.load(path), torch.randint(0, 256, (1, 1, 30))
    state, metadata = checkpoints.read_state(path)
    key = min(state)
    checkpoints.save(tmp_path / "odd", state | {key: state[key].to(torch.int64)}, metadata)
    with pytest.raises(CheckpointError, match=f"1 mistyped: {key} int64 instead of float32"):
        trained.load(tmp_path / "odd")
    again = trained.load(path)
    assert not model.training and model(codes).nats.equal(again(codes).nats)
    generator, folder = np.random.default_rng(1), tmp_path / "pairs"
    folder.mkdir()
    for number in range(4):  # quiet noise was learnt, full scale never heard; of unequal lengths
        soundfile.write(
            folder / f"{number}_correct.wav", 0.1 * generator.standard_normal(300), 8000
        )
        loud = np.sign(generator.standard_normal(200))
        soundfile.write(folder / f"{number}_incorrect.wav", loud, 8000)
    judged = trained.judge(path, [folder])["pairs"]
    assert (judged.accuracy, judged.groups) == (1, 4) and judged.low < 0.6
    run = CliRunner().invoke(app, ["judge-lm", str(path), str(folder), "--json"])
    assert json.loads(run.stdout)["pairs"]["accuracy"] == 1
    run = CliRunner().invoke(app, ["judge-lm", str(path), str(folder)])
    assert "pairs: 1.000 [0.510, 1.000] of 4 pairs" in run.stdout


@pytest.mark.parametrize(
    "said",
    ["", "{", "[]", "null", "7", "[" * 100_000, '{"tokens": {}}', '{"tokens": []}',
     '{"tokens": {"codebook_sizes": 5, "strides": [1]}, "recipe": {}}',
     '{"tokens": {"codebook_sizes": [5], "strides": [1], "other": 1}, "recipe": {}}'],
)  # fmt: skip
def test_what_a_damaged_model_says_is_one_line(tmp_path, said):
    path = tmp_path / "model.safetensors"
    checkpoints.save(path, {"a": torch.ones(1)}, {trained.METADATA_KEY: said})
    with pytest.raises(RecipeError, match="is damaged, or of another version") as caught:
        trained.load(path)
    assert "\n" not in str(caught.value)


def test_a_model_of_merged_codes_with_empty_steps_is_refused(tmp_path):
    """Version 1 arranged merged codes otherwise; all others it arranged alike."""
    tiny = recipe.LMRecipe(
        name="x", tokens="t", validation="t", context=2, batch=1, steps=1, validate_every=1,
        optimizer={"learning_rate": 1}, dimension=8, layers=1, heads=2,
    )  # fmt: skip
    for strides, pattern, refused in (
        ((4, 2), "delay", True), ((2, 1), "delay", False), ((4, 2), "interleaved", False),
    ):  # fmt: skip
        learnt = trained.TrainingTokens("mulaw", "ab", (4, 4), strides)
        about = trained.metadata(tiny.model_copy(update={"pattern": pattern}), learnt)
        old = json.loads(about[trained.METADATA_KEY])
        del old["version"]
        for name, metadata in (("new", about), ("old", {trained.METADATA_KEY: json.dumps(old)})):
            path = tmp_path / f"{name}.safetensors"
            checkpoints.save(path, {"a": torch.ones(1)}, metadata)
            if refused and name == "old":
                with pytest.raises(RecipeError, match=r"strides \(4, 2\)\) with empty steps"):
                    trained.read_metadata(path)
            else:
                assert trained.read_metadata(path)[1] == learnt


@pytest.mark.parametrize(
    "change", [{"strides": ("x",)}, {"codebook_sizes": (0,)}, {"codebook_sizes": (-3,)}]
)
def test_a_file_whose_sizes_give_no_model(tmp_path, change):
    tiny = recipe.LMRecipe(
        name="x", tokens="t", validation="t", context=2, batch=1, steps=1, validate_every=1,
        optimizer={"learning_rate": 1}, dimension=8, layers=1, heads=2,
    )  # fmt: skip
    learnt = trained.TrainingTokens("mulaw", "ab", (4,), (1,))
    path = tmp_path / "model.safetensors"
    state = tiny.model((4,), (1,)).state_dict()
    checkpoints.save(path, state, trained.metadata(tiny, replace(learnt, **change)))
    with pytest.raises(CheckpointError) as caught:
        trained.load(path)
    assert "\n" not in str(caught.value)


def test_what_is_no_trained_model_is_said(tmp_path):
    with pytest.raises(RecipeError, match="cannot read"):
        trained.load(tmp_path / "none.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(RecipeError, match="is no language model: expected model.safetensors"):
        trained.load(tmp_path / "other.safetensors")


def test_another_codec_does_not_speak_for_the_one_it_learnt(small, tmp_path, monkeypatch):
    path = training.train(small, ["steps=1"], tmp_path / "run", cpu=True)
    soundfile.write(tmp_path / "1_correct.wav", np.zeros(100), 8000)
    soundfile.write(tmp_path / "1_incorrect.wav", np.zeros(100), 8000)
    other = registry.load("random", quiet=True)
    monkeypatch.setattr(registry, "load", lambda *_, **__: other)
    with pytest.raises(CodecError, match="trained on tokens of mulaw .* not of these weights"):
        trained.judge(path, [tmp_path])


def test_another_recipe_does_not_go_on(small, tmp_path):
    training.train(small, ["steps=1"], out=tmp_path / "run", cpu=True)
    with pytest.raises(RecipeError, match="is another recipe"):
        training.train(small, ["steps=2"], out=tmp_path / "run", cpu=True)


def test_weights_of_codebooks_count(small, tokens):
    with pytest.raises(RecipeError, match="weights has 2 numbers, but the tokens have 1 codebooks"):
        training.dry_run(small, ["weights=[1, 2]"])


def test_what_ships_is_valid_and_dry_runs(tokens, tmp_path, monkeypatch):
    transformers = pytest.importorskip("transformers")
    config = transformers.Qwen2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
        intermediate_size=64, vocab_size=100,
    )  # fmt: skip
    config.save_pretrained(tmp_path)
    assert set(assets.names(recipe.KIND)) == {"mini-lm", "speech-lm"}
    for name in assets.names(recipe.KIND):
        path = assets.find(recipe.KIND, name, RecipeError)
        more = [f"text_model={tmp_path}", "num_codebooks=1"] if name == "speech-lm" else []
        lines = training.dry_run(path, [f"tokens={tokens}", *more])
        assert lines[0].startswith(f"{name}: mulaw, delay")
    assert "8 processes x 12 x 8" in path.read_text()


def test_the_command_line(small, tmp_path):
    run = CliRunner().invoke(app, ["train-lm", str(small), "--dry-run"])
    assert run.exit_code == 0 and "parameters: " in run.output
    run = CliRunner().invoke(app, ["train-lm", str(small), "--resume", "--fresh"])
    assert isinstance(run.exception, RecipeError)
    bad = CliRunner().invoke(app, ["train-lm", str(small), "contxt=3", "--dry-run"])
    assert "did you mean 'context'" in str(bad.exception)
