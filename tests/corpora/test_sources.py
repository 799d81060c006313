"""What is encoded: corpora, and datasets of Hugging Face."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from audiotok import corpora, data
from audiotok.corpora import sources
from audiotok.errors import CorpusError, MissingPackageError
from audiotok.sound import audio


def test_a_corpus(clips):
    result = sources.load(clips)
    corpus = data.load(clips)
    assert [one.id for one in result.recordings] == [clip.id for clip in corpus]
    assert result.recordings[3].text == "number 3" and result.sizes[3] > 600
    assert sources.load(clips).sha256 == result.sha256
    assert sources.load(clips, 5).sha256 != result.sha256
    status = (clips / "clip.04.wav").stat()
    os.utime(clips / "clip.04.wav", ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))
    assert sources.load(clips).sha256 != result.sha256
    os.utime(clips / "clip.04.wav", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert sources.load(clips).sha256 == result.sha256
    (clips / "clip.03.wav").write_bytes(b"shorter")
    changed = sources.load(clips)
    assert changed.sha256 != result.sha256
    assert changed.recordings[3].seconds() == 0
    first = changed.recordings[0]
    assert first.seconds() == pytest.approx(soundfile.info(first.location).duration)


def test_a_dataset(tmp_path):
    datasets = pytest.importorskip("datasets", reason="needs the package datasets")
    files = []
    for number in range(3):
        files.append(str(tmp_path / f"{number}.flac"))
        samples = np.random.default_rng(number).normal(0, 0.1, 800 + number)
        soundfile.write(files[-1], samples, 16_000)
    columns = {
        "audio": [{"bytes": Path(file).read_bytes(), "path": None} for file in files],
        "file": ["a/one.flac", "b/one.flac", "b/two.flac"],
        "text": ["eins", None, "drei"],
        "speaker_id": [7, 8, 7],
    }
    rows = datasets.Dataset.from_dict(columns)
    rows.save_to_disk(tmp_path / "saved")
    name = f"hf:{tmp_path / 'saved'}"
    result = sources.load(name)
    assert [one.id for one in result.recordings] == ["a__one", "b__one", "b__two"]
    assert [one.text for one in result.recordings] == ["eins", None, "drei"]
    assert result.recordings[2].speaker == "7"
    for one, file in zip(result.recordings, files, strict=True):
        assert torch.equal(one.read().waveform, audio.read(file).waveform)
        assert one.seconds() == pytest.approx(soundfile.info(file).duration)
    done = corpora.encode(name, "mulaw", tmp_path / "tokens", workers=0)
    assert (done.clips, done.failures) == (3, [])
    assert [tokens.num_samples for _, tokens in corpora.read(done.folder)] == [800, 801, 802]


def test_mistakes(tmp_path, monkeypatch):
    import sys

    with pytest.raises(CorpusError, match="neither a file, a folder nor the name of a corpus"):
        sources.load("nowhere")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingPackageError, match="the corpus hf:nobody/nothing"):
        sources.load("hf:nobody/nothing")
