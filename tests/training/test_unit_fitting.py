"""fit-units: centroids of a corpus in a file that is a codec; stopped, it leaves nothing."""

import json
import shutil

import numpy as np
import pytest
import soundfile
import torch
from safetensors import safe_open
from typer.testing import CliRunner

import audiotok
from audiotok.cli import app
from audiotok.errors import AudiotokError, CheckpointError, CodecError, CorpusError
from audiotok.system import progress
from audiotok.training import unit_fitting
from audiotok.training.unit_fitting import fit_units

pytest.importorskip("transformers", minversion="5.23")
from support import tiny_transformers, tiny_units  # noqa: E402

NAME = "units:hubert:k=12,layer=1/2"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a network in net/ and sounds in corpus/."""
    folder = tmp_path_factory.mktemp("fit")
    tiny_units.write(folder / "net", "hubert")
    (folder / "corpus").mkdir()
    for seed in range(4):
        sound = tiny_transformers.sound(2, 16_000, seed)[0, 0].numpy()
        soundfile.write(folder / "corpus" / f"{seed}.wav", sound, 16_000)
    return folder


def test_centroids_are_learned_and_load_as_a_codec(place, tmp_path):
    out = place / "net" / "km.safetensors"  # beside its network
    shown = []
    with progress.listening(lambda done, total: shown.append((done, total))):
        about = fit_units(NAME, place / "corpus", out, checkpoint=place / "net", passes=5)
    assert shown == [(n + 1, 4) for n in range(4)] + [(n + 1, 10) for n in range(10)]
    codec = audiotok.load(out)
    assert codec.card.name.startswith("units:hubert@") and codec.card.codebook_sizes == (12, 12)
    assert codec.card.training_data == ("LibriSpeech", about["corpus"])
    with safe_open(out, "np") as file:
        metadata, centroids = file.metadata(), file.get_tensor("centroids")
    assert json.loads(metadata["fitted_on"]) == about and about["frames"] == 4 * 100
    # the codes are at least as near as those of random frames
    latents = torch.cat(
        [codec.encode_latents(tiny_transformers.sound(2, 16_000, seed))[0].T for seed in range(4)]
    )
    for k in range(2):
        rows = latents[:, 16 * k : 16 * (k + 1)]
        near = torch.cdist(rows, torch.from_numpy(centroids[k])).min(1).values.square().mean()
        drawn = torch.cdist(rows, rows[:: len(rows) // 12][:12]).min(1).values.square().mean()
        assert near < 0.8 * drawn
        assert float(near) == pytest.approx(about["mean_squared_distance"][k], rel=1e-3)
    again = tmp_path / "again.safetensors"
    fit_units(NAME, place / "corpus", again, checkpoint=place / "net", passes=5)
    assert again.read_bytes() == out.read_bytes()
    with pytest.raises(CodecError, match="file of centroids has layer and k: leave them out"):
        audiotok.load(f"{out}:layer=1")


def test_a_file_is_bound_to_its_network(place, tmp_path):
    fit_units(
        NAME, place / "corpus", tmp_path / "km.safetensors", checkpoint=place / "net", passes=1
    )
    tiny_units.write(tmp_path, "hubert", hidden_act="relu", intermediate_size=48)
    with pytest.raises(CheckpointError, match="was fitted to another network"):
        audiotok.load(tmp_path / "km.safetensors")
    shutil.copytree(place / "net", tmp_path / "net")
    shutil.copy(tmp_path / "km.safetensors", tmp_path / "net" / "centroids.safetensors")
    assert audiotok.load(NAME, tmp_path / "net").num_codebooks == 2
    with pytest.raises(CheckpointError, match="is of layer 1/2, not of layer 1/3"):
        audiotok.load("units:hubert:k=12,layer=1/3", tmp_path / "net")


def test_a_sample_of_frames_has_equal_chances(place):
    corpus = audiotok.data.load(place / "corpus")
    network = unit_fitting.Units.network_of(audiotok.codec.registry.find_card(NAME))
    encoder = unit_fitting._speech_encoder.read(place / "net/pytorch_model.bin", "hubert", "x")
    states = unit_fitting._speech_encoder.HiddenStates(encoder, (1,))
    every, *_ = unit_fitting._sample_frames(states, corpus, network, frames=1000, seed=0)
    some, seconds, total = unit_fitting._sample_frames(states, corpus, network, frames=50, seed=0)
    assert every.shape == (1, 400, 16) and some.shape == (1, 50, 16)
    assert (seconds, total) == (8.0, 400)
    found = [np.flatnonzero((every[0] == row).all(1))[0] for row in some[0]]
    assert found == sorted(set(found)) and np.histogram(found, 4, (0, 400))[0].min() >= 4


def test_refusals(place, tmp_path):
    net, out = place / "net", tmp_path / "km.safetensors"
    with pytest.raises(CorpusError, match="400 frames, fewer than 500 centroids"):
        fit_units("units:hubert:layer=1", place / "corpus", out, checkpoint=net)
    with pytest.raises(CodecError, match="layers 0 to 3, not 9"):
        fit_units("units:hubert:k=5", place / "corpus", out, checkpoint=net)
    with pytest.raises(CodecError, match="fitted for units:hubert or units:wavlm"):
        fit_units("rvq-small", place / "corpus", out, checkpoint=net)
    with pytest.raises(AudiotokError, match="frames is 0: expected 1 or more"):
        fit_units(NAME, place / "corpus", out, checkpoint=net, frames=0)
    assert not list(tmp_path.iterdir())


def test_the_command(place, tmp_path, monkeypatch):
    out = tmp_path / "km.safetensors"
    command = ["fit-units", place / "corpus", "-t", NAME, "-c", place / "net", "--passes", 1]
    command = [str(part) for part in [*command, "-o", out]]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0 and "centroids of 400 frames, 8 s of corpus" in done.output
    before = out.read_bytes()
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code and "exists already" in str(refused.exception)

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(unit_fitting._KMeans, "fit", stop)
    stopped = CliRunner().invoke(app, [*command, "--overwrite"])
    assert stopped.exit_code == 130 and out.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["km.safetensors"]
