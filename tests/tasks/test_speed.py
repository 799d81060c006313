"""Real-time factors: audio by work, totals over a corpus, the hardware named; batches, memory."""

from dataclasses import replace

import pandas
import pytest
import torch

import audiotok
from audiotok import tasks
from audiotok.sound.audio import Audio
from audiotok.tasks import Item, _load
from audiotok.tasks.speed import hardware


def _item(duration, encode, decode, device=None):
    sound = Audio(torch.zeros(1, int(16_000 * duration)), 16_000)
    return Item(None, sound, sound, None, encode, decode, device)


def test_a_clip():
    row = tasks.get("speed").score(_item(2.0, 0.5, 0.25, "an abacus"))
    assert row["rtf_encode"] == 4
    assert row["rtf_decode"] == 8
    assert row["hardware"] == "an abacus"


def test_a_corpus_is_all_audio_by_all_work():
    """9 s at 9x and 1 s at 0.5x: 10 s in 3 s of work, not a mean of 4.75."""
    task = tasks.get("speed")
    rows = pandas.DataFrame([task.score(_item(9.0, 1.0, 1.0)), task.score(_item(1.0, 2.0, 4.0))])
    assert task.summarise(rows, []) == pytest.approx({"rtf_encode": 10 / 3, "rtf_decode": 2})


def test_the_ceiling_row_has_no_speed():
    task = tasks.get("speed")
    assert task.score(_item(1.0, None, None)) == {}
    assert task.summarise(pandas.DataFrame([{}]), []) == {}
    assert task.timing


def test_hardware_is_one_line_with_its_threads():
    name = hardware("cpu")
    assert f"{torch.get_num_threads()} thread" in name
    assert "\n" not in name


def test_batches_are_doubled_as_long_as_that_gains(monkeypatch):
    """Work takes 1 s and 0.1 s for each clip: 4 clips gain, 8 run out of memory."""
    clock = [0.0]
    monkeypatch.setattr(_load.time, "perf_counter", lambda: clock[0])
    tried = []

    def work(batch):
        tried.append(batch)
        if batch > most:
            raise torch.OutOfMemoryError("full")
        clock[0] += fixed + each * batch

    fixed, each, most = 1.0, 0.1, 4
    assert _load.best_batch(work) == (4, pytest.approx(4 * _load.SECONDS / 1.4))
    fixed, most = 0.0, 16
    tried.clear()
    assert _load.best_batch(work) == (1, pytest.approx(_load.SECONDS / 0.1))
    assert tried == [1, 1, 2, 2]
    fixed = 100.0
    assert _load.best_batch(work)[0] == 16


def test_excerpts_are_as_long_as_they_should_be():
    short = _load.excerpt(Audio(torch.tensor([[0.25, 0.5, 0.75]]), 1000))
    assert short.duration == _load.SECONDS
    assert short.waveform[0, :7].tolist() == [0.25, 0.5, 0.75, 0.25, 0.5, 0.75, 0.25]
    long = Audio(torch.rand(2, 1000 * 20), 1000)
    assert torch.equal(_load.excerpt(long).waveform, long.waveform[:, : 1000 * _load.SECONDS])


@pytest.mark.skipif(not _load.can_measure_memory(), reason="the system tells no peak")
def test_memory_is_weights_and_what_coding_adds():
    """A codec of 8 MB of weights that makes 80 MB while it encodes, 40 MB while it decodes."""

    class Hungry:
        device = torch.device("cpu")
        network = torch.nn.Linear(2_000, 1_000, bias=False)

        def encode(self, clip):
            torch.ones(20_000_000)

        def decode(self, tokens):
            torch.ones(10_000_000)

    peak = min(_load.peak_memory(Hungry(), None) for _ in range(3))
    assert peak / 1e6 == pytest.approx(88, abs=8)


def test_a_codec_is_measured_once_and_its_rows_carry_it(monkeypatch):
    task = tasks.get("speed")
    codec = audiotok.load("mulaw")
    sound = Audio(torch.rand(1, 16_000) - 0.5, 16_000)
    observed = task.observe(codec, sound, codec.encode(sound))
    monkeypatch.setattr(_load, "measure", None)
    assert task.observe(codec, sound, None) == observed
    expected = {"batch_encode", "batch_decode", "rtf_encode_batched", "rtf_decode_batched"}
    assert set(observed) - {"peak_memory"} == expected
    row = task.score(replace(_item(2.0, 0.5, 0.25, "an abacus"), observed=observed))
    assert observed.items() <= row.items() and set(row) - {"hardware"} <= {
        c.name for c in task.columns
    }


@pytest.mark.parametrize("name", ["speed", "cost"])
def test_what_is_measured_once_leaves_the_random_numbers_alone(name):
    codec = audiotok.load("random")
    sound = Audio(torch.rand(1, 16_000) - 0.5, 16_000)
    before = torch.get_rng_state()
    tasks.get(name).observe(codec, sound, None)
    assert torch.equal(torch.get_rng_state(), before)


def test_byte_streams_have_no_batches():
    pytest.importorskip("soundfile")
    row = _load.measure(audiotok.load("opus-6k"), Audio(torch.rand(1, 16_000) - 0.5, 16_000))
    assert not any("batch" in name for name in row)
