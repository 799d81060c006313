"""What the tests of the runner need: a small corpus, a task that can fail, a codec that can."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import soundfile
import yaml

from audiotok import tasks
from audiotok.errors import MetricError
from audiotok.harness import harness
from audiotok.harness.plan import Observer
from audiotok.harness.settings import BenchSettings
from audiotok.results import statistics
from audiotok.tasks import Column, Item, Task

CLIPS = ["a", "b", "c-loud", "d"]
SUITE = {
    "name": "tiny",
    "version": 3,
    "description": "for tests",
    "tasks": ["level", "tokens", "speed"],
    "headline": ["level_error"],
}
CODEC = '''
import torch
from audiotok.codec import Codec, CodecCard

class Shy(Codec):
    """8 bit at 8 kHz; refuses what is loud."""

    CARDS = (
        CodecCard(
            name="shy", family="shy", description="", sample_rate_in=8000, sample_rate_out=8000,
            hop_length=1, codebook_sizes=(256,), licence_code="Apache-2.0", verified="never",
        ),
    )

    def _load(self, checkpoint):
        pass

    def _encode(self, waveform):
        if waveform.abs().max() > 0.9:
            raise RuntimeError("too loud")
        return (waveform * 128 + 128).round().clamp(0, 255).long()

    def _decode(self, codes):
        return (codes - 128) / 128
'''


class Level(Task):
    """Misbehaves where the name of the clip says so."""

    name = "level"
    version = 2
    columns = (
        Column("level_error", "dB", False, 3, "difference of the levels"),
        Column("peak_error", "", False, 3, "difference of the peaks"),
        Column("level_total", "", None, 3, "of the corpus"),
    )

    def score(self, item: Item) -> dict:
        if "dies" in item.clip.id and item.tokens is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        if "raises" in item.clip.id:
            raise ValueError("no level")
        reference, reconstruction = item.reference.waveform, item.reconstruction.waveform
        error = abs(float(reference.std() - reconstruction.std()))
        peak = abs(float(reference.abs().max() - reconstruction.abs().max()))
        row = {"level_error": error, "peak_error": peak, "level_words": "some words"}
        if "peakless" in item.clip.id:
            row["peak_error"] = MetricError("no peak")
        if "infinite" in item.clip.id:
            row["peak_error"] = float("inf")
        return row

    def summarise(self, rows, tokens) -> dict:
        return {"level_total": float(rows["level_error"].sum())}

    def basis(self, column: str) -> str:
        return "level_error" if column == "level_total" else column


class Rank(Task):
    """Of each clip among all, by how often its codes change."""

    name = "rank"
    concludes = True
    columns = (Column("rank", "", None, 0, "from 0 on"),)

    def score(self, item: Item) -> dict:
        return {}

    def conclude(self, corpus, tokens, note, codec=None) -> dict:
        if tokens is None:
            return {}
        changes = {i: int(one.codes.diff().ne(0).sum()) for i, one in enumerate(tokens) if one}
        order = sorted(changes, key=changes.get)
        return {index: {"rank": float(place)} for place, index in enumerate(order)}


def write_clips(folder: Path, names: list[str]) -> Path:
    """A quarter of a second of noise per name; the file `loud` is louder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        noise = np.random.default_rng(number).uniform(-1, 1, 4000)
        soundfile.write(folder / f"{name}.wav", noise * (0.99 if "loud" in name else 0.3), 16_000)
    return folder


def write_suite(path: Path, **changes) -> Path:
    path.write_text(yaml.safe_dump(SUITE | changes))
    return path


def install(patch=setattr) -> None:
    """Makes the tasks known, and a codec without weights the floor; intervals take less time."""
    known, ours = tasks.get, {"level": Level, "rank": Rank}
    patch(tasks, "get", lambda name: ours[name]() if name in ours else known(name))
    patch(harness, "FLOOR", "mulaw")
    patch(statistics, "CORPUS_RESAMPLES", 20)


def set_up(monkeypatch, folder: Path, clips: list[str]) -> None:
    """Makes `folder` the working directory, with a codec, a suite and a corpus of `clips`."""
    install(monkeypatch.setattr)
    monkeypatch.chdir(folder)
    Path("shy.py").write_text(CODEC)
    write_suite(Path("tiny.yaml"))
    write_clips(Path("clips"), clips)


class Notes(Observer):
    """Keeps what a run says: its notes, and its progress in `scored`."""

    def __init__(self):
        self.notes: list[str] = []
        self.scored: list[tuple] = []

    def note(self, text):
        self.notes.append(text)

    def progress(self, *what):
        self.scored.append(what)


def run(tokenizer="resample-16k", data="clips", observer=None, **options):
    """The results of a run in this process, and its observer."""
    observer = observer or Notes()
    options = {"suite": "tiny.yaml", "workers": 0} | options
    settings = BenchSettings(tokenizer=tokenizer, data=data, **options)
    return harness.run(settings, observer), observer


def contents(folder="results") -> dict[str, bytes]:
    """Files that must be the same whenever the same is measured."""
    kept = {"rows.parquet", "summary.json"}
    return {str(p): p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.name in kept}
