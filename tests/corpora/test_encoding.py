"""A corpus encoded: equal to clips one by one, after kills too; broken files; what is refused."""

import errno
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
import soundfile
import torch

import audiotok
from audiotok import corpora
from audiotok.codec import checkpoints
from audiotok.corpora import encoder, encoding, executors, sources
from audiotok.corpora.sources import Recording
from audiotok.errors import AudiotokError, CodecError, CorpusError


def encode(clips, out, name="mulaw", **settings):
    return corpora.encode(clips, name, out, **({"workers": 0, "shard_clips": 6} | settings))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.parquet"))}


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


def test_batches_are_compared_with_single_clips(tmp_path):
    folder, generator = tmp_path / "clips", np.random.default_rng(1)
    folder.mkdir()
    for number in range(6):
        length = 9_000 + 500 * number
        soundfile.write(folder / f"{number}.wav", generator.normal(0, 0.05, length), 16_000)
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


def test_kills_at_any_moment_lose_and_double_nothing(clips, tmp_path):
    whole, out, dice = tmp_path / "whole", tmp_path / "tokens", random.Random(3)
    settings = {"shard_clips": 2}
    encode(clips, whole, **settings)
    expected, hit = contents(whole), 0
    for _ in range(8):
        child = os.fork()
        if child == 0:
            torch.set_num_threads(1)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            encode(clips, out, **settings)
            os._exit(0)
        enough = len(contents(out)) + dice.randint(0, 4)
        while len(contents(out)) < min(enough, len(expected)):
            time.sleep(1e-4)
        time.sleep(dice.random() * 0.01)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        result = contents(out)
        hit += 0 < len(result) < len(expected)
        assert all(expected[name] == content for name, content in result.items())
    (out / ".audiotok-0123456789abcdef.tmp").write_bytes(b"torn")  # left by a kill
    assert hit >= 2
    encode(clips, out, **settings)
    assert contents(out) == expected
    assert not list(out.glob(".*.tmp"))
    ids = [clip.id for clip, _ in corpora.read(out)]
    assert len(ids) == len(set(ids)) == 40


def test_a_finished_folder_is_left_alone(clips, tmp_path):
    first = encode(clips, tmp_path / "tokens")
    times = [path.stat().st_mtime_ns for path in (tmp_path / "tokens").glob("*.parquet")]
    assert encode(clips, tmp_path / "tokens") == first
    assert [p.stat().st_mtime_ns for p in (tmp_path / "tokens").glob("*.parquet")] == times


def test_a_torn_shard_is_made_again(clips, tmp_path):
    encode(clips, tmp_path / "tokens")
    before = contents(tmp_path / "tokens")
    torn = sorted((tmp_path / "tokens").glob("*.parquet"))[1]
    torn.write_bytes(torn.read_bytes()[:-20])
    with pytest.raises(CorpusError, match="remove this file and run the same `audiotok encode`"):
        encode(clips, tmp_path / "tokens")
    torn.unlink()
    encode(clips, tmp_path / "tokens")
    assert contents(tmp_path / "tokens") == before


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


def test_nothing_but_broken_files(tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips/a.wav").write_bytes(b"no")
    with pytest.raises(CorpusError, match="none of 1 clips could be encoded, first a: .*a.wav"):
        encode(tmp_path / "clips", tmp_path / "tokens")


def test_a_codec_that_is_not_there_is_one_line():
    job = encoder.Job("no-such-codec", None, "cpu", "strict", 8.0, 0, "{}")
    works = [encoder.Work(0, [Recording("a", "a.wav")])]
    with pytest.raises(CodecError, match="no codec 'no-such-codec'"):
        list(executors.here(job, works, lambda *_: None))
    with pytest.raises(CodecError, match="no codec 'no-such-codec'"):
        list(executors.local(job, works, lambda *_: None, 1))


DEADLY = """
import os
from pathlib import Path
import torch
from audiotok.codec import Codec, CodecCard

class Deadly(Codec):
    CARDS = (CodecCard(name="deadly", family="deadly", description="ends its process",
        sample_rate_in=8000, sample_rate_out=8000, hop_length=1, codebook_sizes=(256,),
        licence_code="Apache-2.0", verified="by tests"),)

    def _load(self, checkpoint):
        self.folder = Path(__file__).parent

    def _encode(self, waveform):
        if (self.folder / "memory").exists():
            raise MemoryError
        count = waveform.shape[-1]
        if count == 5000:
            os.kill(os.getpid(), 9)
        return torch.zeros(len(waveform), 1, count, dtype=torch.int64)

    def _decode(self, codes):
        return torch.zeros(codes.shape[0], 1, codes.shape[2])
"""


@pytest.fixture
def deadly(tmp_path):
    """A codec that ends its process at clips of 5000 samples; one of these, and others."""
    (tmp_path / "deadly.py").write_text(DEADLY)
    (tmp_path / "sound").mkdir()
    for number, length in enumerate((1000, 2000, 5000, 3000, 4000)):
        soundfile.write(tmp_path / f"sound/{number}.wav", np.zeros(length), 8000)
    return tmp_path / "deadly.py"


def test_a_clip_that_ends_its_process_is_left_out_and_named(deadly, tmp_path):
    done = encode(tmp_path / "sound", tmp_path / "tokens", str(deadly), workers=1, shard_clips=3)
    (failure,) = done.failures
    assert (
        failure["clip"] == "2"
        and "twice with the whole shard and once with this clip alone" in failure["message"]
    )
    assert (tmp_path / "tokens/_failed.tsv").read_text().splitlines()[1].startswith("2\t")
    assert [clip.id for clip, _ in corpora.read(done.folder)] == ["0", "1", "3", "4"]


def test_what_may_pass_is_no_failed_clip(deadly, tmp_path):
    (tmp_path / "memory").write_text("")
    settings = {"limit": 2, "shard_clips": 1}
    with pytest.raises(CorpusError, match="2 of 2 shards could not be encoded, at clip 0: Memory"):
        encode(tmp_path / "sound", tmp_path / "tokens", str(deadly), **settings)
    assert not contents(tmp_path / "tokens") and not (tmp_path / "tokens/_failed.tsv").exists()
    (tmp_path / "memory").unlink()
    assert encode(tmp_path / "sound", tmp_path / "tokens", str(deadly), **settings).clips == 2


def test_a_full_disk_while_reading_is_no_failed_clip(clips, tmp_path, monkeypatch):
    read = Recording.read

    def full(self):
        if self.id == "clip.03":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return read(self)

    monkeypatch.setattr(Recording, "read", full)
    with pytest.raises(CorpusError, match="1 of 7 shards .* at clip clip.03: .*No space left"):
        encode(clips, tmp_path / "tokens")
    monkeypatch.undo()
    assert len(contents(tmp_path / "tokens")) == 6
    assert encode(clips, tmp_path / "tokens").clips == 40


def test_a_death_that_passes_and_one_that_does_not():
    """The first ends the process once, the other always."""
    deaths, tried = {"a"}, []

    def attempt(work, again):
        ids = {one.id for one in work.recordings} - work.left_out.keys()
        tried.append((sorted(ids), again))
        if ids & deaths:
            deaths.discard("a")
            raise executors._ProcessDied
        return encoder.ShardResult(work.number, failures=sorted(work.left_out))

    work = encoder.Work(5, [Recording(name, "x") for name in "abc"])
    assert executors._surviving(work, attempt) == encoder.ShardResult(5)
    assert tried == [(["a", "b", "c"], False), (["a", "b", "c"], True)]
    deaths.add("b")
    assert executors._surviving(work, attempt).failures == ["b"]
    assert tried[2:] == [
        (["a", "b", "c"], False), (["a", "b", "c"], True), ([], True),
        (["a"], True), (["b"], True), (["c"], True), (["a", "c"], True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("deaths", "message"),
    [
        (lambda work: not work.recordings, "dies while it loads the codec"),
        (lambda work: True, "dies while it loads the codec"),
        (lambda work: len(work.recordings) > 0, "dies at every clip"),
        (lambda work: len(work.recordings) > 1, "but not at any single clip"),
    ],
)
def test_deaths_that_are_no_clip_s_fault(deaths, message):
    def attempt(work, again):
        if deaths(work) or len(work.recordings) == 2:
            raise executors._ProcessDied
        return encoder.ShardResult(work.number)

    work = encoder.Work(5, [Recording("a", "x"), Recording("b", "x")])
    result = executors._surviving(work, attempt)
    assert (
        isinstance(result, encoder.FailedShard) and message in result.message and result.number == 5
    )


def test_shards_hold_no_more_clips_and_bytes_than_they_may(monkeypatch):
    recordings = [Recording(str(n), "x") for n in range(7)]
    source = sources.Source("x", recordings, [10, 10, 30, 100, 5, 5, 5], "")
    monkeypatch.setattr(encoding, "_BYTES", (50, 1000))
    sizes = [len(work.recordings) for work in encoding._works(source, 3)]
    assert sizes == [3, 1, 3]
    assert [work.number for work in encoding._works(source, 2)] == [0, 1, 2, 3, 4]


def test_a_few_long_files_are_work_for_several_processes():
    recordings = [Recording(str(n), "x") for n in range(6)]
    ten_minutes = 10 * 2**20
    source = sources.Source("x", recordings, [ten_minutes] * 6, "")
    assert [len(work.recordings) for work in encoding._works(source, 64)] == [1] * 6


def test_batches_by_length():
    recordings = [Recording(str(n), "x") for n in range(6)]
    batches = encoder.in_batches(recordings, [3.0, 0.0, 1.0, 9.0, 1.5, 0.0], budget=4.0)
    assert [[one.id for one in batch] for batch in batches] == [
        ["1"], ["5"], ["2", "4"], ["0"], ["3"],
    ]  # fmt: skip


def test_reading_in_other_processes_changes_nothing(clips, tmp_path):
    result = sources.load(clips, 9)
    codec = audiotok.load("mulaw")
    metadata = encoding._metadata(codec, result, "cpu", None, None, 9)
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


@pytest.mark.parametrize("workers", [0, 1])
def test_names_that_are_not_utf8_and_errors_of_any_kind(clips, tmp_path, workers):
    """Each is a failed clip of its own, or none; a corpus never ends in a traceback."""
    folder = tmp_path / "odd"
    folder.mkdir()
    good = (clips / "clip.00.wav").read_bytes()
    for name in (b"a.wav", b"caf\xe9.wav", b"\xff\xfe"):
        Path(os.fsdecode(bytes(folder) + b"/" + name)).write_bytes(good)
    Path(os.fsdecode(bytes(folder) + b"/bad\xe9.wav")).write_bytes(b"RIFF nothing")
    done = encode(folder, tmp_path / "tokens", workers=workers)
    assert (done.clips, len(done.failures)) == (3, 1)
    assert r"bad\udce9.wav is not a sound file" in (tmp_path / "tokens/_failed.tsv").read_text()


@pytest.mark.parametrize("error", [RuntimeError("no"), ValueError("no"), RecursionError("no")])
def test_any_error_of_reading_a_clip_is_its_failure(clips, tmp_path, monkeypatch, error):
    def read(self, **kinds):
        if self.where.endswith("clip.05.wav"):
            raise error
        return before(self)

    before = Recording.read
    monkeypatch.setattr(Recording, "read", read)
    done = encode(clips, tmp_path / "tokens")
    assert sorted(one["clip"] for one in done.failures) == ["broken", "clip.05"]


@pytest.mark.parametrize("error", [MemoryError(), OSError(28, "No space left on device")])
def test_what_the_machine_lacks_is_no_failure_of_a_clip(clips, tmp_path, monkeypatch, error):
    def fail(self):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Recording, "read", fail)
        with pytest.raises(CorpusError, match="not be encoded.*the same command tries these"):
            encode(clips, tmp_path / "tokens")
    assert not contents(tmp_path / "tokens")
    assert len(encode(clips, tmp_path / "tokens").failures) == 1
