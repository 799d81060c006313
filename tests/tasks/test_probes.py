"""The suite `downstream` through bench, on tones of three pitches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from support import bench_kit

from audiotok.data import Clip, Corpus
from audiotok.errors import AudiotokError
from audiotok.harness import harness
from audiotok.harness.settings import BenchSettings
from audiotok.probes import PROTOCOL, features

PITCH = '''
import torch
from audiotok.codec import Codec, CodecCard

class Pitch(Codec):
    """The loudest bin of every 20 ms; or nothing at all."""

    CARDS = (
        CodecCard(
            name="pitch", family="pitch", description="", sample_rate_in=8000, sample_rate_out=8000,
            hop_length=160, codebook_sizes=(81,), licence_code="Apache-2.0", verified="never",
        ),
    )

    def _load(self, checkpoint):
        pass

    def _encode(self, waveform):
        missing = -waveform.shape[-1] % 160
        frames = torch.nn.functional.pad(waveform, (0, missing)).unflatten(-1, (-1, 160))
        return torch.fft.rfft(frames).abs().argmax(-1)

    def _decode(self, codes):
        return codes.float().repeat_interleave(160, -1) / 81
'''


def tones(folder):
    """Three pitches, each a label, twelve clips each, and their manifest."""
    folder.mkdir()
    lines = ["audio\tlabel"]
    for number in range(36):
        hz, noise = 400 + 300 * (number % 3), np.random.default_rng(number).normal(0, 0.02, 2000)
        sound = 0.4 * np.sin(2 * np.pi * hz * np.arange(2000) / 8000) + noise
        soundfile.write(folder / f"{number}.wav", sound, 8000)
        lines.append(f"{number}.wav\t{hz}")
    (folder / "manifest.tsv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def kit(tmp_path, monkeypatch):
    for name, value in {"dimension": 16, "min_steps": 40, "learning_rate": 2e-2}.items():
        monkeypatch.setitem(vars(PROTOCOL), name, value)
    bench_kit.install(monkeypatch.setattr)
    monkeypatch.chdir(tmp_path)
    Path("pitch.py").write_text(PITCH)
    tones(Path("tones"))


class Notes(harness.Observer):
    def __init__(self):
        self.notes: list[str] = []

    def note(self, text):
        self.notes.append(text)


def test_bench_measures_what_the_corpus_allows(kit):
    notes = Notes()
    options = {"suite": "downstream", "workers": 0}
    results = harness.run(BenchSettings(tokenizer="pitch.py", data="tones", **options), notes)
    assert [r.codec for r in results] == ["reference", "pitch", "mulaw"]
    for result in results[:2]:
        assert result.scores["probe_label_accuracy"]["mean"] == 1
        assert result.scores["probe_label_accuracy"]["n"] == 6
    left_out = results[0].summary["not_measured"]
    assert set(left_out) == {"probe_asr", "probe_speaker", "probe_verification"}
    assert left_out["probe_asr"] == "0 clips to train on and 0 to test have a text"
    assert results[2].scores["probe_label_accuracy"]["mean"] is None
    assert any("mulaw: probe_label left out: 16000 frames per second" in n for n in notes.notes)
    harness.run(BenchSettings(tokenizer="pitch.py", data="tones", out="again", **options), notes)
    first, again = (
        [
            p.read_bytes()
            for p in sorted(Path(o).rglob("*"))
            if p.name in ("rows.parquet", "summary.json")
        ]
        for o in ("results", "again")
    )
    assert first == again and len(first) == 6


def test_a_corpus_without_anything_to_learn_is_refused_at_once(kit):
    bench_kit.write_clips(Path("plain"), ["a", "b"])
    with pytest.raises(AudiotokError, match="nothing can be measured on plain: probe_asr: 0 clips"):
        harness.run(
            BenchSettings(tokenizer="pitch.py", data="plain", suite="downstream", workers=0)
        )
    assert not Path("results").exists()


def test_reconstructions_that_come_along_are_probed_themselves(kit):
    clips = tuple(
        Clip(str(i), Path(f"tones/{i}.wav"), reference=Path("tones/0.wav")) for i in (1, 2)
    )
    sound = features.of_sounds(Corpus("given", clips))
    assert np.array_equal(sound.clips[0], sound.clips[1])
    rows = Path("tones/manifest.tsv").read_text().splitlines()
    given = [f"{row}\t0.wav" for row in rows[1:]]
    Path("tones/manifest.tsv").write_text("\n".join([f"{rows[0]}\treference", *given]))
    results = harness.run(
        BenchSettings(tokenizer="pitch.py", data="tones", suite="downstream", workers=0)
    )
    by_name = {r.codec: r.scores["probe_label_accuracy"]["mean"] for r in results}
    assert by_name["given"] == 1 and by_name["reference"] < 0.7
