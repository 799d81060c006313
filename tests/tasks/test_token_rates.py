"""token_rates, and what else is measured of variable rates and of tokens without a decoder."""

import numpy as np
import pandas
import pytest
import torch
from support.plain_codecs import Halting

from audiotok import tasks
from audiotok.data import Clip, Corpus
from audiotok.errors import CodecError
from audiotok.sound.audio import Audio
from audiotok.tasks import Item, _bpe
from audiotok.tasks.robustness import nearest, perturbed

SOUND = Audio(torch.from_numpy(np.random.default_rng(0).normal(0, 0.1, (1, 16_000))).float(), 8000)


def score(name, tokens, **more):
    return tasks.get(name).score(Item(Clip("a", None), SOUND, SOUND, tokens=tokens, **more))


def test_rates_count_segments_once_and_durations_in_bits():
    tokens = Halting(4).encode(SOUND)
    row = score("token_rates", tokens)
    assert row["utterance_token_rate"] == len(tokens.durations) / 2 < 50
    assert row["utterance_bitrate"] == len(tokens.durations) * (3 + 2) / 2
    assert score("token_rates", Halting().encode(SOUND))["utterance_token_rate"] == 50
    rows = pandas.DataFrame({"utterance_token_rate": [float(n) for n in range(101)]})
    assert tasks.get("token_rates").summarise(rows, []) == {"utterance_token_rate_p95": 95.0}


def test_bpe_is_fitted_to_other_clips(monkeypatch):
    pytest.importorskip("tokenizers")
    monkeypatch.setattr(_bpe, "MERGES", 8)
    codec = Halting()
    corpus = Corpus("some", tuple(Clip(str(n), None) for n in range(4)))
    tokens = [codec.encode(SOUND) for _ in corpus]
    rows = tasks.get("token_rates").conclude(corpus, tokens, lambda text: None)
    assert set(rows) == {3}
    assert all(row["bpe_rate"] < 50 for row in rows.values())


def test_tasks_of_tokens_know_segments():
    plain, varied = Halting().encode(SOUND), Halting(4).encode(SOUND)
    near = [nearest(torch.arange(8.0)[:, None], free.flatten(), 2) for free in varied.free_codes]
    assert torch.equal(perturbed(varied, near, 0.0, 2).codes, varied.codes)
    changed = perturbed(varied, near, 1.0, 2).codes
    starts = varied.durations.cumsum(0)[:-1]
    moves = (changed[0, 0, 1:] != changed[0, 0, :-1]).nonzero()[:, 0] + 1
    assert set(moves.tolist()) <= set(starts.tolist())
    row = tasks.get("tokens").summarise(pandas.DataFrame(), [varied])
    assert row["token_rate"] < 50 and row["bitrate"] == varied.bitrate
    assert row["entropy_bitrate"] > 0 and plain.bitrate == 150


def test_tokens_without_a_decoder_are_refused_by_decode_only():
    codec = Halting(needs="a vocoder trained on these units")
    tokens = codec.encode(SOUND)
    with pytest.raises(CodecError, match="halting has no decoder: it needs a vocoder trained"):
        codec.decode(tokens)
    measured = {task.name for task in tasks.list_tasks() if not task.reconstructs}
    assert {"tokens", "token_rates", "stability", "acoustic_lm", "probe_asr"} <= measured
    assert not measured & {"reconstruction", "speaker", "asr_whisper", "mos"}
    observed = tasks.get("stability").observe(codec, SOUND, tokens)
    row = score("stability", tokens, observed=observed)
    assert "ued" in row and not any(name.startswith("reencode") for name in row)
