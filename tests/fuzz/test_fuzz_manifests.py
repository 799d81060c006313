"""Any manifest gives clips whose files lie in its folder, or is refused in one line."""

import json

import pytest
from support import fuzzing

from audiotok.data import _manifest

ROWS = [
    {"audio": "a.wav", "text": "one", "speaker": "s", "id": "x", "split": "train"},
    {"audio": "b/c.wav", "text": "tw\u00f6", "reference": "a.wav"},
    {"audio": "a.wav", "id": "y", "offset": 0.5, "duration": 1.5},
]


def lines(content):
    """One object in each line."""
    return b"\n".join(map(fuzzing.as_json, content if isinstance(content, list) else [content]))


def table(separator):
    columns = sorted({key for row in ROWS for key in row})
    rows = [columns, *([str(row.get(key, "")) for key in columns] for row in ROWS)]
    return "\n".join(map(separator.join, rows)).encode()


@pytest.mark.parametrize("kind", ["tsv", "csv", "jsonl"])
def test_manifests(tmp_path, fuzz, kind):
    (tmp_path / "b").mkdir()
    for name in ("a.wav", "b/c.wav"):
        (tmp_path / name).touch()
    good = {"tsv": table("\t"), "csv": table(","), "jsonl": lines(ROWS)}[kind]

    def read(path):
        corpus = _manifest.load(path)
        assert all(clip.path.resolve().is_relative_to(tmp_path) for clip in corpus)
        return corpus.clips

    mutate = fuzzing.in_values(lambda data: [json.loads(line) for line in data.splitlines()], lines)
    mutate = mutate if kind == "jsonl" else fuzzing.mutated
    fuzz(tmp_path / f"m.{kind}", [good], read, mutate=mutate)
