"""Impulse responses of rooms: by hand, and their decay time measured."""

from __future__ import annotations

import numpy as np
import pytest

from audiotok.enhancement import rooms

RATE = 16_000


def test_the_direct_sound_and_the_first_reflection_by_hand():
    size = np.array([10.0, 20.0, 20.0])
    room = rooms.Room(size, np.array([2.0, 10, 10]), np.array([4.0, 10, 10]), 0.3)
    response = rooms.impulse_response(room, RATE)
    assert response[0] == pytest.approx(1)
    # the wall at x = 0 makes an image at x = -2: 6 m away, so 4 m later, a third as loud, turned
    sample = round(4 / rooms.SPEED * RATE)
    assert not response[1:sample].any()
    assert response[sample] == pytest.approx(-room.reflection / 3)


@pytest.mark.parametrize("decay", [0.2, 0.35])
def test_the_sound_decays_in_the_time_that_was_asked_for(decay):
    measured = []
    for seed in range(2):
        room = rooms.random_room(np.random.default_rng(seed), decay)
        response = rooms.impulse_response(room, RATE)
        assert len(response) <= decay * RATE
        level = 10 * np.log10(np.cumsum(response[::-1] ** 2)[::-1] / np.sum(response**2))
        start, end = (int(np.argmax(level < edge)) for edge in (-5, -25))  # T20
        measured.append(3 * (end - start) / RATE)
    assert np.mean(measured) == pytest.approx(decay, rel=0.25)


def test_places_are_inside_and_repeat():
    first, second = (rooms.random_room(np.random.default_rng(3), 0.4) for _ in range(2))
    for place in (first.source, first.microphone):
        assert (place >= rooms.MARGIN).all() and (place <= first.size - rooms.MARGIN).all()
    assert np.array_equal(rooms.impulse_response(first, RATE), rooms.impulse_response(second, RATE))
