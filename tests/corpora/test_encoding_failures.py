"""What goes wrong while a corpus is encoded: kills, broken clips, dying processes, full disks."""

import errno
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from support.shard_kit import contents, encode

from audiotok import corpora
from audiotok.corpora import encoder, executors
from audiotok.corpora.sources import Recording
from audiotok.errors import CodecError, CorpusError


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
import time
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
        if count == 6000:
            time.sleep(30)
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


def test_an_interrupt_does_not_wait_for_the_shards_in_progress(deadly, tmp_path, monkeypatch):
    (tmp_path / "slow").mkdir()
    soundfile.write(tmp_path / "slow/0.wav", np.zeros(6000), 8000)

    def interrupted(*_):
        time.sleep(0.5)
        raise KeyboardInterrupt

    monkeypatch.setattr(executors, "wait", interrupted)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        encode(tmp_path / "slow", tmp_path / "tokens", str(deadly), workers=1)
    assert time.monotonic() - start < 20


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
    assert executors._without_crashing_clips(work, attempt) == encoder.ShardResult(5)
    assert tried == [(["a", "b", "c"], False), (["a", "b", "c"], True)]
    deaths.add("b")
    assert executors._without_crashing_clips(work, attempt).failures == ["b"]
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
    result = executors._without_crashing_clips(work, attempt)
    assert (
        isinstance(result, encoder.FailedShard) and message in result.message and result.number == 5
    )


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
        if self.location.endswith("clip.05.wav"):
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
