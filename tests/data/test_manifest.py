"""Every mistake in a manifest is one clear line that names file, line and value."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audiotok import data
from audiotok.errors import CorpusError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    inside = tmp_path_factory.mktemp("corpus") / "inside"
    inside.mkdir()
    for path in (inside / "a.wav", inside / "b.wav", inside.parent / "outside.wav"):
        soundfile.write(path, np.zeros(160), 16_000)
    return inside


TSV, CSV, JSONL = "m.tsv", "m.csv", "m.jsonl"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (TSV, "", "column 'audio' is missing"),
        (TSV, "audio\ttext\n", "lists no clips"),
        (TSV, "a.wav\thello\n", "'audio' is missing .found: a.wav, hello"),
        (TSV, "audio\ttranscript\na.wav\thi\n", "'transcript': rename it if it means 'text'"),
        (TSV, "audio\tspeakr\na.wav\tx\n", "'speakr': rename it if it means 'speaker'"),
        (TSV, "Audio\na.wav\n", "'Audio': rename it if it means 'audio'"),
        (TSV, "path\na.wav\n", "'path': rename it if it means 'audio'"),
        (TSV, "audio\taudio\na.wav\ta.wav\n", "'?audio'? is there twice"),
        (TSV, "audio\ttext\na.wav\n", "line 2: 1 cells, but the header names 2"),
        (TSV, "audio\ttext\n\ta\n", "line 2: audio is empty"),
        (TSV, "audio\ngone.wav\n", "line 2: audio 'gone.wav' does not exist"),
        (TSV, "audio\n.\n", "does not exist or is not a file"),
        (TSV, "audio\n" + "n" * 5000 + "\n", "does not exist"),
        (TSV, "audio\treference\na.wav\tgone.wav\n", "reference 'gone.wav' does not exist"),
        (TSV, "audio\n../outside.wav\n", "leads out of the manifest's folder"),
        (TSV, "audio\nx/../../outside.wav\n", "leads out"),
        (TSV, "audio\n/etc/passwd\n", "absolute path"),
        (TSV, "audio\nC:\\a.wav\n", "absolute path"),
        (TSV, "audio\nsox a.wav -t wav - |\n", "is a command"),
        (TSV, "audio\n| cat a.wav\n", "is a command"),
        (TSV, "audio\nhttps://example.org/a.wav\n", "is an address"),
        (TSV, "audio\na.wav\0\n", "unprintable"),
        (TSV, "audio\na.wav\na.wav\n", "line 3: audio 'a.wav' was already in line 2"),
        (TSV, "audio\tid\na.wav\tx\nb.wav\tX\n", "id 'X' was already in line 2"),
        (TSV, "audio\tid\na.wav\tx\nb.wav\t../x\n", "id '../x' is not safe"),
        (TSV, b"audio\n\xff.wav\n", "not UTF-8"),
        (CSV, 'audio,text\na.wav,"open\n', "line 2"),
        (CSV, "audio,text\na.wav," + "x" * 200_000 + "\n", "field larger"),
        (JSONL, "{audio: 1}\n", "line 1 is not JSON"),
        (JSONL, "[" * 100_000, "line 1 is not JSON"),
        (JSONL, '["a.wav"]\n', "expected an object"),
        (JSONL, '{"text": "hi"}\n', "'audio' is missing"),
        (JSONL, '{"audio": ["a.wav"]}\n', "expected a string"),
    ],
)
def test_mistakes(folder, name, content, says):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CorpusError, match=says) as caught:
        data.load(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    assert len(str(caught.value)) < 600


def test_other_columns_are_left_alone(folder):
    (folder / TSV).write_text("codec\taudio\tsecond text\tdomain\nx\ta.wav\ty\tz\n")
    assert [(c.id, c.text) for c in data.load(folder / TSV)] == [("a", None)]


def test_reference_and_licence(folder):
    (folder / TSV).write_text(
        "\ufeffaudio\treference\tlicence\tid\nb.wav\t./a.wav\tCC0\tfirst\n\na.wav\n".replace(
            "\na.wav\n", "\na.wav\t\t\t\n"
        )
    )
    corpus = data.load(folder / TSV)
    assert [clip.id for clip in corpus] == ["first", "a"]
    assert corpus.clips[0].reference == folder / "a.wav" and corpus.licence == "CC0"


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=200), name=st.sampled_from([TSV, CSV, JSONL]), head=st.booleans())
def test_any_bytes_give_a_corpus_or_one_line(folder, content, name, head):
    (folder / name).write_bytes((b"audio\ttext\n" if head else b"") + content)
    try:
        corpus = data.load(folder / name)
    except CorpusError as error:
        assert "\n" not in str(error)
    else:
        assert all(clip.path.is_file() for clip in corpus)


def test_a_split_counts_in_the_hash_only_where_there_is_one(folder):
    (folder / TSV).write_text("audio\na.wav\nb.wav\n")
    plain = data.load(folder / TSV)
    (folder / TSV).write_text("audio\tsplit\na.wav\ttest\nb.wav\t\n")
    assert [clip.split for clip in data.load(folder / TSV)] == ["test", None]
    assert data.load(folder / TSV).sha256 != plain.sha256
    (folder / TSV).write_text("audio\tsplit\na.wav\t\nb.wav\t\n")
    assert data.load(folder / TSV).sha256 == plain.sha256
    (folder / TSV).write_text("audio\tsplit\na.wav\tdev\n")
    with pytest.raises(CorpusError, match="line 2: split is 'dev', expected train, validation"):
        data.load(folder / TSV)


def test_what_clips_have_in_common(folder):
    (folder / TSV).write_text("audio\tspeaker\tsession\na.wav\tanna\t\nb.wav\t\tmonday\n")
    corpus = data.load(folder / TSV)
    assert corpus.clusters == [
        {"speaker": "anna", "session": None}, {"speaker": None, "session": "monday"},
    ]  # fmt: skip
    sha256 = corpus.sha256
    (folder / TSV).write_text("audio\tspeaker\na.wav\tanna\nb.wav\t\n")
    assert data.load(folder / TSV).sha256 != sha256
    (folder / TSV).write_text("audio\tstart\tend\na.wav\t0\t1\na.wav\t1\t2\nb.wav\t\t\n")
    sessions = [clip["session"] for clip in data.load(folder / TSV).clusters]
    assert sessions == ["file 1", "file 1", None]  # segments of one file


@pytest.mark.parametrize("column", ["text", "speaker", "session", "label", "id", "licence"])
def test_half_a_surrogate_pair_is_no_text(tmp_path, column):
    soundfile.write(tmp_path / "a.wav", np.zeros(160), 16_000)
    (tmp_path / "m.jsonl").write_text('{"audio": "a.wav", "' + column + '": "\\ud83d hi"}\n')
    with pytest.raises(CorpusError, match=f"line 1: {column} has half of a surrogate pair"):
        data.load(tmp_path / "m.jsonl")


@pytest.mark.parametrize("offset", ["1e308", "1e10", "inf", "nan", "-1"])
def test_segments_of_no_length_that_sound_has(tmp_path, offset):
    (tmp_path / "a.wav").touch()
    table = f"audio\toffset\tduration\na.wav\t0\t1\na.wav\t{offset}\t1\n"
    (tmp_path / "m.tsv").write_text(table)
    with pytest.raises(CorpusError, match="line 3 has offset .* expected seconds, 0 or more"):
        data.load(tmp_path / "m.tsv")
