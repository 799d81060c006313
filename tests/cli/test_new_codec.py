"""`audiotok new-codec` writes a file that loads by its path and keeps every promise."""

import pytest
from typer.testing import CliRunner

import audiotok
from audiotok import testing
from audiotok.cli import app


def run(*words):
    return CliRunner().invoke(app, ["new-codec", *map(str, words)])


@pytest.mark.usefixtures("forked_processes")
def test_the_file_loads_and_keeps_every_promise(tmp_path):
    path = tmp_path / "deep_codec.py"
    done = run(path)
    assert done.exit_code == 0 and done.stdout.strip() == str(path)
    codec = audiotok.load(path)
    assert (codec.card.name, type(codec).__name__) == ("deep-codec", "DeepCodec")
    text = path.read_text()
    assert "audiotok check deep_codec.py" in text and "my" not in text.split('"""')[0]
    broken = [(o.promise, o.why) for o in testing.examine(codec) if o.state == "broken"]
    assert not broken


def test_it_takes_a_checkpoint(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "my_codec.py"
    run(path)
    codec = audiotok.load(path)
    state = {name: 2 * tensor for name, tensor in codec.network.state_dict().items()}
    save_file(state, tmp_path / "weights.safetensors")
    other = audiotok.load(path, checkpoint=tmp_path / "weights.safetensors")
    assert other.fingerprint != codec.fingerprint


@pytest.mark.parametrize("name", ["codec.txt", "codec", "1.py", "a b.py", "ä.py", ".py"])
def test_other_names_are_refused(tmp_path, name):
    done = run(tmp_path / name)
    assert "ends in .py" in str(done.exception)
    assert not list(tmp_path.iterdir())


def test_no_file_is_overwritten(tmp_path):
    path = tmp_path / "my_codec.py"
    path.write_text("mine")
    assert "exists already" in str(run(path).exception)
    assert path.read_text() == "mine"
    assert run(path, "--overwrite").exit_code == 0
    assert "class MyCodec" in path.read_text()
