"""Any recipe or suite is read as one that can be written and read again, or refused in one line."""

import copy

import pytest
import yaml
from support import fuzzing
from support.training_kit import ADVERSARIAL, TINY

from audiotok.harness.suite import load_suite
from audiotok.recogniser import recipe as recognisers
from audiotok.speech_lm import recipe as language_models
from audiotok.system import assets, yaml_files
from audiotok.training import load_recipe
from audiotok.tts import recipe as speech

MUTATE = fuzzing.in_values(
    lambda data: yaml_files.parse(data.decode()), lambda content: yaml.safe_dump(content).encode()
)


def codec_recipes():
    plain = copy.deepcopy(TINY)
    plain["data"]["corpus"] = "clips"
    plain |= {"name": "x-{q}", "axes": {"q": "a"}, "choices": {"q": {"a": {"steps": 9}, "b": {}}}}
    return [yaml.safe_dump(one).encode() for one in (plain, plain | ADVERSARIAL)]


def shipped(kind, *names):
    return [(assets.folder(kind) / f"{name}.yaml").read_bytes() for name in names]


TARGETS = {
    "train": (load_recipe, codec_recipes),
    "train-lm": (language_models.load, lambda: shipped("recipes/lm", "mini-lm", "speech-lm")),
    "train-tts": (speech.load, lambda: shipped("recipes/tts", "valle-r-ar", "valle-nar")),
    "train-asr": (recognisers.load, lambda: shipped("recipes", "asr-mini")),
}


@pytest.mark.parametrize("verb", TARGETS)
def test_recipes(tmp_path, fuzz, verb):
    load, good = TARGETS[verb]

    def read(path):
        recipe = load(path)
        again = tmp_path / "again.yaml"
        again.write_text(recipe.to_yaml())
        assert load(again).to_yaml() == recipe.to_yaml()
        return recipe.to_yaml()

    fuzz(tmp_path / "r.yaml", good(), read, mutate=MUTATE)


def test_suites(tmp_path, fuzz):
    good = shipped("benchmarks", "smoke", "speech", "tokens")
    fuzz(tmp_path / "s.yaml", good, load_suite, mutate=MUTATE)
