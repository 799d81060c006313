"""The streaming tasks: what a stream gives beside the whole, and the work per chunk."""

from pathlib import Path

import pandas
import pytest
import torch

import audiotok
from audiotok import tasks
from audiotok.sound.audio import Audio
from audiotok.tasks import Item
from audiotok.testing.sounds import audio, voice
from audiotok.tokens import Tokens

REFERENCE = audio(voice(16_000, 0.5), 16_000)


def stranger():
    return audiotok.load(Path(__file__).parents[1] / "support" / "stranger_codec.py", quiet=True)


def row_of(name, codec):
    task = tasks.get(name)
    tokens = codec.encode(REFERENCE)
    observed = task.observe(codec, REFERENCE, Tokens.from_bytes(tokens.to_bytes()))
    return task.score(Item(None, REFERENCE, REFERENCE, tokens, observed=observed))


def test_a_stream_that_is_the_whole():
    row = row_of("streaming", stranger())
    assert row["stream_codes_equal"] == 1 and row["stream_error"] < 1e-6
    assert row["stream_latency"] == 10


def test_a_stream_that_forgets():
    codec = stranger()
    codec._encoder_in_pieces = lambda: lambda waveform, last: codec._encode(waveform)
    softer = lambda codes, last: codec._decode(codes) * (0.5 if codes.shape[-1] == 1 else 1)  # noqa: E731
    codec._decoder_in_pieces = lambda: softer
    row = row_of("streaming", codec)
    assert 0 < row["stream_codes_equal"] < 0.7
    assert row["stream_error"] == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("name", ["streaming", "streaming_speed"])
def test_what_cannot_stream_has_no_values(name):
    assert row_of(name, audiotok.load("opus-6k")) == {}
    assert tasks.get(name).score(Item(None, REFERENCE, REFERENCE)) == {}  # the ceiling row


def test_work_per_chunk(monkeypatch):
    """By a clock that goes on by 2 ms whenever it is read."""
    import audiotok.tasks._streams as streams

    clock = iter(range(10**6))
    monkeypatch.setattr(streams.time, "perf_counter", lambda: next(clock) * 0.002)
    row = row_of("streaming_speed", stranger())
    for size, lasts in (("hop", 10), ("80ms", 80)):
        assert row[f"stream_ms_{size}"] == pytest.approx(2)
        assert row[f"stream_ms95_{size}"] == pytest.approx(2)
        assert row[f"stream_rtf_{size}"] == pytest.approx(lasts / 2)


def test_a_corpus_is_its_sound_by_its_work():
    task = tasks.get("streaming_speed")
    rows = pandas.DataFrame({c.name: [2.0, 4.0, None] for c in task.columns})
    totals = task.summarise(rows, [])
    assert totals == pytest.approx({"stream_rtf_hop": 8 / 3, "stream_rtf_80ms": 8 / 3})
    assert task.timing and not tasks.get("streaming").timing
    empty = pandas.DataFrame({c.name: [None] for c in task.columns})
    assert task.summarise(empty, []) == {}


def test_long_clips_are_cut():
    from audiotok.tasks._streams import SECONDS, beginning

    long = Audio(torch.zeros(1, 16_000 * 12), 16_000)
    sound, waveform = beginning(stranger(), long)
    assert sound.duration == SECONDS and waveform.shape == (1, 8_000 * SECONDS)
