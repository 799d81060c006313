"""Mutual information of codes with labels that are known, and phones of a bundled clip."""

import numpy as np
import pytest
import torch

from audiotok import data, tasks
from audiotok.data import Clip, Corpus
from audiotok.errors import MetricError
from audiotok.harness.summary import frame
from audiotok.judges.asr import sphinx
from audiotok.tasks import token_information as module
from audiotok.tasks.token_information import information
from audiotok.tokens import Tokens

PHONES = ["SIL", "AH", "B", "K"]
FRAMES = 200  # 4 s at 50 Hz
needs_sphinx = pytest.mark.skipif(sphinx.missing() is not None, reason="no pocketsphinx")


def _phones(clip):
    """Changes every 5 frames; begins with silence."""
    phones = np.random.default_rng(clip).integers(4, size=FRAMES // 5)
    phones[0] = 0
    return phones


@pytest.fixture
def corpus(monkeypatch):
    clips = [Clip(f"{i:02d}", text="words", speaker=f"s{i % 4}") for i in range(40)]
    alignments = {
        clip: [(PHONES[p], 0.1 * at) for at, p in enumerate(_phones(i))]
        for i, clip in enumerate(clips)
    }
    monkeypatch.setattr(module, "_phones", alignments)
    monkeypatch.setattr(sphinx, "missing", lambda: None)
    return Corpus("known", tuple(clips))


def _tokens(*rows, strides=()):
    codes = torch.from_numpy(np.stack(rows)[None].astype(np.int64))
    sizes = (1024,) * len(rows)
    return Tokens(codes, "toy", "0" * 64, 320 * FRAMES, 16_000, sizes, strides)


def _conclude(corpus, tokens):
    task = tasks.get("token_information")
    conclusion = task.conclude(corpus, tokens, print)
    entries = [{"clip": str(i), "values": v, "failures": []} for i, v in conclusion.items()]
    rows = frame("", entries, [task])
    return task.summarise(rows, tokens), task.details(rows, tokens), conclusion


def test_information_by_hand():
    assert information(np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0])).tolist() == [1, 1, 1, 1]
    assert information(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])).tolist() == [0, 0, 0, 0]
    pointwise = information(np.array([0, 0, 1]), np.array([0, 1, 1]))
    np.testing.assert_allclose(pointwise, np.log2([3 / 2, 3 / 4, 3 / 2]))


def test_codes_that_are_the_phone_know_all_of_it(corpus):
    tokens = [_tokens(np.repeat(_phones(i), 5)) for i in range(40)]
    whole, _, rows = _conclude(corpus, tokens)
    assert whole["phone_pnmi"] == pytest.approx(1)
    assert whole["phone_share"] == pytest.approx(1)
    assert whole["phone_bits"] == pytest.approx(2, abs=0.03)
    assert whole["phone_frames"] == 40 * FRAMES
    assert abs(whole["speaker_share"]) < 0.02
    assert len(rows) == 40


def test_codes_that_are_the_speaker_know_nothing_else(corpus):
    tokens = [_tokens(np.full(FRAMES, i % 4)) for i in range(40)]
    whole, _, _ = _conclude(corpus, tokens)
    assert whole["speaker_share"] == pytest.approx(1)
    assert abs(whole["phone_share"]) < 0.02


def test_noise_knows_nothing_though_it_counts_as_much(corpus):
    """Of 1024 codes seen 8 times each, frequencies alone say more than half a bit of 2."""
    tokens = [_tokens(np.random.default_rng(i).integers(1024, size=FRAMES)) for i in range(40)]
    whole, _, _ = _conclude(corpus, tokens)
    assert whole["phone_pnmi"] > 0.1
    assert abs(whole["phone_share"]) < 0.02 and abs(whole["speaker_share"]) < 0.02


def test_each_codebook_at_its_own_rate(corpus):
    tokens = []
    for i in range(40):
        other = np.repeat(np.random.default_rng(1000 + i).integers(2, size=FRAMES // 5), 5)
        tokens.append(_tokens(other, np.repeat(_phones(i), 5), strides=(5, 1)))
    whole, details, _ = _conclude(corpus, tokens)
    assert whole["phone_frames"] == 40 * FRAMES / 5
    assert details["phone_share"] == [pytest.approx(0, abs=0.02), pytest.approx(1)]


def test_clips_that_failed_bytes_and_the_ceiling_row(corpus):
    tokens = [_tokens(np.repeat(_phones(i), 5)) for i in range(40)]
    whole, _, rows = _conclude(corpus, [*tokens[:20], None, *tokens[21:]])
    assert 20 not in rows and whole["phone_frames"] == 39 * FRAMES
    uneven = Tokens(torch.zeros(1, 1, 77, dtype=torch.int64), "t", "0", 64_000, 16_000, (1024,))
    whole, _, _ = _conclude(corpus, [uneven, *tokens[1:]])
    assert "phone_share" not in whole and "speaker_share" in whole
    assert _conclude(corpus, None) == ({}, {}, {})


@needs_sphinx
def test_phones_of_a_bundled_clip():
    clip = next(c for c in data.load("bundled") if c.id == "rms_0")
    phones = sphinx.phones(clip.read(), clip.text)
    names, starts = zip(*phones, strict=True)
    spoken = " ".join(name for name in names if name != "SIL")
    assert spoken.startswith("JH EH N AH F ER F AW N D T W EH N") and names[0] == "SIL"
    assert starts[0] == 0 and list(starts) == sorted(starts) and starts[-1] < clip.read().duration
    with pytest.raises(MetricError, match="cannot align 'jennifer found zwanzigx'"):
        sphinx.phones(clip.read(), "jennifer found zwanzigx")
