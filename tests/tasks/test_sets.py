"""Distances of sets through the task: a set against itself, n, intervals, the bias shown."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from audiotok import tasks
from audiotok.codec import registry
from audiotok.data import Clip
from audiotok.errors import MetricError
from audiotok.harness.summary import frame, scores
from audiotok.metrics.sets import mmd
from audiotok.sound.audio import Audio
from audiotok.tasks import Item, _embedded

DIMENSION, RATE = 4, 8000


class Samples:
    """The first samples of a sound are its embedding."""

    name, label, identity = "by hand", "", {}

    def missing(self):
        return None

    def embed(self, audio):
        if not audio.waveform.any():
            raise MetricError("no embedding of digital silence")
        return audio.waveform[0, :DIMENSION].numpy()


@pytest.fixture
def task():
    found = tasks.get("sets")
    found.encoder = Samples()
    return found


def measured(task, changed, clips=48):
    """Entries of clips whose reconstruction is `changed` of their reference; four speakers."""
    entries, generator = [], torch.Generator().manual_seed(0)
    for number in range(clips):
        sound = torch.randn(1, 100, generator=generator)
        item = Item(Clip(str(number)), Audio(sound, RATE), Audio(changed(sound), RATE))
        values = task.score(item)
        entries.append({
            "clip": str(number), "values": values, "failures": [], "speaker": f"s{number % 4}",
            "session": None,
        })  # fmt: skip
    return entries


def test_the_reference_has_distance_0_to_itself(task):
    found = scores(measured(task, lambda sound: sound), [task], [], 0)
    assert found["mmd"]["mean"] == pytest.approx(0, abs=1e-6)
    assert found["frechet"]["mean"] == pytest.approx(0, abs=1e-6)
    assert found["embedding_cosine"]["mean"] == pytest.approx(1, abs=1e-5)


def test_distance_n_and_interval_over_speakers(task):
    entries = measured(task, lambda sound: sound + 1)
    found = scores(entries, [task], [], 0)
    rows = frame("", entries, [task])
    reference, reconstruction, weights = _embedded.sets(rows, "embeddings")
    assert (weights == 1).all()
    assert found["mmd"]["mean"] == mmd.squared(reference, reconstruction, paired=True)
    assert found["frechet"]["mean"] == pytest.approx(DIMENSION, rel=0.01)  # a shift by 1 in each
    for column in ("mmd", "frechet"):
        low, high = found[column]["ci95"]
        assert low < found[column]["mean"] < high and found[column]["n"] == 48
        assert "speaker" in found[column]["interval"]


def test_the_bias_of_the_frechet_distance_is_in_the_details(task):
    rows = frame("", measured(task, lambda sound: 1.5 * sound), [task])
    details = task.details(rows, [])
    assert (details["clips"], details["dimensions"]) == (48, DIMENSION)
    assert details["frechet_halves"] > 0 and details["frechet_limit"] > 0
    few = task.details(rows.iloc[:10], [])
    assert "10 sounds are too few" in few["frechet_limit_missing"] and "frechet_limit" not in few


def test_in_a_resample_the_same_clip_is_not_compared_with_itself(task):
    rows = frame("", measured(task, lambda sound: sound + 0.1 * torch.randn_like(sound)), [task])
    drawn = rows.iloc[np.random.default_rng(0).integers(len(rows), size=len(rows))]
    found = task.summarise(drawn, [])
    assert set(found) == {"mmd"} and abs(found["mmd"]) < 0.05


def test_clips_without_embedding_or_reference(task):
    silence, sound = Audio(torch.zeros(1, 100), RATE), Audio(torch.ones(1, 100), RATE)
    with pytest.raises(MetricError):
        task.score(Item(Clip("a"), silence, sound))
    assert task.score(Item(Clip("a"), None, sound)) == {}
    assert task.summarise(frame("", measured(task, lambda s: s, clips=1), [task]), []) == {}


def test_names_of_encoders_never_share_a_column(tmp_path):
    names = ("sets", "sets:resemblyzer", "sets:whisper-tiny.en", "sets:laion/clap-htsat-unfused")
    columns = [column.name for name in names for column in tasks.get(name).columns]
    assert len(set(columns)) == 3 * len(names)
    assert [tasks.get(name).name for name in names] == list(names)
    assert tasks.get("sets").columns[0].name == "mmd"


def test_kld_of_tags():
    task = tasks.get("tags")
    task.tagger = dataclasses.make_dataclass("Tagger", ["name"])("by hand")
    task.tagger.posteriors = lambda audio: np.array([float(audio.waveform[0, 0]), 0.5])
    audios = [Audio(torch.full((1, 10), level), RATE) for level in (0.5, 0.5)]
    assert task.score(Item(Clip("a"), *audios)) == {"tag_kld": 0, "tag_kept": 1}


def test_wrong_codes_move_the_set_further_the_more_there_are():
    codec = registry.load("rvq-small:codebooks=2", quiet=True)
    task = tasks.get("perturbed")
    task.encoder = Spectrum()
    entries = []
    for number in range(6):
        generator = torch.Generator().manual_seed(number)
        time = torch.arange(8000) / 16_000
        wave = 0.3 * torch.sin(2 * torch.pi * (200 + 60 * number) * time)[None]
        reference = Audio(wave + 0.01 * torch.randn(1, 8000, generator=generator), 16_000)
        tokens = codec.encode(reference)
        observed = task.observe(codec, reference, tokens)
        item = Item(Clip(str(number)), reference, codec.decode(tokens), tokens, observed=observed)
        entries.append({"clip": str(number), "values": task.score(item), "failures": []})
    rows = frame("", entries, [task])
    points = [distance for _, distance in task.details(rows, [])["perturbed_mmd"]]
    assert points[0] < points[2], points
    assert task.summarise(rows, [])["perturbed_mmd"] == pytest.approx(np.mean(points))
    assert task.observe(registry.load("opus-6k", quiet=True), None, None) is None
    assert task.score(Item(Clip("a"), None, observed=None, reconstruction=reference)) == {}


class Spectrum(Samples):
    def embed(self, audio):
        power = torch.fft.rfft(audio.waveform[0]).abs().square()[:1000].view(20, -1).sum(1)
        return (power + power.mean()).log().numpy()
