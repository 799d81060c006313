"""Any bytes in place of tokens are refused in one line, or give the tokens that were written."""

from dataclasses import replace

import pytest
import torch
from support.shard_kit import write
from support.token_kit import make

from audiotok import corpora
from audiotok.tokens import Tokens


def test_atok(tmp_path, fuzz):
    tokens = [
        make((1000, 5), (2, 1), 50, side=torch.tensor([7, -1], dtype=torch.int32)),
        make((4096,), (1,), 3),
        replace(make((3, 3), (2, 1), 50), max_duration=4, merged_codebooks=1),
        replace(
            make((2,), (1,), 9), max_duration=3, needs="a vocoder",
            global_codes=torch.tensor([[4000, 1]]), global_sizes=(4096, 2),
        ),
    ]  # fmt: skip
    good = [one.to_bytes() for one in tokens]
    fuzz(tmp_path / "x.atok", good, lambda path: Tokens.load(path).to_bytes(), exact=True)


@pytest.mark.parametrize("name", ["tokens-00000-of-00001.parquet", "_corpus.json"])
def test_shards(tmp_path, fuzz, name):
    clips = [make((1000, 5), (2, 1), frames, seed=frames) for frames in range(1, 30)]
    write(tmp_path / "tokens", clips, shard={"clips": len(clips)})
    path = tmp_path / "tokens" / name

    def read(path):
        return [(clip.id, tokens.to_bytes()) for clip, tokens in corpora.read(path.parent)]

    fuzz(path, [path.read_bytes()], read, exact=True)
