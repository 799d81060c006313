"""Bits per second of sources that are known by hand, and of pairs."""

import dataclasses
import math
from functools import cache

import numpy as np
import pytest
import torch

from audiotok.lm import acoustic
from audiotok.lm.learning import Budget
from audiotok.tasks import acoustic_lm

RATE = 50.0  # Hz


@pytest.fixture
def protocol(monkeypatch):
    """A model that learns in a second what small codebooks have."""
    small = dataclasses.replace(
        acoustic.PROTOCOL,
        dimension=32, heads=2, layers=2,
        budget=Budget(seconds=1200, crop_seconds=1, batch_size=8, learning_rate=1e-2),
    )  # fmt: skip
    monkeypatch.setattr(acoustic, "PROTOCOL", small)
    return small


def chain(transitions: np.ndarray, frames: int, seed: int) -> torch.Tensor:
    """Codes (1, T) of a first-order source."""
    generator = np.random.default_rng(seed)
    codes = [0]
    for _ in range(frames - 1):
        codes.append(generator.choice(len(transitions), p=transitions[codes[-1]]))
    return torch.tensor([codes])


def test_the_task_and_the_models_know_the_same():
    assert len(acoustic.PROTOCOL.seeds) == acoustic_lm.SEEDS
    for model in set(acoustic_lm.MODELS) - {"bpe"}:  # its tokens go to the model interleaved
        acoustic.build_model(model, (4, 4), (1, 2), 0)


def test_the_protocol_is_that_of_the_version():
    """Another protocol gives other numbers, so it needs another version. docs/lm.md says these."""
    protocol = acoustic.PROTOCOL
    assert acoustic_lm.AcousticLM.version == 2
    assert (protocol.layers, protocol.dimension, protocol.heads) == (4, 128, 4)
    assert protocol.seeds == (0, 1, 2) and protocol.sampling.top_k == 250
    assert (protocol.prompt, protocol.continuation, protocol.max_rate) == (2, 3, 200)
    assert dataclasses.astuple(protocol.budget) == (80 * 60, 3, 4, 4e-3, 0.1, (0.9, 0.95), 1)


EVEN = np.full((8, 8), 1 / 8)
SKEWED = np.tile([0.5, 0.2, 0.1, 0.1, 0.05, 0.03, 0.01, 0.01], (8, 1))
BIGRAM = np.array([[0.9 if b == (a + 1) % 8 else 0.1 / 7 for b in range(8)] for a in range(8)])


SOURCES = {"even": EVEN, "skewed": SKEWED, "bigram": BIGRAM}


@cache
def learnt(name):
    """What `acoustic.train` gives for one of SOURCES with the fixture `protocol`; trained once."""
    train = [chain(SOURCES[name], 400, seed) for seed in range(12)]
    return acoustic.train("delay", train, sizes=(8,), strides=(1,), frame_rate=RATE, seed=0)


@pytest.mark.parametrize("name", SOURCES)
def test_bits_per_second_of_known_sources(protocol, name):
    source, model = SOURCES[name], learnt(name)
    test = chain(source, 4000, 99)
    cost = acoustic.costs(model.model, test[None], RATE)
    row = source[0]  # all rows have the same entropy; a window's first code has that of the whole
    first = np.linalg.matrix_power(source, 999)[0]
    each, alone = (-float(p @ np.log2(p)) for p in (row, first))
    truth = each * (RATE - 1) + alone
    assert cost.bits / (4000 / RATE) == pytest.approx(truth, rel=0.06)
    assert cost.hits / cost.codes == pytest.approx(row.max(), abs=0.04)
    assert not model.diverged


def test_the_bigram_saves_what_frequencies_do_not_know(protocol):
    train, test = [chain(BIGRAM, 400, s) for s in range(12)], chain(BIGRAM, 1000, 99)
    (alone,) = acoustic.unigram(train, [test], (8,), (1,))
    assert alone / 1000 == pytest.approx(3, rel=0.01)  # all codes are as frequent
    model = learnt("bigram").model
    assert acoustic.costs(model, test[None], RATE).bits < 0.5 * alone


def test_frequencies_by_hand():
    clips = [torch.tensor([[0, 0, 1], [5, 5, 5]])]
    tested = [torch.tensor([[0, 1, 1], [5, 5, 0]])]
    (bits,) = acoustic.unigram(clips, tested, (4, 8), (1, 2))
    first = -math.log2(2.5 / 5) - 2 * math.log2(1.5 / 5)  # half a time more than seen, of 3 + 2
    second = -math.log2(2.5 / 6) - math.log2(0.5 / 6)  # frames 0 and 2 are free
    assert bits == pytest.approx(first + second)


def test_channels_add_up():
    model = acoustic.build_model("parallel", (8, 8), (1, 1), 0).eval()
    codes = torch.randint(0, 8, (2, 2, 90))
    both = acoustic.costs(model, codes, RATE)
    parts = [acoustic.costs(model, codes[c : c + 1], RATE) for c in (0, 1)]
    assert both.bits == pytest.approx(parts[0].bits + parts[1].bits)
    assert both.codes.equal(parts[0].codes + parts[1].codes)


def test_what_is_as_likely_is_chance_and_what_was_learnt_is_preferred(protocol):
    model = learnt("bigram").model
    right = chain(BIGRAM, 100, 50)[None]
    wrong = right.flip(2)
    assert acoustic.prefers(model, right, wrong) == 1
    assert acoustic.prefers(model, wrong, right) == 0
    assert acoustic.prefers(model, right, right) == 0.5


def test_no_sound_wins_by_being_shorter(protocol):
    """A wrong sound of a tenth of the length costs less in all, but more per frame."""
    model = learnt("bigram").model
    right, wrong = chain(BIGRAM, 200, 50)[None], chain(EVEN, 20, 51)[None]
    long, short = (float(model.bits(codes).detach()) for codes in (right, wrong))
    assert short < long and short / 20 > long / 200
    assert acoustic.prefers(model, right, wrong) == 1
    assert acoustic.prefers(model, wrong, right) == 0


def test_the_order_of_codecs_is_the_same_for_every_seed(protocol, monkeypatch):
    """Of four sources at one rate, whose codes hold 3, 2.1, 0.75 and 0 bits."""
    short = Budget(seconds=160, crop_seconds=1, batch_size=8, learning_rate=1e-2)
    monkeypatch.setattr(acoustic, "PROTOCOL", dataclasses.replace(protocol, budget=short))
    still = np.tile(np.eye(8)[0], (8, 1))
    orders = []
    for seed in range(3):
        bits = []
        for source in (EVEN, SKEWED, BIGRAM, still):
            train, test = [chain(source, 300, n) for n in range(8)], chain(source, 1500, 99)
            model = acoustic.train(
                "delay", train, sizes=(8,), strides=(1,), frame_rate=RATE, seed=seed
            ).model
            bits.append(acoustic.costs(model, test[None], RATE).bits)
        orders.append(np.argsort(bits).tolist())
    assert orders == [[3, 2, 1, 0]] * 3


def test_a_model_that_learns_nothing_has_diverged(protocol, monkeypatch):
    wild = dataclasses.replace(protocol, budget=Budget(seconds=80, crop_seconds=1, batch_size=4,
                                                       learning_rate=30.0))  # fmt: skip
    monkeypatch.setattr(acoustic, "PROTOCOL", wild)
    assert acoustic.train(
        "delay", [chain(EVEN, 200, 0)], sizes=(8,), strides=(1,), frame_rate=RATE, seed=0
    ).diverged
