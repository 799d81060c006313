"""Damaged tokens, shards and weights: each is refused in one line, or is what it was.

A short run in the suite; a long one by hand:

    AUDIOTOK_FUZZ_SECONDS=600 python -m pytest -s tests/fuzz/test_tokens_fuzz.py
"""

import json
import os
import random
import time
from collections import Counter

import pytest
import torch
from support.shard_kit import write
from support.token_kit import make

from audiotok import corpora
from audiotok.codec import checkpoints
from audiotok.errors import AudiotokError
from audiotok.tokens import Tokens

SECONDS = float(os.environ.get("AUDIOTOK_FUZZ_SECONDS", 2))
EDGES = (0, 1, 0x7F, 0x80, 0xFF)


def mutated(data: bytes, dice: random.Random) -> bytes:
    """The bytes with one to four changes: bits, bytes, stretches cut, doubled or overwritten."""
    data = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(data))
        end = min(len(data), at + 2 ** dice.randrange(10))
        change = dice.randrange(7)
        if change == 0:
            data[at] ^= 1 << dice.randrange(8)
        elif change == 1:
            data[at] = dice.choice(EDGES)
        elif change == 2:
            data[at : at + 8] = dice.randbytes(8)
        elif change == 3 and end - at < len(data):
            del data[at:end]
        elif change == 4:
            data[at:at] = data[at:end]
        elif change == 5:
            data[at:end] = bytes([dice.choice(EDGES)]) * (end - at)
        elif at:
            del data[at:]
    return bytes(data)


def fuzz(whole: bytes, read, accepts) -> Counter:
    """What came of `read` on mutations of `whole`, for SECONDS."""
    start, found, number = time.monotonic(), Counter(), 0
    while time.monotonic() - start < SECONDS:
        number += 1
        data = mutated(whole, random.Random(number))
        try:
            content = read(data)
        except AudiotokError as error:
            assert "\n" not in str(error), f"mutation {number}"
            found["refused"] += 1
        except Exception as error:
            raise AssertionError(f"mutation {number} of {len(whole)} bytes") from error
        else:
            assert accepts(data, content), f"mutation {number}"
            found["read"] += 1
    print(f"{number} mutations: {dict(found)}")
    assert found["refused"]
    return found


def test_atok():
    tokens = make((1000, 5), (2, 1), 50, side=torch.tensor([7, -1], dtype=torch.int32))
    whole = tokens.to_bytes()

    def same(data, found):
        return found.to_bytes() == whole or data == whole

    fuzz(whole, Tokens.from_bytes, same)


@pytest.mark.parametrize("name", ["tokens-00000-of-00001.parquet", "_corpus.json"])
def test_shards(tmp_path, name):
    clips = [make((1000, 5), (2, 1), frames, seed=frames) for frames in range(1, 30)]
    write(tmp_path / "tokens", clips, shard={"clips": len(clips)})
    path = tmp_path / "tokens" / name

    def read(data):
        path.write_bytes(data)
        return [(clip.id, tokens.to_bytes()) for clip, tokens in corpora.read(tmp_path / "tokens")]

    whole = path.read_bytes()
    good = read(whole)
    fuzz(whole, read, lambda data, found: found == good)


STATE = {f"layer.{n}.weight": torch.ones(n, 3) for n in range(1, 9)}


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("kind", ["safetensors", "zip", "pickle"])
def test_weights(tmp_path, kind):
    path = tmp_path / "weights"
    if kind == "safetensors":
        checkpoints.save(path, STATE, {"family": "mini", "config": json.dumps({"a": [1, 2]})})
    else:
        torch.save(STATE, path, _use_new_zipfile_serialization=kind == "zip")

    def read(data):
        path.write_bytes(data)
        return checkpoints.read_state(path)[0]

    def is_bounded(data, state):
        most = checkpoints.MOST_UNPACKED * len(data)
        return sum(tensor.numel() * tensor.element_size() for tensor in state.values()) <= most

    fuzz(path.read_bytes(), read, is_bounded)
