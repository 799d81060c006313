"""BPE over codes: exact round trips for any codebooks, and the files that AutoTokenizer loads."""

import logging

import numpy as np
import pytest
import torch

pytest.importorskip("tokenizers")

from audiotok.errors import TokensError  # noqa: E402
from audiotok.tokens import bpe  # noqa: E402
from audiotok.tokens.bpe import CodeBPE, Codes, character, number  # noqa: E402
from audiotok.tokens.tokens import Tokens  # noqa: E402


def clip(sizes, strides=(), frames=60, seed=0, used=3, **more):
    """Codes in a few values of each codebook, the largest among them."""
    generator = torch.Generator().manual_seed(seed)
    frame = torch.arange(frames)
    rows = []
    for size, stride in zip(sizes, strides or (1,) * len(sizes), strict=True):
        values = torch.cat([torch.tensor([0, size - 1]), torch.randint(size, (used,))])
        row = values[torch.randint(len(values), (frames,), generator=generator)]
        rows.append(row[frame - frame % stride])
    return Tokens(
        torch.stack(rows)[None], "some", "f" * 64, 100 * frames, 16_000, sizes, strides, **more
    )


CODEBOOKS = [
    ((4,), ()),
    ((16,) * 46, ()),
    ((4096, 4096, 4096), (4, 2, 1)),
    ((65_536,), ()),  # over the surrogates
    ((2**24,), ()),  # more codes than characters
]


@pytest.mark.parametrize(("sizes", "strides"), CODEBOOKS, ids=str)
def test_round_trips_are_exact(sizes, strides, monkeypatch):
    if (
        sum(sizes) > bpe.CHARACTERS
    ):  # the alphabet of 2^24 codes takes seconds: use fewer characters
        monkeypatch.setattr(bpe, "CHARACTERS", 1000)
        sizes = (2**14, 2**13)
    torch.manual_seed(0)
    clips = [clip(sizes, strides, seed=seed) for seed in range(3)]
    codes = Codes.of(clips[0])
    fitted = CodeBPE.fit(clips, len(codes.alphabet) + 200)
    ids = fitted.encode(clips[0])
    assert len(ids) < sum(free.numel() for free in clips[0].free_codes)
    assert torch.equal(fitted.decode(ids, like=clips[1]).codes, clips[0].codes)
    unseen = clip(sizes, strides, frames=33, seed=9, used=50)
    assert torch.equal(fitted.decode(fitted.encode(unseen), like=clips[0]).codes, unseen.codes)


def test_variable_rates_round_trip_with_their_durations():
    codes = torch.tensor([[0, 0, 0, 1, 2, 2, 0, 0, 0, 1, 2, 2] * 4])[None]
    tokens = Tokens(codes, "some", "f" * 64, 4800, 16_000, (4,), max_duration=4)
    fitted = CodeBPE.fit([tokens], 60)
    ids = fitted.encode(tokens)
    assert len(ids) < len(tokens.durations)
    assert torch.equal(fitted.decode(ids, like=tokens).codes, codes)


def test_characters_leave_out_the_surrogates():
    for n in (0, 0xD800 - 0x4E00 - 1, 0xD800 - 0x4E00, bpe.CHARACTERS - 1):
        assert number(character(n)) == n
        character(n).encode()
    assert character(0) == "\u4e00" and character(0xD800 - 0x4E00) == "\ue000"
    assert ord(character(bpe.CHARACTERS - 1)) == 0x10FFFF


def test_offset_and_special_tokens():
    clips = [clip((8, 8), seed=seed) for seed in range(2)]
    fitted = CodeBPE.fit(clips, 40, special=("pad", "bos", "eos"), offset=1000)
    ids = fitted.encode(clips[0])
    assert (ids[0], ids[-1]) == (fitted.special_id("bos"), fitted.special_id("eos")) == (1001, 1002)
    assert int(ids[1:-1].min()) >= 1003 and int(ids.max()) < 1040
    assert torch.equal(fitted.decode(ids, like=clips[1]).codes, clips[0].codes)
    with pytest.raises(TokensError, match="ids are from 1000 to 1039"):
        fitted.decode([3], like=clips[0])


def test_no_token_is_longer_than_max_frames():
    tokens = [clip((2, 2), used=0, frames=300)]
    longest = {}
    for most in (1, 2, None):
        fitted = CodeBPE.fit(tokens, 60, max_frames=most)
        longest[most] = max(map(len, fitted.tokenizer.get_vocab()))
    assert longest[1] == 2 and longest[2] == 4 and longest[None] > 4


def test_codes_that_form_no_frame_are_refused_or_dropped_and_counted(caplog):
    tokens = clip((8, 8))
    fitted = CodeBPE.fit([tokens], 40)
    one = fitted.tokenizer.token_to_id
    first, second = [one(character(n)) for n in (3, 5)], [one(character(8 + n)) for n in (3, 5)]
    ids = [second[0], first[0], second[0], first[1], first[0], second[1], first[1]]
    with pytest.raises(TokensError):
        fitted.decode(ids, like=tokens)
    with caplog.at_level(logging.WARNING, "audiotok"):
        kept = fitted.decode(ids, like=tokens, drop=True)
    assert kept.codes[0].tolist() == [[3, 3], [3, 5]]
    assert "3 of 7 codes form no frame" in caplog.text


def test_files_load_here_and_in_transformers(tmp_path):
    clips = [clip((8, 8), seed=seed) for seed in range(2)]
    fitted = CodeBPE.fit(clips, 40, special=("bos", "eos"), offset=7)
    fitted.save(tmp_path / "bpe")
    again = CodeBPE.load(tmp_path / "bpe")
    assert torch.equal(again.encode(clips[0]), fitted.encode(clips[0]))
    with pytest.raises(TokensError, match="not empty"):
        fitted.save(tmp_path / "bpe")
    (tmp_path / "bpe" / bpe.FILE).write_text("{}")
    with pytest.raises(TokensError, match="holds no tokenizer"):
        CodeBPE.load(tmp_path / "bpe")
    transformers = pytest.importorskip("transformers")
    auto = transformers.AutoTokenizer.from_pretrained(tmp_path / "bpe")
    text = fitted.codes.text(clips[0].to_sequence())
    ids = auto(text, add_special_tokens=False)["input_ids"]
    assert ids == [n - 7 for n in fitted.encode(clips[0]).tolist()[1:-1]]
    assert auto.bos_token_id == 0 and auto.decode(ids) == text


def test_other_codecs_and_small_vocabularies_are_refused():
    tokens = clip((8, 8))
    with pytest.raises(TokensError, match="the codes of some alone are 16 tokens"):
        CodeBPE.fit([tokens], 15)
    with pytest.raises(TokensError, match="fit one tokenizer for each"):
        CodeBPE.fit([tokens, clip((8, 4))], 40)
    with pytest.raises(TokensError, match="no tokens are given"):
        CodeBPE.fit([], 40)
    with pytest.raises(TokensError, match="this tokenizer is of some with codebooks of"):
        CodeBPE.fit([tokens], 40).encode(clip((8, 4)))


def test_equals_codec_bpe_where_both_define_the_result(tmp_path):
    """codec-bpe 1.4.1 writes the same text and learns the same merges."""
    pytest.importorskip("codec_bpe")
    from codec_bpe.core.converter import chars_to_codes, codes_to_chars
    from codec_bpe.core.trainer import Trainer

    clips = [clip((8, 8), seed=seed, frames=200) for seed in range(4)]
    for n, tokens in enumerate(clips):
        np.save(tmp_path / f"{n}_c0.npy", tokens.codes[0].numpy())
    theirs = Trainer(2, 8, vocab_size=60, pad_token="<pad>", max_token_codebook_ngrams=3)
    theirs = theirs.train(str(tmp_path))
    ours = CodeBPE.fit(clips, 60, max_frames=3, special=("pad",))
    text = ours.codes.text(clips[0].to_sequence())
    assert text == codes_to_chars(clips[0].codes[0], 8)
    assert theirs.get_vocab() == ours.tokenizer.get_vocab()
    assert theirs(text)["input_ids"] == ours.encode(clips[0]).tolist()
    # codes in the wrong order: both leave out as many; codec-bpe logs each, audiotok the number
    broken = text[:1] + text[2:9] + text[8:]
    kept = np.array(chars_to_codes(broken, 2, 8))
    ids = ours.tokenizer.encode(broken).ids
    assert kept.size == ours.decode(ids, like=clips[0], drop=True).codes.numel()
