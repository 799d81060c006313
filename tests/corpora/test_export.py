"""Export to Megatron and Lhotse Shar, read back by their own libraries where they are installed."""

import gzip
import json
import struct

import numpy as np
import pytest
import torch
from support import shard_kit

from audiotok import corpora
from audiotok.corpora import rows
from audiotok.corpora.sequences import Layout, packed, read_words
from audiotok.errors import CorpusError
from audiotok.tokens.tokens import Tokens

WORDS = """;; a comment
c0 1 0.02 0.01 hello
c0 1 0.04 0.02 world
"""


def clips(size=8, **more):
    generator = torch.Generator().manual_seed(0)
    made = []
    for frames in (12, 5, 7):
        codes = torch.randint(size, (1, 2, frames // 2 + 1), generator=generator)
        codes = codes.repeat_interleave(2, -1)[..., :frames]
        made.append(Tokens(codes, "some", "f" * 64, 100 * frames, 16_000, (size, size), **more))
    return made


def varied(tokens):
    return {"format": rows.NEW_FORMAT} | {name: getattr(tokens, name) for name in rows.ADDED} | {
        "global_sizes": list(tokens.global_sizes)
    }  # fmt: skip


def write(folder, tokens):
    path = shard_kit.write(folder, tokens)
    if tokens[0].max_duration > 1 or tokens[0].global_sizes:
        from audiotok.corpora import shards

        metadata = shards.read_metadata(folder) | varied(tokens[0])
        (folder / shards.METADATA_FILE).write_bytes(shards.metadata_bytes(metadata))
        pairs = [(shard_kit.Recording(f"c{n}", "x", text="t"), t) for n, t in enumerate(tokens)]
        path.write_bytes(shards.write(pairs, metadata))
    return folder


def read_index(prefix):
    """Plain reader of the format: (type, lengths, pointers, documents)."""
    data = prefix.with_suffix(".idx").read_bytes()
    assert data[:9] == b"MMIDIDX\x00\x00"
    version, kind, count, documents = struct.unpack("<QBQQ", data[9:34])
    assert version == 1
    lengths = np.frombuffer(data, "<i4", count, 34)
    pointers = np.frombuffer(data, "<i8", count, 34 + 4 * count)
    ends = np.frombuffer(data, "<i8", documents, 34 + 12 * count)
    assert len(data) == 34 + 12 * count + 8 * documents
    return kind, lengths.tolist(), pointers.tolist(), ends.tolist()


@pytest.mark.parametrize(("size", "kind", "dtype"), [(8, 8, "<u2"), (40_000, 4, "<i4")])
def test_megatron_files_hold_one_document_per_clip(tmp_path, size, kind, dtype):
    tokens = clips(size)
    folder = write(tmp_path / "tokens", tokens)
    layout = Layout(offset=100, special=("eos",))
    paths = corpora.export_megatron(folder, tmp_path / "out", layout=layout)
    expected = [t.to_sequence("interleaved", 100, ("eos",)).tolist() for t in tokens]
    assert [path.name for path in paths] == ["out.bin", "out.idx"]
    found, lengths, pointers, ends = read_index(tmp_path / "out")
    assert (found, lengths, ends) == (kind, [len(e) for e in expected], [0, 1, 2, 3])
    ids = np.fromfile(paths[0], dtype)
    starts = [pointer // ids.itemsize for pointer in pointers]
    assert [ids[s : s + n].tolist() for s, n in zip(starts, lengths, strict=True)] == expected
    with pytest.raises(CorpusError, match="out.bin exists"):
        corpora.export_megatron(folder, tmp_path / "out")
    indexed = pytest.importorskip("megatron.core.datasets.indexed_dataset")
    dataset = indexed.IndexedDataset(str(tmp_path / "out"))
    assert [dataset[n].tolist() for n in range(len(dataset))] == expected
    assert dataset.document_indices.tolist() == [0, 1, 2, 3]


def test_packs_lose_no_id(tmp_path):
    tokens = clips()
    folder = write(tmp_path / "tokens", tokens)
    corpora.export_megatron(folder, tmp_path / "out", pack=10)
    _, lengths, _, _ = read_index(tmp_path / "out")
    assert lengths == [10, 10, 10, 10, 8]
    ids = np.fromfile(tmp_path / "out.bin", "<u2").tolist()
    assert ids == torch.cat([t.to_sequence() for t in tokens]).tolist()
    assert list(packed([], 4)) == []
    with pytest.raises(CorpusError, match="1 id or more"):
        list(packed([], 0))


def test_words_stand_before_their_sound(tmp_path):
    (tmp_path / "words.ctm").write_text(WORDS)
    words = read_words(tmp_path / "words.ctm")
    assert words == {"c0": [(0.02, "hello"), (0.04, "world")]}
    tokens = clips()  # 160 frames per second: the second word starts at frame 6
    folder = write(tmp_path / "tokens", tokens)
    layout = Layout("interleaved", 50, ("bos", "eos"), None, words, lambda word: [len(word), 1])
    corpora.export_megatron(folder, tmp_path / "out", layout=layout)
    ids = np.fromfile(tmp_path / "out.bin", "<u2").tolist()
    sound = tokens[0].to_sequence("interleaved", 50).tolist()
    first = [66, 5, 1, *sound[:12], 5, 1, *sound[12:], 67]
    assert ids[: len(first)] == first
    rest = [t.to_sequence("interleaved", 50, ("bos", "eos")).tolist() for t in tokens[1:]]
    assert ids[len(first) :] == rest[0] + rest[1]
    low = Layout(offset=2, words=words, text=lambda word: [5])
    with pytest.raises(CorpusError, match="text id 5, but codes start at 2"):
        corpora.export_megatron(folder, tmp_path / "low", layout=low)
    assert not (tmp_path / "low.bin").exists() and not (tmp_path / "low.idx").exists()
    for text in ("c0 1 x 0.1 word", "c0 1 0.1"):
        (tmp_path / "bad.ctm").write_text(text)
        with pytest.raises(CorpusError, match="line 1: expected"):
            read_words(tmp_path / "bad.ctm")


def test_bpe_replaces_the_pattern(tmp_path):
    bpe = pytest.importorskip("audiotok.tokens.bpe")
    pytest.importorskip("tokenizers")
    tokens = clips()
    fitted = bpe.CodeBPE.fit(tokens, 24, special=("eos",))
    folder = write(tmp_path / "tokens", tokens)
    corpora.export_megatron(folder, tmp_path / "out", layout=Layout(bpe=fitted))
    ids = np.fromfile(tmp_path / "out.bin", "<u2").tolist()
    assert ids == torch.cat([fitted.encode(t) for t in tokens]).tolist()


def test_shar_holds_cuts_and_codes(tmp_path):
    tokens = clips()
    folder = write(tmp_path / "tokens", tokens)
    paths = corpora.export_shar(folder, tmp_path / "shar", clips_per_file=2)
    assert [path.name for path in paths] == [
        "cuts.000000.jsonl.gz", "codes.000000.tar", "cuts.000001.jsonl.gz", "codes.000001.tar"
    ]  # fmt: skip
    first = json.loads(gzip.decompress(paths[0].read_bytes()).splitlines()[0])
    assert first["id"] == "c0" and first["supervisions"][0]["text"] == "t0"
    assert first["custom"]["codebook_sizes"] == [8, 8]
    with pytest.raises(CorpusError, match="not empty"):
        corpora.export_shar(folder, tmp_path / "shar")
    lhotse = pytest.importorskip("lhotse")
    cuts = list(lhotse.CutSet.from_shar(in_dir=tmp_path / "shar"))
    assert [cut.id for cut in cuts] == ["c0", "c1", "c2"]
    for cut, one in zip(cuts, tokens, strict=True):
        assert np.array_equal(cut.load_codes(), one.codes.numpy())
        assert cut.duration == one.duration and cut.supervisions[0].text.startswith("t")


@pytest.mark.parametrize("more", [{"max_duration": 4}, {"max_duration": 4, "merged_codebooks": 1}])
def test_shards_keep_durations_and_global_codes(tmp_path, more):
    tokens = [
        Tokens(**vars_of(t) | {"global_codes": torch.tensor([[n, 500]]), "global_sizes": (8, 600)})
        for n, t in enumerate(clips(**more))
    ]
    folder = write(tmp_path / "tokens", tokens)
    for (_, read), one in zip(corpora.read(folder), tokens, strict=True):
        assert torch.equal(read.codes, one.codes) and read.to_bytes() == one.to_bytes()
    cuts, _ = corpora.export_shar(folder, tmp_path / "shar")
    custom = json.loads(gzip.decompress(cuts.read_bytes()).splitlines()[2])["custom"]
    assert custom["global_codes"] == [[2, 500]] and custom["global_sizes"] == [8, 600]


def vars_of(tokens):
    return {name: getattr(tokens, name) for name in Tokens.__dataclass_fields__}


def test_datasets_of_variable_rates_have_durations_and_equal_widths(tmp_path):
    tokens = clips(max_duration=4)
    folder = write(tmp_path / "tokens", tokens)
    dataset = corpora.TokenDataset(folder)
    assert dataset.vocabulary.codebook_sizes == (8, 8, 4)
    assert torch.equal(dataset[1]["ids"], tokens[1].to_sequence())
    crops = corpora.TokenDataset(folder, "parallel", frames=6)
    assert len({tuple(crops[n]["ids"].shape) for n in range(3)}) == 1


def test_a_corpus_encoded_at_a_variable_rate_reads_back(tmp_path):
    shard_kit.encode("bundled", tmp_path / "tokens", "wavtokenizer-mini:merge=equal", limit=2)
    shards = corpora.Shards(tmp_path / "tokens")
    assert shards.metadata["format"] == rows.NEW_FORMAT
    read = [tokens for _, tokens in shards]
    assert len(read) == 2 and all(t.max_duration == 4 for t in read)
