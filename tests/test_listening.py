"""A page to listen with: equally loud, whole, and nothing of others lost."""

import json
import re

import pytest
import soundfile
import torch
from typer.testing import CliRunner

from audiotok import listening
from audiotok.audio import Audio
from audiotok.errors import ResultsError

pytest.importorskip("matplotlib")


def tone(level, seconds=0.5):
    time = torch.arange(round(seconds * 8000)) / 8000
    return Audio(level * torch.sin(2 * torch.pi * 300 * time)[None], 8000)


def test_all_are_as_loud_as_the_reference():
    sounds, gains = listening.matched([tone(0.2), tone(0.4), Audio(torch.zeros(1, 100), 8000)])
    assert gains == pytest.approx([0, -6.02, 0], abs=0.01)
    powers = [float(sound.waveform.square().mean()) for sound in sounds]
    assert powers[0] == pytest.approx(powers[1]) and powers[2] == 0


def test_what_would_clip_makes_all_softer():
    click = torch.zeros(1, 4000)
    click[0, 0] = 0.5
    sounds, gains = listening.matched([tone(0.9), Audio(click, 8000)])
    assert float(sounds[1].waveform.abs().max()) == pytest.approx(1)
    assert gains[0] < -20
    powers = [float(sound.waveform.square().mean()) for sound in sounds]
    assert powers[0] == pytest.approx(powers[1], rel=1e-4)


def test_the_page_has_all_that_it_names(tmp_path):
    page = listening.report(["mulaw", "opus-6k"], tmp_path / "listen", clips=2)
    text = page.read_text()
    named = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert named and all((page.parent / name).is_file() for name in named)
    content = json.loads(re.search(r"window.LISTEN = (.*);</script>", text)[1])
    assert [s["name"] for s in content["clips"][0]["sounds"]] == ["reference", "mulaw", "opus-6k"]
    assert content["clips"][0]["sounds"][2]["codes"] is None  # bytes have no frames
    sounds = [page.parent / sound["sound"] for sound in content["clips"][0]["sounds"]]
    assert len({soundfile.info(path).frames for path in sounds}) == 1
    again = listening.report(["mulaw", "opus-6k"], tmp_path / "again", clips=2)
    assert again.read_bytes() == page.read_bytes()


def test_a_folder_of_others_is_left_alone(tmp_path):
    from audiotok.cli import app

    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(ResultsError, match="holds other files"):
        listening.report(["mulaw"], tmp_path)
    run = CliRunner().invoke(app, ["report", "-t", "mulaw", "-o", str(tmp_path)])
    assert isinstance(run.exception, ResultsError) and (tmp_path / "thesis.tex").exists()
