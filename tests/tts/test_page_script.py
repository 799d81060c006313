"""The script that writes a page to listen to what models spoke."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch

from audiotok.sound.audio import Audio, write

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def sound(path, seed, comment=None):
    path.parent.mkdir(exist_ok=True)
    samples = 0.1 * torch.randn(1, 8000, generator=torch.Generator().manual_seed(seed))
    write(path, Audio(samples, 16_000), **({"comment": comment} if comment else {}))


@pytest.fixture
def spoken(tmp_path):
    """Three sentences, the last one not spoken by all systems."""
    lines = ["audio\treference\tcodec\ttext\tspeaker\tlabel\tprompt"]
    for number in range(3):
        recording = tmp_path / "held" / f"s{number}.wav"
        sound(recording, number)
        for system in ("copy", "model")[: 1 if number == 2 else 2]:
            name = f"{system}/s{number}.wav"
            sound(tmp_path / name, number + 7, '{"synthetic": true}')
            row = (name, recording, system, f"words {number}", "one", "plain", recording)
            lines.append("\t".join(map(str, row)))
    (tmp_path / "manifest.tsv").write_text("\n".join(lines) + "\n")
    return tmp_path


def run(monkeypatch, *arguments):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setattr(sys, "argv", ["tts_page.py", *map(str, arguments)])
    runpy.run_path(str(BENCHMARKS / "tts_page.py"), run_name="__main__")


def test_the_page_has_the_sentences_that_all_systems_speak(spoken, monkeypatch):
    run(monkeypatch, spoken / "manifest.tsv", spoken / "page")
    about = json.loads((spoken / "page" / "about.json").read_text())
    assert about["codecs"] == ["copy", "model"]
    assert about["clips"] == ["s0", "s1"]
    assert len(list((spoken / "page").rglob("*.wav"))) == 6


def test_an_unknown_system_is_named(spoken, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, spoken / "manifest.tsv", spoken / "page", "--systems", "modell")
    assert "modell is not in the manifest: it has copy, model" in capsys.readouterr().err
