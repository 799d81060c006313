"""Batches of streams: each item as a single stream, whatever the others do."""

import numpy as np
import pytest
import torch
from support.batches_of_streams import assert_equals_single_streams, sounds
from support.stranger_codec import HOP, Stranger

import audiotok
from audiotok.codec.variants import vary
from audiotok.errors import AudioError, CodecError

CARD = Stranger.CARDS[0]


@pytest.mark.parametrize("change", ["", "merge=3", "codebooks=2"])
def test_items_equal_single_streams(change):
    codec = Stranger(vary(CARD, change, Stranger.OPTIONS) if change else CARD)
    assert assert_equals_single_streams(codec, batch=3, turns=40) > 10


def test_channels_one_by_one():
    each = Stranger(vary(CARD, "channels=each", Stranger.OPTIONS))
    sound = sounds(each, 4, 6).reshape(2, 2, -1)
    single = each.stream()
    with each.stream(batch=2) as streams:
        first = streams.encode(sound[..., : 3 * HOP], mask=[True, False])[0]
        codes = streams.encode(sound[..., 3 * HOP :])
        heard = streams.decode(codes)
    assert torch.equal(first, single.encode(sound[0, :, : 3 * HOP]))
    assert torch.equal(codes[0], single.encode(sound[0, :, 3 * HOP :]))
    assert torch.equal(codes[1], each.stream().encode(sound[1, :, 3 * HOP :]))
    assert heard[0].shape == heard[1].shape == (2, 3 * HOP)


def test_one_tensor_of_chunks_and_of_codes():
    codec = Stranger(CARD)
    sound = sounds(codec, 3, 4)
    with codec.stream(batch=3) as streams:
        codes = torch.stack(streams.encode(sound))
        assert codes.shape == (3, 1, 3, 4)
        assert torch.stack(streams.decode(codes)).shape == (3, 1, 4 * HOP)
        assert len(streams) == 3 and len(streams._groups["encoder"].groups) == 1


def test_paused_items_join_again():
    codec = Stranger(CARD)
    with codec.stream(batch=3) as streams:
        groups = streams._groups["encoder"]
        chunk = sounds(codec, 3, 1)
        streams.encode(chunk)
        streams.encode(chunk, mask=[True, False, True])
        assert len(groups.groups) == 2
        streams.encode(chunk)
        assert [sorted(group.items) for group in groups.groups] == [[0, 1, 2]]


def test_what_is_refused_changes_no_item():
    codec = Stranger(CARD)
    sound = sounds(codec, 2, 4)
    bad = [sound[0, :, : 2 * HOP], torch.full((1, 2 * HOP), torch.nan)]
    with codec.stream(batch=2) as streams:
        first = streams.encode(sound[..., : 2 * HOP])
        with pytest.raises(AudioError, match=r"item 1: .*not finite"):
            streams.encode(bad)
        with pytest.raises(CodecError, match="item 0: a chunk of 81 samples is no multiple"):
            streams.encode([np.zeros(81), np.zeros(80)])
        with pytest.raises(CodecError, match=r"item 1: code 32 in codebook 0"):
            streams.decode([torch.zeros(1, 3, 1).long(), torch.full((1, 3, 1), 32)])
        rest = streams.encode(sound[..., 2 * HOP :], last=[True, False])
        with pytest.raises(CodecError, match="item 0: encode after the end"):
            streams.encode(sound[..., :HOP])
        streams.encode(sound[..., :HOP], mask=[False, True])
    for item in range(2):
        codes = torch.cat([first[item], rest[item]], -1)
        assert torch.equal(codes, codec.encode((sound[item], 8_000)).codes)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda s: s.encode(np.zeros((3, 1, 80))), "3 items are given: expected 2 items"),
        (lambda s: s.encode(7), "int is given: expected 2 items"),
        (lambda s: s.encode(np.zeros((2, 1, 80)), mask=[True]), r"mask is \[True\]: expected 2"),
        (lambda s: s.encode(np.zeros((2, 1, 80)), mask=1), r"mask is \[1\]: expected 2 booleans"),
        (lambda s: s.encode(np.zeros((2, 1, 80)), last=[0, 1]), r"last is \[0, 1\]: expected 2"),
        (lambda s: s.reset([2]), "reset of item 2: these are 2 streams, 0 to 1"),
        (lambda s: s.reset([-1]), "reset of item -1"),
        (lambda s: s.reset([True]), r"items is \[True\]: expected 2 booleans"),
    ],
)
def test_what_is_refused(use, message):
    with Stranger(CARD).stream(batch=2) as streams, pytest.raises(CodecError, match=message) as no:
        use(streams)
    assert "\n" not in str(no.value)


@pytest.mark.parametrize("batch", [0, -1, 2.0, True, "2"])
def test_numbers_of_sounds(batch):
    with pytest.raises(CodecError, match=r"stream\(batch=.*\): expected a number of sounds"):
        Stranger(CARD).stream(batch=batch)


def test_frames_held_back_are_named(caplog):
    merged = Stranger(vary(CARD, "merge=2", Stranger.OPTIONS))
    with merged.stream(batch=2) as streams:
        streams.encode(sounds(merged, 2, 1), mask=[True, False])
    assert caplog.text.count("left with 1 frames held back") == 1


def test_codecs_without_a_state():
    assert_equals_single_streams(audiotok.load("mulaw"), batch=2, turns=6)
