"""What is right and wrong in a pair, and pairs that others have made."""

import numpy as np
import pytest
import soundfile
import torch
from scipy.stats import binomtest

from audiotok.data import Clip, Corpus
from audiotok.errors import CorpusError
from audiotok.lm import pairs

RATE = 8000


@pytest.fixture
def corpus(tmp_path):
    """Six clips of two voices, tones of their own pitch; the last is too short."""
    clips = []
    for number in range(7):
        seconds = 5 if number < 6 else 1
        time = np.arange(seconds * RATE) / RATE
        pitch = 200 + 50 * number
        wave = (0.1 + 0.05 * number) * np.sin(2 * np.pi * pitch * time) * (1 + time) / 6
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, wave, RATE)
        clips.append(Clip(str(number), path, speaker="ab"[number % 2]))
    return Corpus("tones", tuple(clips))


def pitch(waveform):
    return torch.fft.rfft(waveform[0]).abs().argmax().item() * RATE / waveform.shape[1]


def test_pairs_are_what_they_say(corpus):
    corpus_pairs = list(pairs.of_corpus(corpus, range(7)))
    assert len(corpus_pairs) == 3 * 6 and {pair.clip for pair in corpus_pairs} == set(range(6))
    half = round(pairs.PIECE * RATE)
    for pair in corpus_pairs:
        right, wrong = pair.right.waveform, pair.wrong.waveform
        assert right.shape == wrong.shape == (1, 2 * half)
        own = 200 + 50 * pair.clip
        if pair.kind == "reversed":
            assert right.flip(1).equal(wrong)
            continue
        assert pitch(right[:, :half]) == pytest.approx(own, abs=1)
        if pair.kind == "background":
            torch.testing.assert_close(right[:, :half], wrong[:, :half], atol=1e-6, rtol=0)
            assert (right[:, half:] - wrong[:, half:]).abs().max() > 0.01
        else:
            assert right[:, :half].equal(wrong[:, :half])
            numbers = [round((pitch(side[:, half:]) - 200) / 50) for side in (right, wrong)]
            assert numbers[0] != pair.clip and numbers[0] % 2 == pair.clip % 2
            assert numbers[1] % 2 != pair.clip % 2
            powers = [
                side.square().mean().item()
                for side in (right[:, :half], right[:, half:], wrong[:, half:])
            ]
            assert max(powers) == pytest.approx(min(powers), rel=1e-3)


def test_the_same_pairs_every_time(corpus):
    one, two = ([p.wrong.waveform for p in pairs.of_corpus(corpus, range(7))] for _ in range(2))
    assert all(map(torch.equal, one, two))


def touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")


def test_the_layouts_of_others(tmp_path):
    salmon = tmp_path / "speaker_consistency"
    touch(salmon, "sample_0_a.wav", "sample_0_b.wav", "sample_12_a.wav", "sample_12_b.wav")
    file_pairs = pairs.read(salmon)
    assert [(p.kind, p.group, p.right.name, p.wrong.name) for p in file_pairs] == [
        ("speaker_consistency", "0", "sample_0_a.wav", "sample_0_b.wav"),
        ("speaker_consistency", "12", "sample_12_a.wav", "sample_12_b.wav"),
    ]
    lexical = tmp_path / "lexical" / "dev"
    touch(lexical, "aaa.wav", "bbb.wav", "ccc.wav", "ddd.wav")
    (lexical / "gold.csv").write_text(
        "id,filename,voice,word,correct\n1,aaa,en-A,brick,1\n1,bbb,en-A,blick,0\n"
        "1,ccc,en-B,brick,1\n1,ddd,en-B,blick,0\n2,aaa,en-A,alone,1\n"
    )
    file_pairs = pairs.read(lexical, "swuggy")
    assert [(p.group, p.right.stem, p.wrong.stem) for p in file_pairs] == [
        ("1", "aaa", "bbb"), ("1", "ccc", "ddd"),
    ]  # fmt: skip
    touch(tmp_path / "sSC", "7_correct.wav", "7_incorrect.wav", "x-1_correct.wav")
    touch(tmp_path / "sSC", "x-1_incorrect.wav", "7_mutual.wav")
    file_pairs = pairs.read(tmp_path / "sSC")
    assert [(p.kind, p.group, p.right.name, p.wrong.name) for p in file_pairs] == [
        ("sSC", "7", "7_correct.wav", "7_incorrect.wav"),
        ("sSC", "x-1", "x-1_correct.wav", "x-1_incorrect.wav"),
    ]
    touch(tmp_path / "own", "a.wav", "b.wav")
    (tmp_path / "own" / "pairs.tsv").write_text("right\twrong\tkind\na.wav\tb.wav\tending\n")
    (pair,) = pairs.read(tmp_path / "own")
    assert (pair.kind, pair.right.name, pair.wrong.name) == ("ending", "a.wav", "b.wav")


def test_ids_of_sblimp_begin_anew_in_each_subtype(tmp_path):
    """So says the evaluation of ZeroSpeech 2021, which takes the mean over (type, subtype, id)."""
    touch(tmp_path, *(f"{name}.wav" for name in "abcdefgh"))
    rows = [
        "1,a,V1,agreement,noun,the dogs bark,1", "1,b,V1,agreement,noun,the dogs barks,0",
        "1,c,V1,binding,reflexive,she saw herself,1", "1,d,V1,binding,reflexive,she saw itself,0",
        "1,e,V2,agreement,noun,the dogs bark,1", "1,f,V2,agreement,noun,the dogs barks,0",
        "1,g,V1,agreement,noun,the cats meow,1", "1,h,V1,agreement,noun,the cats meows,0",
    ]  # fmt: skip
    head = "id,filename,voice,type,subtype,transcription,correct\n"
    (tmp_path / "gold.csv").write_text(head + "\n".join(rows) + "\n")
    file_pairs = pairs.read(tmp_path)
    assert [(p.group, p.right.stem, p.wrong.stem) for p in file_pairs] == [
        ("agreement/noun/1", "a", "b"), ("agreement/noun/1", "g", "h"),
        ("binding/reflexive/1", "c", "d"), ("agreement/noun/1", "e", "f"),
    ]  # fmt: skip


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(CorpusError, match="has no pairs: expected a pairs.tsv, a gold.csv"):
        pairs.read(tmp_path)
    touch(tmp_path / "story", "1_correct.wav")
    with pytest.raises(CorpusError, match=r"names .*1_incorrect.wav, which does not exist"):
        pairs.read(tmp_path / "story")
    (tmp_path / "pairs.tsv").write_text("right\tleft\n")
    with pytest.raises(CorpusError, match="has no columns wrong"):
        pairs.read(tmp_path)
    (tmp_path / "pairs.tsv").write_text("right\twrong\na.wav\tb.wav\n")
    with pytest.raises(CorpusError, match=r"names .*a.wav, which does not exist"):
        pairs.read(tmp_path)


def test_groups_count_once_and_the_interval_is_wilsons(tmp_path):
    for name in "abcd":
        soundfile.write(tmp_path / f"{name}.wav", np.full(100, 0.1 * (ord(name) - 96)), RATE)
    listed = [("a", "b", "1"), ("c", "d", "1"), ("b", "a", "2"), ("a", "d", "3")]
    file_pairs = [
        pairs.FilePair("x", group, tmp_path / f"{a}.wav", tmp_path / f"{b}.wav")
        for a, b, group in listed
    ]

    def quieter(one, other):
        return float(one.waveform.mean() < other.waveform.mean())

    judged = pairs.judge(quieter, file_pairs)["x"]
    assert judged.accuracy == pytest.approx(2 / 3) and judged.groups == 3
    for hits, count in ((2, 3), (0, 10), (37, 200), (200, 200)):
        truth = binomtest(hits, count).proportion_ci(method="wilson")
        assert pairs.wilson(hits, count) == pytest.approx((truth.low, truth.high), abs=1e-6)
