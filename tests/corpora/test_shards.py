"""Shards: what pandas and datasets see, several channels and rates, side information, damage."""

import numpy as np
import pandas
import pytest
import torch
from support.shard_kit import write
from support.token_kit import make, same

from audiotok import corpora
from audiotok.errors import CorpusError, TokensError


@pytest.mark.parametrize("sizes", [(200, 256), (300, 65536), (70000, 4)])
@pytest.mark.parametrize("strides", [(1, 1), (4, 1)])
@pytest.mark.parametrize("channels", [1, 2])
def test_there_and_back(tmp_path, sizes, strides, channels):
    clips = [make(sizes, strides, frames, channels=channels, seed=frames) for frames in (1, 7, 20)]
    path = write(tmp_path / "tokens", clips)
    for number, (clip, tokens) in enumerate(corpora.read(tmp_path / "tokens")):
        assert (clip.id, clip.text, clip.speaker) == (f"c{number}", f"t{number}", None)
        same(clips[number], tokens)
    frame = pandas.read_parquet(path)
    assert list(frame.num_frames) == [1, 7, 20]
    codes = frame.codes[2]
    assert len(codes) == 2 * channels and len(codes[0]) == -(-20 // strides[0])
    assert codes[0].dtype == {256: np.uint8, 65536: np.uint16, 70000: np.uint32}[max(sizes)]
    np.testing.assert_array_equal(codes[1], clips[2].codes[0, 1].numpy())


@pytest.mark.parametrize("kind", [torch.int32, torch.int64])
def test_side_information(tmp_path, kind):
    side = torch.tensor([[[2**31 - 1, -(2**31)], [0, 7]]]).to(kind)
    write(tmp_path / "tokens", [make(side=side), make()])
    first, second = (tokens for _, tokens in corpora.read(tmp_path / "tokens"))
    assert first.side.dtype == kind and torch.equal(first.side, side) and second.side is None


def test_datasets_reads_them(tmp_path):
    datasets = pytest.importorskip("datasets", reason="needs the package datasets")
    path = write(tmp_path / "tokens", [make(num_frames=5), make(num_frames=9)])
    rows = datasets.load_dataset(
        "parquet", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert rows["num_frames"] == [5, 9] and rows[1]["text"] == "t1"
    assert rows[0]["codes"] == make(num_frames=5).codes[0].tolist()


def test_damage_is_one_line(tmp_path):
    path = write(tmp_path / "tokens", [make()])
    content = path.read_bytes()
    path.write_bytes(content[:-9])
    with pytest.raises(CorpusError, match="is no shard of tokens, or damaged"):
        corpora.Shards(tmp_path / "tokens")
    pandas.DataFrame({"id": ["a"]}).to_parquet(path)
    with pytest.raises(CorpusError, match="is no shard of tokens"):
        corpora.Shards(tmp_path / "tokens")
    path.unlink()
    with pytest.raises(CorpusError, match="no finished shard yet"):
        corpora.Shards(tmp_path / "tokens")
    with pytest.raises(CorpusError, match="is no folder of tokens"):
        corpora.Shards(tmp_path)
    (tmp_path / "tokens/_corpus.json").write_text('{"format": "other"}')
    with pytest.raises(CorpusError, match="format 'other', expected 'audiotok-tokens-2'"):
        corpora.Shards(tmp_path / "tokens")


def test_shards_of_another_codec_and_codes_that_do_not_fit(tmp_path):
    write(tmp_path / "tokens", [make()], fingerprint="cd" * 32)
    with pytest.raises(CorpusError, match="tokens of another codec .fingerprint cdcdcd"):
        corpora.Shards(tmp_path / "tokens")
    write(tmp_path / "other", [make()])
    result = corpora.Shards(tmp_path / "other")
    row = {"id": "x", "codes": [np.array([1, 2]), np.array([1])], "num_frames": 2, "side": None}
    row |= {"num_samples": 2, "sample_rate": 8000}
    with pytest.raises(TokensError, match="codes of x do not fit 2 frames"):
        result.tokens(row)
