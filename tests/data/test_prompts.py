"""The column prompt of a manifest: a sound of the voice that a clip imitates."""

import numpy as np
import pytest
import soundfile

from audiotok.data import load
from audiotok.errors import CorpusError


@pytest.fixture
def manifest(tmp_path):
    def write(prompt):
        for number, name in enumerate(("a.wav", "b.wav", "c.wav")):
            soundfile.write(tmp_path / name, np.full(800, 0.1 * number), 8000)
        path = tmp_path / "manifest.tsv"
        path.write_text(f"audio\ttext\tprompt\na.wav\thello\t{prompt}\n")
        return path

    return write


def test_a_prompt_is_a_file_and_belongs_to_the_corpus(manifest):
    first = load(manifest("b.wav"))
    assert first.clips[0].prompt.name == "b.wav"
    other, without = load(manifest("c.wav")), load(manifest(""))
    assert without.clips[0].prompt is None
    assert len({first.sha256, other.sha256, without.sha256}) == 3


@pytest.mark.parametrize("prompt", ["../x.wav", "no.wav", "/etc/passwd", "|cat b.wav"])
def test_a_prompt_is_found_like_other_files_or_refused(manifest, prompt):
    with pytest.raises(CorpusError, match="prompt"):
        load(manifest(prompt))
