"""Any bytes in place of weights are refused in one line, or give what is within bounds."""

import json

import pytest
import torch
from support import fuzzing, tiny_mini

import audiotok
from audiotok.codec import checkpoints
from audiotok.speech_lm import trained
from audiotok.speech_lm.recipe import LMRecipe
from audiotok.training import state
from audiotok.training.processes import ProcessGroup

STATE = {f"layer.{n}.weight": torch.ones(n, 3) for n in range(1, 9)}
RECIPE = {
    "name": "tiny", "tokens": "tokens", "validation": "tokens", "dimension": 8, "heads": 2,
    "layers": 1, "context": 8, "batch": 1, "steps": 1, "validate_every": 1,
    "optimizer": {"learning_rate": 1e-3},
}  # fmt: skip


def in_metadata(data):
    """Mutates the metadata of a safetensors file, and the JSON in it, beside its bytes."""
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])

    def parse(_):
        return {key: _parsed(text) for key, text in header["__metadata__"].items()}

    def write(content):
        content = content if isinstance(content, dict) else {"config": content}
        said = {str(key): _text(value) for key, value in content.items()}
        made = fuzzing.as_json(header | {"__metadata__": said})
        return len(made).to_bytes(8, "little") + made + data[start:]

    return fuzzing.in_values(parse, write)


def _parsed(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


def _text(value):
    return value if isinstance(value, str) else fuzzing.as_json(value).decode()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("kind", ["safetensors", "zip", "pickle"])
def test_weights(tmp_path, fuzz, kind):
    path = tmp_path / "weights"
    if kind == "safetensors":
        checkpoints.save(path, STATE, {"family": "mini", "config": json.dumps({"a": [1, 2]})})
    else:
        torch.save(STATE, path, _use_new_zipfile_serialization=kind == "zip")

    def read(path):
        state, metadata = checkpoints.read_state(path)
        most = checkpoints.MOST_UNPACKED * path.stat().st_size
        assert sum(tensor.numel() * tensor.element_size() for tensor in state.values()) <= most
        listed = {name: (tensor.dtype, tensor.tolist()) for name, tensor in state.items()}
        return listed, metadata

    fuzz(path, [path.read_bytes()], read)


def test_files_of_codecs(tmp_path, fuzz):
    path = tiny_mini.write(tmp_path, "rvq")
    sound = torch.linspace(-1, 1, 400)[None]

    def read(path):
        tokens = audiotok.load(path, quiet=True).encode((sound, 8000))
        return tokens.codec, tokens.codes.tolist()

    data = path.read_bytes()
    fuzz(path, [data], read, mutate=in_metadata(data))


def test_files_of_language_models(tmp_path, fuzz):
    recipe = LMRecipe.model_validate(RECIPE)
    about = trained.metadata(recipe, trained.TrainingTokens("mulaw", "ab" * 32, (16, 4), (1, 2)))
    path = tmp_path / "model.safetensors"
    checkpoints.save(path, recipe.model((16, 4), (1, 2)).state_dict(), about)

    def read(path):
        return [tensor.tolist() for tensor in trained.load(path).state_dict().values()]

    data = path.read_bytes()
    fuzz(path, [data], read, mutate=in_metadata(data))


def test_states_of_runs(tmp_path, fuzz):
    """What a training run goes on from; afterwards the random numbers of the tests are restored."""
    path, team, before = tmp_path / "state.pt", ProcessGroup(), state.random_state()
    layer = torch.nn.Linear(3, 3)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    parts = {"model": layer, "optimizer": optimizer}
    state.save(path, parts, {"step": 1, "seconds": 1.0, "best": {"score": 0.5}}, team)

    def read(path):
        return state.load(path, parts, team), [w.tolist() for w in layer.parameters()]

    try:
        fuzz(path, [path.read_bytes()], read)
    finally:
        state.set_random_state(before)
