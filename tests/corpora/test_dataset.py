"""The dataset over shards, and WebDataset."""

import io
import json
import pickle
import tarfile

import numpy as np
import pytest
import torch
from support.shard_kit import write
from support.token_kit import make

from audiotok import corpora
from audiotok.corpora import rows
from audiotok.errors import CorpusError, TokensError


@pytest.fixture
def clips(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "ROW_GROUP", 3)
    made = [make((50, 20), (2, 1), frames, seed=frames) for frames in range(1, 12)]
    write(tmp_path / "tokens", made)
    return made


def test_items_are_the_clips(clips, tmp_path):
    result = corpora.TokenDataset(tmp_path / "tokens", "coarse_first", 5, ("bos", "sep"))
    assert len(result) == 11
    for number in (0, 10, 4, -1):
        item = result[number]
        expected = clips[number].to_sequence("coarse_first", 5, ("bos", "sep"))
        assert torch.equal(item["ids"], expected)
    assert (result[3]["id"], result[3]["text"], result[3]["speaker"]) == ("c3", "t3", "")
    with pytest.raises(IndexError):
        result[11]


def test_only_the_row_group_of_a_clip_is_read(clips, tmp_path, monkeypatch):
    result, reads = corpora.TokenDataset(tmp_path / "tokens"), []
    read = result._read_group
    monkeypatch.setattr(result, "_read", lambda group: reads.append(group) or read(group))
    assert [result[index]["id"] for index in (0, 10)] == ["c0", "c10"]
    assert reads == [0, 3]


@pytest.mark.parametrize("pattern", ["parallel", "delay", "interleaved", "coarse_first"])
def test_crops_stack(clips, tmp_path, pattern):
    result = corpora.TokenDataset(
        tmp_path / "tokens", pattern, special=("pad", "eos"), frames=4, seed=1
    )
    loader = torch.utils.data.DataLoader(result, batch_size=11)
    (batch,) = loader
    starts = set()
    for number, (ids, mask) in enumerate(zip(batch["ids"], batch["mask"], strict=True)):
        tokens = clips[number]
        back = tokens.from_sequence(ids, pattern, special=("pad", "eos"))
        frames = min(4, tokens.num_frames)
        assert back.num_frames == frames
        assert bool(mask.all()) == (frames == 4)
        assert (ids[..., ~mask] == result.vocabulary.id("pad")).all()
        places = [
            start
            for start in range(0, tokens.num_frames - frames + 1, 2)
            if torch.equal(tokens.codes[..., start : start + frames], back.codes)
        ]
        assert places
        starts.add(places[0])
    assert len(starts) > 1
    again = result[10]["ids"]
    assert torch.equal(result[10]["ids"], again)
    crops = []
    for epoch in range(6):
        result.set_epoch(epoch)
        crops.append(tuple(result[10]["ids"].flatten().tolist()))
    assert len(set(crops)) > 1


def test_the_first_codebooks_alone_and_other_processes(clips, tmp_path):
    result = corpora.TokenDataset(tmp_path / "tokens", num_codebooks=1)
    copy = pickle.loads(pickle.dumps(result))  # as a DataLoader with workers does
    assert torch.equal(copy[5]["ids"], clips[5].first(1).to_sequence())
    assert copy.vocabulary.codebook_sizes == (50,)


def test_refuses(clips, tmp_path):
    with pytest.raises(TokensError, match="the pattern is one of"):
        corpora.TokenDataset(tmp_path / "tokens", "flat")
    with pytest.raises(CorpusError, match="frames is 0: expected 1 or more"):
        corpora.TokenDataset(tmp_path / "tokens", frames=0)


def test_webdataset(clips, tmp_path):
    paths = corpora.export_webdataset(tmp_path / "tokens", tmp_path / "tar", 4)
    assert [path.name for path in paths] == [f"tokens-00000{n}.tar" for n in range(3)]
    number = 0
    for path in paths:
        with tarfile.open(path) as tar:
            names = tar.getnames()
            for kind_json, kind_npy in zip(names[::2], names[1::2], strict=True):
                about = json.load(tar.extractfile(kind_json))
                codes = np.load(io.BytesIO(tar.extractfile(kind_npy).read()))
                assert kind_npy == f"{number:09d}.npy" and codes.dtype == np.uint8
                assert about["id"] == f"c{number}" and about["strides"] == [2, 1]
                np.testing.assert_array_equal(codes, clips[number].codes.numpy())
                number += 1
    assert number == 11
    with pytest.raises(CorpusError, match="is not empty"):
        corpora.export_webdataset(tmp_path / "tokens", tmp_path / "tar")
    webdataset = pytest.importorskip("webdataset", reason="needs the package webdataset")
    rows = list(webdataset.WebDataset([str(p) for p in paths], shardshuffle=False).decode())
    assert [row["json"]["id"] for row in rows] == [f"c{n}" for n in range(11)]
    np.testing.assert_array_equal(rows[3]["npy"], clips[3].codes.numpy())
