"""The pointer of VALL-E R and both readings of equation 5."""

import math

import pytest

from audiotok.tts.pointer import Pointer, advance_probability


def test_the_logit_reading_advances_by_the_share_of_the_next_phone():
    for stay, following in ((0.0, 0.0), (2.0, -1.0), (-3.0, 4.0), (900.0, -900.0), (-900.0, 900.0)):
        share = 1 / (1 + math.exp(min(700, stay - following)))
        assert advance_probability(stay, following) == pytest.approx(share, abs=1e-12)


def test_the_printed_reading_can_neither_hold_nor_leave_a_phone():
    sure_to_stay = advance_probability(50.0, -50.0, "printed")
    sure_to_go = advance_probability(-50.0, 50.0, "printed")
    assert sure_to_stay == pytest.approx(1 / (1 + math.e)) and sure_to_go == pytest.approx(0.5)
    assert advance_probability(50.0, -50.0) < 1e-9 and advance_probability(-50.0, 50.0) > 1 - 1e-9


def test_a_phone_that_never_ends_is_ended():
    pointer = Pointer(2, max_units=3)
    assert [pointer.step(0.0, 0.5) for _ in range(6)] == [False, False, True] * 2
    assert pointer.done and pointer.durations == [3, 3]


def test_given_durations_are_followed_whatever_the_model_wants():
    pointer = Pointer(3, max_units=2, fixed=[1, 4, 1])
    steps = [pointer.step(1.0, 0.0) for _ in range(6)]
    assert steps == [True, False, False, False, True, True]
    assert pointer.done and pointer.durations == [1, 4, 1]


def test_the_median_of_the_durations_without_a_draw():
    hazards = (0.2, 0.3, 0.4, 0.9)  # longer than 1, 2, 3 units: .8, .56, .336
    pointer = Pointer(2, max_units=30)
    assert [pointer.step(p, None) for p in hazards[:3]] == [False, False, True]
    assert [pointer.step(p, None) for p in hazards[:3]] == [False, False, True]
    assert pointer.durations == [3, 3]
