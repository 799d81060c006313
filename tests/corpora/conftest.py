"""A corpus of many short clips of different lengths, one of them broken."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

COUNT = 40


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A folder with a manifest; broken.wav is no sound."""
    folder, random = tmp_path / "clips", np.random.default_rng(0)
    folder.mkdir()
    lines = ["audio\ttext\tspeaker\tlabel"]
    for number in range(COUNT):
        length, rate = int(random.integers(300, 3000)), (8000, 16000)[number % 2]
        samples = random.normal(0, 0.1, length).clip(-1, 1)
        soundfile.write(folder / f"clip.{number:02d}.wav", samples, rate)
        lines.append(f"clip.{number:02d}.wav\tnumber {number}\ts{number % 3}\t")
        if number == 7:
            (folder / "broken.wav").write_bytes(b"RIFF nothing")
            lines.append("broken.wav\t\t\t")
    (folder / "manifest.tsv").write_text("\n".join([*lines, ""]))
    return folder
