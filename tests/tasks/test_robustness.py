"""Which codes are replaced by which, and the areas of curves that are known."""

import pickle

import numpy as np
import pytest
import torch
from support.plain_codecs import CONSTANT, COPY

import audiotok
from audiotok import tasks
from audiotok.data import Clip, Corpus
from audiotok.errors import CodecError
from audiotok.harness.summary import frame
from audiotok.sound.audio import Audio
from audiotok.tasks import Item, robustness
from audiotok.tasks.robustness import ALPHAS, DELTAS, nearest, perturbed
from audiotok.tokens import Tokens


def _tokens(codes, sizes, strides=()):
    return Tokens(torch.as_tensor(codes), "toy", "0" * 64, 8000, 8000, sizes, strides)


def test_nearest_codewords_by_hand():
    line = torch.tensor([[0.0], [1.0], [3.0], [3.0], [7.0]])
    neighbours = nearest(line, torch.tensor([1, 4, 1, 3]), 3)
    assert neighbours.tolist() == [[1, 0, 2], [4, 2, 3], [1, 0, 2], [3, 2, 1]]
    assert nearest(line, torch.tensor([0]), 9).tolist() == [[0, 1, 2, 3, 4]]


def test_nearest_is_what_distances_say():
    generator = torch.Generator().manual_seed(0)
    codewords = torch.randn(300, 7, generator=generator)
    neighbours = nearest(codewords, torch.arange(300), 10)
    distances = (codewords.double()[:, None] - codewords.double()).square().sum(-1)
    assert neighbours.equal(distances.argsort(1)[:, :10])


def _near(tokens, count):
    lines = [torch.arange(v)[:, None].float() for v in tokens.codebook_sizes]
    pairs = zip(lines, tokens.free_codes, strict=True)
    return [nearest(line, free.flatten(), count) for line, free in pairs]


@pytest.mark.parametrize("alpha", ALPHAS)
def test_a_share_of_the_codes_goes_to_neighbours(alpha):
    codes = np.random.default_rng(0).integers(100, 900, (1, 2, 4000))
    codes[:, 1] = np.repeat(codes[:, 1, ::2], 2, -1)
    tokens = _tokens(codes, (1000, 1000), (1, 2))
    noisy = perturbed(tokens, _near(tokens, 100), alpha, 32)
    for old, new in zip(tokens.free_codes, noisy.free_codes, strict=True):
        moved = (new - old).abs()
        assert moved.max() <= 16  # of the 32 nearest on a line
        assert (moved > 0).double().mean() == pytest.approx(alpha * 31 / 32, abs=0.02)
    assert perturbed(tokens, _near(tokens, 100), alpha, 32).codes.equal(noisy.codes)


def test_what_is_wrong_at_one_alpha_is_wrong_in_the_same_way_at_a_higher():
    tokens = _tokens(np.random.default_rng(0).integers(0, 64, (1, 1, 500)), (64,))
    few, many = (perturbed(tokens, _near(tokens, 8), a, 8).codes for a in (0.25, 0.5))
    changed = few != tokens.codes
    assert changed.any() and many[changed].equal(few[changed])


def test_small_codebooks_have_fewer_neighbours():
    tokens = _tokens([[[0, 1, 2, 0]]], (3,))
    assert perturbed(tokens, _near(tokens, 100), 1.0, 100).codes.max() <= 2


class Judged(robustness.Robustness):
    """Counts the samples that differ, in place of what takes long."""

    def _judges(self, item):
        def share(sound):
            return float((sound.waveform != item.reference.waveform).double().mean())

        return [("mel_distance", DELTAS, share)]


def test_areas_are_those_of_the_curve():
    codes = torch.randint(60, 190, (1, 1, 8000), generator=torch.Generator().manual_seed(0))
    sound = Audio(((codes[0] - 128) / 128).float(), 8000)
    tokens, task = COPY.encode(sound), Judged()
    observed = task.observe(COPY, sound, tokens)
    assert set(observed) == {(a, d) for a in ALPHAS for d in DELTAS}
    row = task.score(Item(Clip("a"), sound, sound, tokens, observed=observed))
    assert row["mel_distance_a0_d8"] == 0
    for delta in DELTAS:  # alpha (1 - 1 / delta) are wrong: a straight line
        assert row[f"mel_distance_area_{delta}"] == pytest.approx((1 - 1 / delta) / 2, abs=0.01)
    entries = [{"clip": "a", "values": row, "failures": []}]
    details = task.details(frame("", entries, [task]), [])
    alphas, points = np.array(details["mel_distance_d32"]).T
    assert list(alphas) == [0, *ALPHAS]
    np.testing.assert_allclose(points, alphas * 31 / 32, atol=0.02)


def test_a_codec_of_bytes_has_no_neighbours_and_an_unknown_codebook_is_said():
    sound = Audio(torch.zeros(1, 800), 8000)
    task = tasks.get("robustness")
    assert task.observe(audiotok.load("opus-6k"), sound, None) is None
    assert task.score(Item(Clip("a"), sound, sound)) == {}
    with pytest.raises(CodecError, match="constant has implicit codebooks"):
        task.observe(CONSTANT, sound, CONSTANT.encode(sound))


def test_on_a_bundled_clip():
    from audiotok import data

    clip = next(c for c in data.load("bundled") if c.text)
    codec, sound = audiotok.load("mulaw"), clip.read()
    sound = Audio(sound.waveform[:, :16_000], sound.sample_rate)
    task = tasks.get("robustness")
    task.prepare(Corpus("one", (clip,)))
    task = pickle.loads(pickle.dumps(task))
    tokens = codec.encode(sound)
    item = Item(clip, sound, codec.decode(tokens, sound.sample_rate), tokens)
    observed = task.observe(codec, sound, tokens)
    judges = {name: judge for name, _, judge in task._judges(item)}
    assert set(judges) == {"mel_distance", "stoi", "speaker_similarity", "wer"}
    mel, stoi = ([judges[m](observed[a, 32]) for a in ALPHAS] for m in ("mel_distance", "stoi"))
    assert mel == sorted(mel) and stoi == sorted(stoi, reverse=True)
    missing = task.left_out()
    if "speaker_similarity_area_32" not in missing:
        same, other = (judges["speaker_similarity"](s) for s in (item.reference, observed[1.0, 32]))
        assert other < same == pytest.approx(1, abs=1e-5)
    if "wer_area_32" not in missing:
        assert judges["wer"](observed[0.1, 32]) >= 0
    names = {column.name for column in task.columns} | set(task.left_out())
    assert {"stoi_area_8", "mel_distance_area_100", "wer_area_32"} <= names
    task.grammar = "g.jsgf"
    assert "wer_closed_area_32" in {c.name for c in task.columns} | set(task.left_out())
