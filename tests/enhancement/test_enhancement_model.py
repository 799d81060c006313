"""The model, its loss, its training, and codecs as maps between sounds and vectors."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from audiotok import enhancement
from audiotok.codec import registry
from audiotok.enhancement import model, training, vectors
from audiotok.sound.audio import Audio

SMALL = dataclasses.replace(
    enhancement.PROTOCOL, width=16, blocks=2, steps=100, learning_rate=1e-2, train_mixtures=4
)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for module in (enhancement, model, training):
        monkeypatch.setattr(module, "PROTOCOL", SMALL)


def sound(seed=0, rate=16_000):
    noise = torch.randn(1, rate // 2, generator=torch.Generator().manual_seed(seed))
    return Audio(0.1 * noise, rate)


def test_the_loss_does_not_depend_on_the_order_of_the_speakers():
    found, target = torch.randn(2, 3, 2, 4, 5, generator=torch.Generator().manual_seed(0))
    swapped = target.clone()
    swapped[1] = target[1, [1, 0]]  # of one example alone
    assert model.loss(found, swapped) == pytest.approx(float(model.loss(found, target)))
    assert model.loss(target, swapped) == 0
    assert model.better_order(target[1], swapped[1]) == [1, 0]
    one = found[:, :1]
    assert model.loss(one, target[:, :1]) == pytest.approx(
        float((one - target[:, :1]).square().mean())
    )


def test_an_untrained_model_of_one_speaker_leaves_the_sound_as_it_is():
    frames = torch.randn(2, 4, 30)
    assert torch.equal(model.Network(4, 1)(frames)[:, 0], frames)


def test_it_sees_what_is_before_and_after_a_frame():
    network = model.Network(4, 2)
    frames = torch.randn(1, 4, 30)
    changed = frames.clone()
    changed[..., 15] += 1
    moved = (network(frames) - network(changed)).abs().amax((0, 1, 2)) > 1e-7
    assert moved[:15].any() and moved[16:].any()


def examples(speakers, count=12):
    """Clean vectors are smooth in time, noise is not; of two speakers the sum is heard."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for number in range(count):
        length = 40 + number  # of different lengths
        time = torch.arange(length) / 6
        clean = torch.stack(
            [
                (2 - s) * torch.sin(time * (1 + 3 * s) + torch.rand(4, 1, generator=generator) * 6)
                for s in range(speakers)
            ]
        )
        noise = 0.7 * torch.randn(4, length, generator=generator)
        found.append((5 + clean.sum(0) + (noise if speakers == 1 else 0), 5 + clean))
    return found


@pytest.mark.parametrize("speakers", [1, 2])
def test_it_learns_to_tell_apart(speakers):
    pairs = examples(speakers)
    trained = training.train(pairs[:10], seed=0)
    for mixture, clean in pairs[10:]:
        found = trained.separated(mixture, clean)
        assert found.shape == clean.shape
        before = (mixture[None] - clean).square().mean()
        assert (found - clean).square().mean() < 0.6 * before


def test_the_same_seed_trains_the_same_model(monkeypatch):
    monkeypatch.setattr(training, "PROTOCOL", dataclasses.replace(SMALL, steps=4))
    pairs = examples(1, 4)
    first, second = (training.train(pairs, 3).separated(*pairs[0]) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, training.train(pairs, 4).separated(*pairs[0]))


def test_a_dimension_that_never_changes_is_no_division_by_zero():
    clean = torch.randn(1, 3, 20)
    clean[:, 1] = 2.0
    scale = training.Scale.of([(clean[0], clean)])
    assert scale.scaled(clean).isfinite().all()
    assert torch.allclose(scale.unscaled(scale.scaled(clean)), clean, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["rvq-small", "rvq-small:codebooks=2,merge=2", "wavtokenizer-mini"]
)
def test_codes_of_clean_latents_are_the_reconstruction(name):
    codec, original = registry.load(name, quiet=True), sound(rate=16_000)
    assert vectors.unsuited(codec, original) is None
    latents = vectors.latents_of(codec, original)
    found = vectors.sound_of_codes(codec, latents, original)
    assert torch.allclose(found.waveform, codec.reconstruct(original).waveform, atol=1e-5)
    embedded = vectors.quantized(codec, latents)
    assert torch.equal(vectors.quantized(codec, torch.stack([latents] * 2))[1], embedded)
    continuous = vectors.sound_of_vectors(codec, latents, original)
    assert continuous.waveform.shape == original.waveform.shape
    assert continuous.waveform.isfinite().all()
    assert not torch.equal(continuous.waveform, found.waveform)


@pytest.mark.parametrize(
    "name, reason",
    [
        ("opus-6k", "byte stream"),
        ("mulaw", "no latents"),
        ("random", "its codes are random"),
    ],
)
def test_codecs_without_vectors_are_left_out_with_a_word(name, reason):
    assert reason in vectors.unsuited(registry.load(name, quiet=True), sound())
