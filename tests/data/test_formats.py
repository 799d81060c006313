"""Formats of others: segments, NeMo, Kaldi, AudioFolder, Lhotse, and the document of them."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiotok import data
from audiotok.corpora import sources
from audiotok.data import Clip, _segments
from audiotok.errors import AudioError, CorpusError
from audiotok.recogniser.training import sound_of
from audiotok.training import sounds

DOCUMENT = Path(__file__).parents[2] / "docs/manifests.md"


@pytest.fixture
def folder(tmp_path):
    """a.wav and b.wav of one second in clips/; sample n of a.wav is n / 16000."""
    root = tmp_path / "corpus"
    (root / "clips").mkdir(parents=True)
    ramp = np.arange(16_000, dtype=np.float32) / 16_000
    soundfile.write(root / "clips/a.wav", ramp, 16_000, subtype="FLOAT")
    soundfile.write(root / "clips/b.wav", ramp[::-1], 16_000, subtype="FLOAT")
    return root


def written(path, *rows):
    path.parent.mkdir(exist_ok=True, parents=True)
    text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


# --- segments --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "segment"),
    [
        ({"offset": 0.5, "duration": 0.25}, (0.5, 0.25)),
        ({"start": 0.5, "end": 0.75}, (0.5, 0.25)),
        ({"offset": 0.5}, (0.5, None)),
        ({"duration": 0.25}, (0.0, 0.25)),
        ({"end": "0.25"}, (0.0, 0.25)),
        ({"offset": 0, "duration": None}, (0.0, None)),
    ],
)
def test_a_segment_is_what_is_read(folder, row, segment):
    path = written(folder / "m.jsonl", {"audio": "clips/a.wav"} | row)
    corpus = data.load(path)
    (clip,) = corpus
    assert (clip.offset, clip.duration) == segment and clip.id == "clips__a"
    start = round(16_000 * segment[0])
    stop = 16_000 if segment[1] is None else start + round(16_000 * segment[1])
    whole = Clip("x", clip.path).read().waveform[:, start:stop]
    assert clip.read().waveform.equal(whole) and clip.original().waveform.equal(whole)
    assert sound_of(clip).equal(whole[0])
    (recording,) = sources.load(path).recordings
    assert recording.read().waveform.equal(whole)
    assert recording.seconds() == pytest.approx(whole.shape[1] / 16_000)


def test_segments_of_one_file_have_their_own_ids_and_hashes(folder):
    def load(*segments):
        rows = [f"clips/a.wav\t{start}\t{end}" for start, end in segments]
        return data.load(written(folder / "m.tsv", "audio\tstart\tend", *rows))

    corpus = load((0, 0.5), (0.5, 1), ("", 0.25))
    assert [clip.id for clip in corpus] == [
        "clips__a-0000000-0000500", "clips__a-0000500-0001000", "clips__a-0000000-0000250"
    ]  # fmt: skip
    assert load((0, 0.5)).sha256 != load((0, 0.6)).sha256 != load(("", "")).sha256
    plain = data.load(written(folder / "n.tsv", "audio", "clips/a.wav"))
    assert plain.sha256 == load(("", "")).sha256
    one, other = (
        sources.load(written(folder / "m.tsv", "audio\tend", f"clips/a.wav\t{end}")).sha256
        for end in (0.5, 0.6)
    )
    assert one != other
    with pytest.raises(CorpusError, match="line 3: audio 'clips/a.wav' was already in line 2"):
        load((0, 0.5), (0, 0.5))


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"offset": "x"}, "line 1 has offset 'x': expected seconds, 0 or more"),
        ({"offset": -1}, "has offset '-1': expected seconds"),
        ({"end": "inf"}, "has end 'inf': expected seconds"),
        ({"start": 1, "end": 1}, "is a segment of 0 s from 1 s"),
        ({"start": 1, "offset": 1}, "has start and offset: give one"),
        ({"end": 1, "duration": 1}, "has end and duration: give one"),
        ({"start_sample": 1}, "the column 'start_sample' would change which sound is read"),
        ({"channel": 1}, "the column 'channel' would change which sound is read"),
        ({"Offset": 1}, "the column 'Offset' would change which sound is read"),
        ({"offset": 0.1, "reference": "clips/b.wav"}, "is a whole file, not a segment"),
        ({"text": True}, "text is true, expected a string"),
    ],
)
def test_segments_that_mean_nothing_are_refused(folder, row, says):
    path = written(folder / "m.jsonl", {"audio": "clips/a.wav"} | row)
    with pytest.raises(CorpusError, match=re.escape(says)) as caught:
        data.load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_segments_beyond_the_end_are_errors_and_roundings_are_not(folder):
    audio = Clip("x", folder / "clips/a.wav").read()
    assert _segments.cut(audio, (0.5, 0.54), "a.wav").num_samples == 8_000
    for segment in ((0.5, 0.6), (1.0, None), (1.0, 0.01)):
        with pytest.raises(AudioError, match=r"a.wav has 1 s, but the segment is"):
            _segments.cut(audio, segment, "a.wav")
    assert _segments.cut(audio, (0.99999, None), "a.wav").num_samples == 1
    assert _segments.cut(audio, (0.5, 1e-9), "a.wav").num_samples == 1


def test_training_refuses_segments(folder):
    path = written(folder / "m.jsonl", {"audio": "clips/a.wav", "duration": 0.5})
    with pytest.raises(CorpusError, match="clips__a is a segment of its file"):
        sounds.load(str(path))


# --- JSON lines ------------------------------------------------------------------------------


def test_nan_and_null_are_missing(folder):
    rows = ['{"audio": "clips/a.wav", "text": NaN}', '{"audio": "clips/b.wav", "text": null}']
    assert [clip.text for clip in data.load(written(folder / "m.jsonl", *rows))] == [None, None]
    with pytest.raises(CorpusError, match="Infinity is no number of JSON"):
        data.load(written(folder / "m.jsonl", '{"audio": "clips/a.wav", "text": Infinity}'))


def test_gzipped_lines_are_bounded_and_damaged_ones_are_one_line(folder, monkeypatch):
    path = written(folder / "m.jsonl.gz", {"audio": "clips/a.wav", "text": "x" * 100})
    assert len(data.load(path).clips[0].text) == 100
    monkeypatch.setattr("audiotok.data._jsonl.MAX_LENGTH", 50)
    with pytest.raises(CorpusError, match="line 1 is longer than 50"):
        data.load(path)
    for damaged in (path.read_bytes()[:-9], b"no gzip", b"\x1f\x8b" + b"\0" * 40):
        path.write_bytes(damaged)
        with pytest.raises(CorpusError, match=r"cannot be read|line 1 is longer"):
            data.load(path)


# --- absolute paths, NeMo ----------------------------------------------------------------------


def test_absolute_paths_below_the_manifest_or_a_named_folder(folder, tmp_path, monkeypatch):
    inside = written(folder / "m.json", {"audio_filepath": str(folder / "clips/a.wav")})
    assert data.load(inside).clips[0].id == "clips__a"
    outside = written(tmp_path / "lists/m.tsv", "audio", str(folder / "clips/../clips/a.wav"))
    with pytest.raises(CorpusError, match="absolute path outside .* in .AUDIOTOK_AUDIO_ROOTS"):
        data.load(outside)
    monkeypatch.setenv("AUDIOTOK_AUDIO_ROOTS", f"/nowhere:{folder}")
    (clip,) = data.load(outside)
    assert clip.path == folder / "clips/a.wav" and clip.id == "clips__a"
    written(tmp_path / "lists/m.tsv", "audio", str(folder / "../secret.wav"))
    with pytest.raises(CorpusError, match="absolute path outside"):
        data.load(outside)


# --- Kaldi -----------------------------------------------------------------------------------


def test_a_kaldi_folder_without_segments(folder):
    written(folder / "wav.scp", "spk/1 clips/a.wav", "two  clips/b.wav")
    written(folder / "text", "spk/1 hello there")
    one, two = data.load(folder)
    assert (one.text, two.text, two.id) == ("hello there", None, "two")
    assert one.id.startswith("spk__1") and two.read().num_samples == 16_000


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"wav.scp": "a sox clips/a.wav -t wav - |"}, "wav.scp, line 1: audio .* is a command"),
        ({"wav.scp": "a clips/a.wav\na clips/b.wav"}, "line 2: 'a' was already in line 1"),
        ({"wav.scp": "a clips/c.wav"}, "'clips/c.wav' does not exist"),
        ({"wav.scp": "a"}, "audio is empty"),
        ({"wav.scp": ""}, "lists no clips"),
        ({"segments": "u x 0 1"}, "segments, line 1: the recording 'x' is not in wav.scp"),
        ({"segments": "u a 0"}, "expected UTTERANCE RECORDING START END"),
        ({"segments": "u a 1 0.5"}, "segments, line 1 is a segment of -0.5 s"),
        ({"text": "b hello"}, "text, line 1: 'b' is not in wav.scp"),
        ({"utt2spk": b"\xff"}, "cannot be read as UTF-8"),
        ({"reco2file_and_channel": "a a B"}, "chooses a channel"),
    ],
)
def test_mistakes_in_kaldi_folders(folder, files, says):
    for name, text in ({"wav.scp": "a clips/a.wav"} | files).items():
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(CorpusError, match=says) as caught:
        data.load(folder)
    assert "\n" not in str(caught.value)


# --- AudioFolder -------------------------------------------------------------------------------


def test_an_audiofolder_of_splits(folder):
    for split, name in (("train", "a"), ("test", "b")):
        row = {"file_name": f"{name}.wav", "sentence": name, "speaker_id": 7, "path": "x"}
        written(folder / split / "metadata.jsonl", row)
        (folder / "clips" / f"{name}.wav").rename(folder / split / f"{name}.wav")
    test, train = data.load(folder)
    assert (train.id, train.text, train.speaker, train.split) == ("train__a", "a", "7", "train")
    assert (test.id, test.split) == ("test__b", "test")


def test_metadata_that_name_no_files_or_two_texts(folder):
    written(folder / "metadata.csv", "a|hello there|hello there")  # LJSpeech
    assert [clip.id for clip in data.load(folder)] == ["clips__a", "clips__b"]
    written(folder / "metadata.csv", "file_name,sentence,transcript", "clips/a.wav,x,y")
    with pytest.raises(CorpusError, match="transcript and sentence could both be text"):
        data.load(folder)
    written(folder / "metadata.csv", "file_name,sentence,text", "clips/a.wav,x,y")
    assert [clip.text for clip in data.load(folder)] == ["y"]
    written(folder / "metadata.jsonl", {"file_name": "clips/a.wav"})
    with pytest.raises(CorpusError, match="are in one folder"):
        data.load(folder)


# --- Lhotse ------------------------------------------------------------------------------------


def recording(**changes):
    source = {"type": "file", "channels": [0], "source": "clips/a.wav"}
    return {"id": "r", "sources": [source], "sampling_rate": 16_000} | changes


def cut(**changes):
    return {"id": "c", "start": 0, "duration": 1.0, "recording": recording()} | changes


def test_recordings_and_their_supervisions(folder):
    path = written(folder / "recordings.jsonl.gz", recording())
    (whole,) = data.load(folder)
    assert (whole.id, whole.is_segment) == ("r", False)
    message = {"id": "s", "recording_id": "r", "start": 0.5, "duration": 0.25, "channel": 0}
    other = written(folder / "supervisions.jsonl", message | {"text": "hello", "speaker": "anna"})
    for source in (folder, path, other):
        (clip,) = data.load(source)
        assert (clip.id, clip.text, clip.speaker) == ("s", "hello", "anna")
        assert (clip.offset, clip.duration) == (0.5, 0.25)
    written(other, message | {"recording_id": "q"})
    with pytest.raises(CorpusError, match="line 1: no recording 'q' in .*recordings.jsonl.gz"):
        data.load(folder)
    path.unlink()
    with pytest.raises(
        CorpusError, match="supervisions, but the file of their recordings is missing"
    ):
        data.load(other)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (cut(type="MixedCut"), "a cut of type 'MixedCut'"),
        (cut(recording=None), "expected a MonoCut with its recording"),
        (cut(supervisions=[{}, {}]), "one supervision at most"),
        (cut(supervisions=[3]), "one supervision at most"),
        (cut(channel=1), "channel 1: expected channel 0"),
        (cut(duration="x"), "has duration 'x'"),
        (recording(sources=[]), "expected a recording with one source"),
        (recording(sources=[{"type": "command", "source": "x"}]), "type 'command': only files"),
        (recording(sources=[{"type": "url", "source": "http://x"}]), "type 'url': only files"),
        (recording(transforms=[{"name": "Speed"}]), "with transforms"),
        (recording(sources=[recording()["sources"][0] | {"channels": [0, 1]}]), "one channel"),
    ],
)
def test_what_lhotse_can_say_and_is_not_followed(folder, row, says):
    path = written(folder / "cuts.jsonl", row)
    for source in (folder, path):
        with pytest.raises(CorpusError, match=says) as caught:
            data.load(source)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


# --- the rest ----------------------------------------------------------------------------------


def test_datasets_of_the_hub_are_refused_where_they_cannot_be_read():
    with pytest.raises(CorpusError, match=r"only `encode` and `train` read: expected a folder"):
        data.load("hf:org/name")


def test_the_examples_of_the_document(folder):
    text = DOCUMENT.read_text().split("## Examples")[1]
    blocks = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    names = ("manifest.tsv", "segments.csv", "nemo.json")
    names += ("wav.scp", "segments", "text", "utt2spk", "metadata.csv", "cuts.jsonl")
    assert len(blocks) == len(names)
    files = dict(zip(names, blocks, strict=True))
    assert all(f"`{name}`" in text for name in files)

    def load(*names, source=None):
        for name in names:
            (folder / name).write_text(files[name])
        result = data.load(folder / source if source else folder)
        for name in names:
            (folder / name).unlink()
        clips = [(c.id, c.text, c.speaker, c.offset, c.duration) for c in result]
        assert all(clip.path.is_file() for clip in result)
        return clips

    assert load("manifest.tsv") == [
        ("clips__a", "hello there", "anna", 0.0, None), ("clips__b", None, "ben", 0.0, None)
    ]  # fmt: skip
    assert load("segments.csv", source="segments.csv") == [
        ("clips__a-0000000-0000500", "hello", None, 0.0, 0.5),
        ("clips__a-0000500-0001000", "there", None, 0.5, 0.5),
    ]
    assert load("nemo.json", source="nemo.json") == [
        ("clips__a", "hello", None, 0.25, 0.5), ("clips__b", "there", None, 0.0, 1.0)
    ]  # fmt: skip
    assert load("wav.scp", "segments", "text", "utt2spk") == [
        ("utt1", "hello there", "anna", 0.0, 0.5), ("utt2", "good morning", "ben", 0.25, None)
    ]  # fmt: skip
    assert load("metadata.csv") == [
        ("clips__a", "hello there", None, 0.0, None), ("clips__b", "good morning", None, 0.0, None)
    ]  # fmt: skip
    assert load("cuts.jsonl") == [("cut1", "hello", "anna", 0.25, 0.5)]
