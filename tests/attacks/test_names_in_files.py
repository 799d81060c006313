"""Names that files say run no code, open no path and start no download; typed names may."""

import json
import pickle
import socket
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file
from support import shard_kit
from support.training_kit import write_recipe
from typer.testing import CliRunner

import audiotok
from audiotok import corpora, data
from audiotok.cli import app
from audiotok.codec import checkpoints, families, registry
from audiotok.errors import AudiotokError, CheckpointError, CodecError, CorpusError, RecipeError
from audiotok.harness import harness
from audiotok.harness.settings import BenchSettings
from audiotok.harness.suite import load_suite
from audiotok.sound.audio import write
from audiotok.speech_lm import recipe as lm_recipes
from audiotok.speech_lm import trained
from audiotok.system import yaml_files
from audiotok.system.names import Recorded
from audiotok.tokens import Tokens
from audiotok.training import load_recipe
from audiotok.training.start import trusted

# What a file may not name: code, weights, what is on the Hub; in all spellings.
NAMES = [
    "evil.py",
    "./evil.py",
    "evil.py::evil",
    "evil.py:loudness=2",
    "evil.py::mulaw",
    "EVIL.PY",
    "evil.safetensors",
    "hf:org/evil",
    "hf:folder",
    "encodec-24k",  # known, but not on this machine
    "encodec-24k:codebooks=8",
    "mine@0123abcd",
]


@pytest.fixture(autouse=True)
def bait(tmp_path, monkeypatch):
    """evil.py says that it ran; nothing connects to anything."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUDIOTOK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    Path("evil.py").write_text("import pathlib; pathlib.Path('canary').touch()")
    checkpoints.save("evil.safetensors", {"a": torch.zeros(1)}, {"family": "wavtokenizer"})
    Path("folder").mkdir()
    Path("folder/config.json").write_text('{"model_type": "dac"}')

    def connect(*_):
        raise AssertionError("something connects to the network")

    monkeypatch.setattr(socket.socket, "connect", connect)
    families._imported.cache_clear()
    yield
    assert not Path("canary").exists()


def tokens(codec):
    return Tokens(torch.zeros(1, 1, 3, dtype=torch.int64), codec, "f" * 64, 100, 16000, (2,))


def sound(path):
    write(path, audiotok.Audio(torch.zeros(1, 400), 16000))


def refused(run):
    """The one line of a command that was refused."""
    result = CliRunner().invoke(app, run)
    assert isinstance(result.exception, AudiotokError), result.exception
    assert "\n" not in str(result.exception)
    return str(result.exception)


def test_a_typed_name_runs_its_file():
    with pytest.raises(CodecError, match="has 0 Codec classes"):
        audiotok.load("evil.py")
    Path("canary").unlink()


@pytest.mark.parametrize("name", NAMES)
def test_a_token_file(name):
    tokens(name).save("talk.atok")
    line = refused(["decode", "talk.atok", "-o", "out.wav"])
    assert "talk.atok names the codec" in line and "type -t " in line
    for function in (audiotok.load, registry.find_card, registry.load_recorded):
        if function is not registry.find_card or "encodec" not in name:
            with pytest.raises(CodecError, match="names the codec"):
                function(Tokens.load("talk.atok").codec)
    again = pickle.loads(pickle.dumps(Tokens.from_bytes(tokens(name).to_bytes()).codec))
    with pytest.raises(CodecError, match="the .atok file names the codec"):
        audiotok.load(again)


def test_a_known_name_in_a_token_file_decodes():
    made = audiotok.load("mulaw").encode((torch.zeros(200), 16000))
    made.save("talk.atok")
    assert audiotok.load(Tokens.load("talk.atok").codec).card.name == "mulaw"
    assert CliRunner().invoke(app, ["decode", "talk.atok", "-o", "out.wav"]).exit_code == 0


def test_weights_that_were_fetched_may_be_named(monkeypatch):
    card = registry.find_card("encodec-24k")
    place = checkpoints.local_path(card)
    place.parent.mkdir(parents=True)
    place.write_bytes(b"weights")
    monkeypatch.setattr(checkpoints, "verify", lambda path, weights: None)
    registry.check_recorded(Recorded("encodec-24k:codebooks=8"))
    with pytest.raises(checkpoints.NotFetchedError):
        checkpoints.resolve(registry.find_card("dac-16k"), fetch=False)


@pytest.mark.parametrize("name", NAMES)
def test_shards(name):
    shard_kit.write(Path("tok"), [tokens(name)])
    assert "_corpus.json names the codec" in refused(["decode", "tok", "-o", "out"])
    shards = corpora.Shards("tok")
    for found in (shards.metadata["codec"], next(iter(shards))[1].codec):
        with pytest.raises(CodecError, match="names the codec"):
            audiotok.load(found)


@pytest.mark.parametrize("name", NAMES)
def test_a_language_model(name):
    said = {
        "recipe": {
            "name": "x", "tokens": "t", "validation": "v", "context": 8, "batch": 1, "steps": 1,
            "validate_every": 1, "optimizer": {"learning_rate": 1e-3},
        },
        "tokens": {"codec": name, "fingerprint": "f", "codebook_sizes": [2], "strides": [1]},
    }  # fmt: skip
    save_file({"a": torch.zeros(1)}, "lm.safetensors", {trained.METADATA_KEY: json.dumps(said)})
    Path("p").mkdir()
    for side in "ab":
        sound(f"p/{side}.wav")
    Path("p/pairs.tsv").write_text("right\twrong\na.wav\tb.wav\n")
    line = refused(["judge-lm", "lm.safetensors", "p"])
    assert "lm.safetensors names the codec" in line and "-t " in line
    typed = refused(["judge-lm", "lm.safetensors", "p", "-t", "mulaw"])
    assert "not of these weights" in typed
    said["recipe"]["text_model"] = "org/evil"
    save_file({"a": torch.zeros(1)}, "lm.safetensors", {trained.METADATA_KEY: json.dumps(said)})
    with pytest.raises(RecipeError, match="names the language model 'org/evil'"):
        trained.load("lm.safetensors")


@pytest.mark.parametrize("name", NAMES)
def test_a_suite(name):
    metadata = {"name": "x", "version": 1, "description": "d", "tasks": ["tokens"], "headline": []}
    Path("suite.yaml").write_text(yaml.safe_dump(metadata | {"baselines": [name]}))
    sound("a.wav")
    bench = ["bench", "-s", "suite.yaml", "--data", "a.wav", "--workers", "0"]
    line = refused([*bench, "-t", "mulaw"])
    assert "suite.yaml names the codec" in line and f"type -t {name}" in line
    assert not Path("results").exists()
    Path("suite.yaml").write_text(yaml.safe_dump(metadata | {"data": "librispeech/test-clean"}))
    line = refused([*bench[:3], "-t", "mulaw"])
    assert "names the corpus 'librispeech/test-clean'" in line and "--data" in line


def test_the_codec_of_ones_own_in_a_suite_of_ones_own():
    from support import bench_kit

    Path("shy.py").write_text(bench_kit.CODEC)
    bench_kit.write_suite(Path("suite.yaml"), tasks=["tokens"], baselines=["shy.py", "mulaw"])
    sound("a.wav")
    found = harness.run(
        BenchSettings(tokenizer="shy.py", data="a.wav", suite="suite.yaml", workers=0)
    )
    assert {"shy", "mulaw"} <= {result.codec for result in found}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("where", ["plain", "axis"])
def test_a_recipe(name, where):
    metadata = {"name": "x", "steps": 10, "validate_every": 5}
    if where == "plain":
        metadata["start_from"] = name
    else:
        metadata |= {"axes": {"a": "b"}, "choices": {"a": {"b": {"start_from": name}}}}
    Path("r.yaml").write_text(yaml.safe_dump(metadata))
    if name == "evil.safetensors":  # weights hold no code, but these are none
        with pytest.raises(CheckpointError, match="hold no"):
            load_recipe("r.yaml")
        return
    line = refused(["train", "r.yaml"])
    assert "r.yaml names the codec" in line and f"type start_from={name} behind" in line


def test_what_is_typed_behind_a_recipe_may_be_code():
    Path("r.yaml").write_text(yaml.safe_dump({"name": "x", "steps": 10, "validate_every": 5}))
    with pytest.raises(CodecError, match="has 0 Codec classes"):
        load_recipe("r.yaml", ["start_from=evil.py"])
    Path("canary").unlink()


def test_corpora_and_teachers_of_a_recipe():
    from audiotok.training import sounds
    from audiotok.training.teacher import _load

    path = write_recipe(
        Path("r.yaml"), "hf:org/evil", distillation={"teacher": "org/evil", "weight": 1.0}
    )
    recipe = load_recipe(path)
    with pytest.raises(CorpusError, match=r"type data.corpus=hf:org/evil behind the recipe"):
        sounds.load(recipe.data.corpus)
    with pytest.raises(RecipeError, match=r"type distillation.teacher=org/evil behind"):
        _load(recipe.distillation.teacher)
    typed = load_recipe(path, ["data.corpus=hf:org/evil", "distillation.teacher=org/evil"])
    assert not isinstance(typed.data.corpus, Recorded)
    assert typed == recipe and load_recipe(path).to_yaml() == typed.to_yaml()


def test_a_text_model_of_a_recipe():
    from audiotok.lm.text_body import TextBody

    metadata = {
        "name": "x", "tokens": "t", "validation": "v", "context": 8, "batch": 1, "steps": 1,
        "validate_every": 1, "optimizer": {"learning_rate": 1e-3}, "text_model": "org/evil",
    }  # fmt: skip
    Path("r.yaml").write_text(yaml.safe_dump(metadata))
    with pytest.raises(RecipeError, match="type text_model=org/evil behind the recipe"):
        TextBody(lm_recipes.load("r.yaml").text_model)


def test_a_config_of_a_local_folder_brings_no_code():
    from audiotok.judges.pretrained import from_pretrained_options

    for name in ("folder", Recorded("folder")):
        assert from_pretrained_options(name, "teacher")["trust_remote_code"] is False


def test_a_corpus_that_a_file_names():
    sound("a.wav")
    assert len(data.load(Recorded("a.wav"))) == 1
    assert len(data.load(Recorded("bundled"), limit=1)) == 1
    for name in ("librispeech/test-clean", "speech_commands"):
        with pytest.raises(CorpusError, match=f"names the corpus '{name}'"):
            data.load(Recorded(name))


def test_what_ships_may_name_what_is_to_be_fetched():
    assert not isinstance(load_suite("speech").data, Recorded)
    assert load_suite("speech").data == "librispeech/test-clean"
    Path("copy.yaml").write_text(yaml.safe_dump({"a": {"b": ["hf:x"]}}))
    found = yaml_files.read("copy.yaml", lambda keys: ".".join(keys) + "={}")["a"]["b"][0]
    assert isinstance(found, Recorded) and found.typed == "a.b.0={}"


def test_weights_may_be_named_by_a_recipe():
    assert type(trusted(Recorded("a.safetensors:codebooks=2"))) is str
    assert isinstance(trusted(Recorded("evil.py::a.safetensors")), Recorded)
