"""bench --random-weights: codecs whose weights are not here in a table; nothing is kept."""

import os

import pytest
import soundfile
import torch

import audiotok
from audiotok.codecs import units
from audiotok.errors import AudiotokError, CodecError
from audiotok.harness import harness
from audiotok.harness.settings import BenchSettings

pytest.importorskip("transformers", minversion="5.23")
from support import tiny_transformers, tiny_units  # noqa: E402


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Networks are tiny; the corpus is two sounds."""
    monkeypatch.setitem(units.SIZES, "units:hubert", tiny_units.HUBERT)
    monkeypatch.setitem(units.SIZES, "units:wavlm", tiny_units.WAVLM)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUDIOTOK_CACHE", str(tmp_path / "cache"))
    os.mkdir("corpus")
    for seed in range(2):
        sound = tiny_transformers.sound(1, 16_000, seed)[0, 0].numpy()
        soundfile.write(f"corpus/{seed}.wav", sound, 16_000)


def test_the_suite_of_tokens_runs_and_leaves_nothing(small):
    names = "units:hubert:layer=2,units:wavlm:layer=1/3"  # the whole suite takes minutes
    measured = harness.run(
        BenchSettings(
            tokenizer=names, suite="tokens", tasks=["tokens", "reconstruction"],
            data="corpus", workers=0, baselines=False, random_weights=True,
        )
    )  # fmt: skip
    rows = {result.codec: result for result in measured}
    drawn = [rows[f"{name}@random"] for name in ("units:hubert:layer=2", "units:wavlm:layer=1/3")]
    for result in drawn:
        assert result.scores["entropy_bitrate"]["mean"] > 0
        assert not result.summary["failures"]
        assert result.scores["stoi"]["mean"] is None  # missing, not failed
        assert len(result.rows) == 2 and not result.folder.exists()
    assert drawn[1].scores["bitrate"]["mean"] == 2 * drawn[0].scores["bitrate"]["mean"]
    assert sorted(os.listdir()) == ["corpus"]


def test_random_weights_are_only_used_where_asked_for(small):
    with pytest.raises(AudiotokError, match="units:hubert needs a file of centroids"):
        audiotok.bench("units:hubert", data="corpus", suite="tokens")
    with pytest.raises(CodecError, match="mimi-8 does not run on random weights"):
        audiotok.bench("units:hubert,mimi", data="corpus", random_weights=True)
    with pytest.raises(AudiotokError, match="--random-weights and fresh exclude each other"):
        BenchSettings(tokenizer="units:hubert", reuse="fresh", random_weights=True)
    with pytest.raises(CodecError, match="random weights or here.npy, not both"):
        audiotok.load("units:hubert", "here.npy", random_weights=True)
    one, two = (audiotok.load("units:hubert:layer=1", random_weights=True) for _ in range(2))
    assert one.fingerprint == two.fingerprint and "weights: random" in repr(one)
    sound = (tiny_transformers.sound(1, 16_000)[0], 16_000)
    import pickle

    again = pickle.loads(pickle.dumps(one))
    assert torch.equal(again.encode(sound).codes, one.encode(sound).codes)
