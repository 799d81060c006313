"""A corpus encoded: equal to clips one by one; for which codec, corpus and settings a folder is."""

import numpy as np
import pyarrow.parquet as parquet
import pytest
import soundfile
import torch
from support.shard_kit import contents, encode

import audiotok
from audiotok import corpora
from audiotok.codec import checkpoints
from audiotok.corpora import encoder, encoding, sources
from audiotok.corpora.sources import Recording
from audiotok.errors import AudiotokError, CodecError, CorpusError


def test_rows_are_the_clips(clips, tmp_path):
    done = encode(clips, tmp_path / "tokens")
    assert (done.clips, len(done.failures), done.changed) == (40, 1, 0)
    assert done.failures[0]["clip"] == "broken" and "broken.wav" in done.failures[0]["message"]
    assert (tmp_path / "tokens/_failed.tsv").read_text().splitlines()[1].startswith("broken\t")
    codec, corpus = audiotok.load("mulaw"), audiotok.data.load(clips)
    expected = [clip for clip in corpus if clip.id != "broken"]
    result = list(corpora.read(tmp_path / "tokens"))
    assert [clip.id for clip, _ in result] == [clip.id for clip in expected]
    for (clip, tokens), original in zip(result, expected, strict=True):
        assert (clip.text, clip.speaker, clip.label) == (original.text, original.speaker, None)
        alone = codec.encode(original.path)
        assert torch.equal(alone.codes, tokens.codes)
        assert (alone.num_samples, alone.sample_rate) == (tokens.num_samples, tokens.sample_rate)
        assert torch.equal(codec.decode(alone).waveform, codec.decode(tokens).waveform)
    assert done.seconds == pytest.approx(sum(tokens.duration for _, tokens in result))


@pytest.mark.parametrize(
    ("sizes", "processes", "threads"),
    [
        ([], 2, []),
        ([7], 2, [2]),  # one file: both cores
        ([6, 6], 2, [1, 1]),
        ([6, 6, 6], 2, [1, 1, 2]),  # the others end when the last one starts
        ([6, 6, 6, 6, 6, 6], 2, [1] * 6),  # the last one starts beside another: three threads
        ([9, 2, 1, 1], 2, [2, 1, 1, 1]),  # larger than a process's share
        ([6, 3, 2], 2, [2, 1, 1]),
        ([6, 6, 6], 1, [1, 1, 1]),
    ],
)
def test_threads_are_given_where_a_process_would_wait(sizes, processes, threads):
    works = [encoder.Work(number, (), size=size) for number, size in enumerate(sizes)]
    scheduled = encoding._scheduled(works, processes)
    assert [work.threads for work in scheduled] == threads
    assert [work.size for work in scheduled] == sorted(sizes, reverse=True)


def test_processes_give_the_same_bytes(clips, tmp_path):
    encode(clips, tmp_path / "here")
    ticks = []

    class Watch(corpora.Progress):
        def tick(self, count, seconds):
            ticks.append((count, seconds))

    done = encode(clips, tmp_path / "there", workers=2, progress=Watch())
    assert contents(tmp_path / "here") == contents(tmp_path / "there")
    assert sum(count for count, _ in ticks) == 41
    assert sum(seconds for _, seconds in ticks) == pytest.approx(done.seconds)


def test_batches_are_compared_with_single_clips(tmp_path, monkeypatch):
    folder, generator = tmp_path / "clips", np.random.default_rng(1)
    folder.mkdir()
    for number in range(6):
        length = 9_000 + 500 * number
        soundfile.write(folder / f"{number}.wav", generator.normal(0, 0.05, length), 16_000)
    short = encode(folder, tmp_path / "short", "wavtokenizer-mini")
    assert short.compared == 0  # too few batches to spend time on it
    monkeypatch.setattr(encoder, "COMPARE_EVERY", 1)
    fast = encode(folder, tmp_path / "fast", "wavtokenizer-mini")
    strict = encode(folder, tmp_path / "strict", "wavtokenizer-mini", batch="strict")
    assert fast.compared > 0 and strict.compared == 0
    pairs = list(zip(corpora.read(fast.folder), corpora.read(strict.folder), strict=True))
    changed = sum(int((one.codes != two.codes).sum()) for (_, one), (_, two) in pairs)
    assert changed <= 2  # last bits
    metadata = corpora.Shards(fast.folder).metadata
    assert metadata["settings"]["batch"] == "ragged"
    codec = audiotok.load("wavtokenizer-mini")
    for (_, tokens), number in zip(corpora.read(strict.folder), range(6), strict=True):
        assert torch.equal(codec.encode(folder / f"{number}.wav").codes, tokens.codes)


def test_a_finished_folder_is_left_alone(clips, tmp_path):
    first = encode(clips, tmp_path / "tokens")
    times = [path.stat().st_mtime_ns for path in (tmp_path / "tokens").glob("*.parquet")]
    assert encode(clips, tmp_path / "tokens") == first
    assert [p.stat().st_mtime_ns for p in (tmp_path / "tokens").glob("*.parquet")] == times


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "random"}, "codec mulaw -> random"),
        ({"shard_clips": 7}, "settings.shard_clips 6 -> 7"),
        ({"limit": 5}, "corpus.clips 41 -> 5"),
        ({"batch": "length"}, "settings.batch strict|settings.batch"),
    ],
)
def test_a_folder_is_for_one_codec_corpus_and_settings(clips, tmp_path, settings, message):
    encode(clips, tmp_path / "tokens", batch="strict")
    before = contents(tmp_path / "tokens")
    with pytest.raises(CorpusError, match="holds other tokens") as error:
        encode(clips, tmp_path / "tokens", **({"batch": "strict"} | settings))
    assert message.split("|")[0] in str(error.value)
    assert contents(tmp_path / "tokens") == before


def test_a_folder_is_for_one_encoder(clips, tmp_path):
    """The codebooks are the same, and so the fingerprint: the decoder could not tell."""
    weights = audiotok.load("wavtokenizer-mini").checkpoint
    state, metadata = checkpoints.read_state(weights)
    checkpoints.save(tmp_path / "a.safetensors", state, metadata)
    name = next(name for name in state if name.startswith("encoder") and state[name].ndim > 1)
    checkpoints.save(tmp_path / "b.safetensors", state | {name: 2 * state[name]}, metadata)
    settings = {"name": "wavtokenizer-mini", "limit": 2, "shard_clips": 1}
    encode(clips, tmp_path / "tokens", checkpoint=tmp_path / "a.safetensors", **settings)
    before = contents(tmp_path / "tokens")
    next((tmp_path / "tokens").glob("tokens-00001-*")).unlink()
    with pytest.raises(CorpusError, match=r"holds other tokens \(encoder.weights \w+… -> \w+…\)"):
        encode(clips, tmp_path / "tokens", checkpoint=tmp_path / "b.safetensors", **settings)
    (tmp_path / "moved").mkdir()
    moved = (tmp_path / "a.safetensors").rename(tmp_path / "moved/c.safetensors")
    encode(clips, tmp_path / "tokens", checkpoint=moved, **settings)
    assert contents(tmp_path / "tokens") == before


def test_sound_that_changed_at_equal_size_is_another_corpus(clips, tmp_path):
    encode(clips, tmp_path / "tokens")
    path = clips / "clip.03.wav"
    samples, rate = soundfile.read(path, dtype="int16")
    soundfile.write(path, samples // 2, rate, subtype="PCM_16")
    with pytest.raises(
        CorpusError, match="corpus.sha256 .*sizes and modification times of all files"
    ):
        encode(clips, tmp_path / "tokens")


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"executor": "slurm"}, CorpusError, "'local' or 'ray', not 'slurm'"),
        ({"address": "auto"}, CorpusError, "address auto is for --executor ray"),
        ({"shard_clips": 0}, CorpusError, "1 clip or more"),
        ({"batch_seconds": 0}, CorpusError, "more than 0 seconds"),
        ({"batch": "ragged"}, CodecError, "mulaw knows no batch 'ragged'"),
        ({"batch": "big"}, CodecError, "strict, length, ragged, not 'big'"),
        ({"limit": 0}, CorpusError, "expected 1 or more"),
        ({"workers": -1}, CorpusError, "workers are 0 or more"),
    ],
)
def test_settings_are_checked(clips, tmp_path, settings, kind, message):
    with pytest.raises(kind, match=message):
        encode(clips, tmp_path / "tokens", **settings)


def test_a_place_that_is_taken(clips, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(AudiotokError, match="is a file, expected a folder for the tokens"):
        encode(clips, tmp_path / "file")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/rows.parquet").write_bytes(b"")
    with pytest.raises(CorpusError, match="other files and no corpus of tokens, e.g. rows.parquet"):
        encode(clips, tmp_path / "other")
    from filelock import FileLock

    (tmp_path / "busy").mkdir()
    with (
        FileLock(tmp_path / "busy/.lock"),
        pytest.raises(CorpusError, match="another process encodes"),
    ):
        encode(clips, tmp_path / "busy")


def test_shards_hold_no_more_clips_and_bytes_than_they_may(monkeypatch):
    recordings = [Recording(str(n), "x") for n in range(7)]
    source = sources.Source("x", recordings, [10, 10, 30, 100, 5, 5, 5], "")
    monkeypatch.setattr(encoding, "_BYTES", (50, 1000))
    sizes = [len(work.recordings) for work in encoding._split(source, 3)]
    assert sizes == [3, 1, 3]
    assert [work.number for work in encoding._split(source, 2)] == [0, 1, 2, 3, 4]


def test_a_few_long_files_are_work_for_several_processes():
    recordings = [Recording(str(n), "x") for n in range(6)]
    ten_minutes = 10 * 2**20
    source = sources.Source("x", recordings, [ten_minutes] * 6, "")
    assert [len(work.recordings) for work in encoding._split(source, 64)] == [1] * 6


def test_batches_by_length():
    recordings = [Recording(str(n), "x") for n in range(6)]
    batches = encoder.batches_of(recordings, [3.0, 0.0, 1.0, 9.0, 1.5, 0.0], budget=4.0)
    assert [[one.id for one in batch] for batch in batches] == [
        ["1"], ["5"], ["2", "4"], ["0"], ["3"],
    ]  # fmt: skip


def test_reading_in_other_processes_changes_nothing(clips, tmp_path):
    result = sources.load(clips, 9)
    codec = audiotok.load("mulaw")
    metadata = encoding._metadata(codec, result, batch=None, batch_seconds=None, shard_clips=9)
    import json

    jobs = [
        encoder.Job("mulaw", None, "cpu", "strict", 8.0, readers, json.dumps(metadata))
        for readers in (0, 1)
    ]
    work = encoder.Work(0, result.recordings)
    encoders = [encoder.Encoder(job) for job in jobs]
    one, two = (each.make(work, lambda *_: None) for each in encoders)
    encoders[1].close()
    assert one == two and one.clips == 8
    metadata["encoder"]["packages"] = "torch 1.0"
    with pytest.raises(CodecError, match="differs between this process .*packages torch 1.0 -> "):
        encoder.Encoder(encoder.Job("mulaw", None, "cpu", "strict", 8.0, 0, json.dumps(metadata)))


def test_metadata_say_what_made_the_shard(clips, tmp_path):
    import json

    encode(clips, tmp_path / "tokens")
    path = next((tmp_path / "tokens").glob("tokens-00001-of-*.parquet"))
    metadata = json.loads(parquet.read_schema(path).metadata[b"audiotok"])
    assert metadata["codec"] == metadata["card"]["name"] == "mulaw"
    assert metadata["fingerprint"] == audiotok.load("mulaw").fingerprint
    assert metadata["shard"]["failures"][0]["clip"] == "broken"
    assert metadata["version"] == audiotok.__version__
