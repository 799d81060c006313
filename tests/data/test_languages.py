"""The language of clips, in every format of manifests."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

from audiotok import data
from audiotok.errors import CorpusError


@pytest.fixture
def folder(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(1600, np.float32), 16_000)
    return tmp_path


def write(path, *rows):
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("manifest.tsv", ("audio\tlanguage", "a.wav\tpt-BR")),
        ("manifest.csv", ("audio,language", "a.wav,pt_br")),
        ("nemo.json", ({"audio_filepath": "a.wav", "lang": "pt-br"},)),
        ("metadata.jsonl", ({"file_name": "a.wav", "locale": "pt-br"},)),
        (
            "cuts.jsonl",
            (
                {
                    "id": "c",
                    "start": 0,
                    "duration": 0.1,
                    "recording": {
                        "id": "r",
                        "sampling_rate": 16_000,
                        "sources": [{"type": "file", "channels": [0], "source": "a.wav"}],
                    },
                    "supervisions": [{"id": "s", "language": "pt-br"}],
                },
            ),
        ),
    ],
)
def test_a_manifest_says_the_language(folder, name, rows):
    write(folder / name, *rows)
    (clip,) = data.load(folder if name.startswith("metadata") else folder / name)
    assert clip.language == "pt-br"


def test_a_kaldi_folder_says_the_language(folder):
    write(folder / "wav.scp", "one a.wav")
    write(folder / "utt2lang", "one de")
    assert [clip.language for clip in data.load(folder)] == ["de"]


def test_the_language_counts_in_the_hash_only_where_it_is_known(folder):
    hashes = []
    for rows in (
        ("audio", "a.wav"),
        ("audio\tlanguage", "a.wav\t"),
        ("audio\tlanguage", "a.wav\tde"),
    ):
        write(folder / "manifest.tsv", *rows)
        hashes.append(data.load(folder).sha256)
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize("language", ["English", "e", "en us", "12"])
def test_what_is_no_code_is_refused(folder, language):
    write(folder / "manifest.tsv", "audio\tlanguage", f"a.wav\t{language}")
    with pytest.raises(CorpusError, match="line 2: language is .* expected a code of ISO 639"):
        data.load(folder)
