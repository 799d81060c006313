"""Comments in the metadata of sound files."""

import json

import pytest
import torch

from audiotok.errors import AudioError
from audiotok.sound import comments
from audiotok.sound.audio import Audio, read, write

SOUND = Audio(0.5 * torch.ones(1, 1600), 16_000)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg"])
def test_a_comment_is_kept_and_changes_no_sample(tmp_path, name):
    text = json.dumps({"synthetic": True, "model": "x" * 900})
    write(tmp_path / name, SOUND, comment=text)
    assert comments.read(tmp_path / name) == text
    write(tmp_path / f"plain-{name}", SOUND)
    assert comments.read(tmp_path / f"plain-{name}") == ""
    assert torch.equal(read(tmp_path / name).waveform, read(tmp_path / f"plain-{name}").waveform)


def test_what_is_no_sound_is_refused(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"no")
    with pytest.raises(AudioError, match="cannot be read"):
        comments.read(tmp_path / "a.wav")
