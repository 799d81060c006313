"""A long sound in several threads has the codes of one thread, by windows and by pieces."""

import threading

import pytest
import torch

import audiotok
from audiotok.codec.parallel import mapped, pipelined

NAMES = ("wavtokenizer-mini", "rvq-small", "lm-spt-mini")  # pieces, pieces, windows


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", NAMES)
def test_threads_change_no_code(name, one_thread):
    codec = audiotok.load(name, quiet=True)
    codec.window_seconds, codec.piece_seconds = 2.0, 0.7
    codec.context_seconds = 0.5
    rate = codec.card.sample_rate_in
    sound = 0.1 * torch.randn(1, 9 * rate + 123)
    before = codec.encode((sound, rate)).codes
    codec.threads = 2
    assert torch.equal(codec.encode((sound, rate)).codes, before)


def counter():
    """A step with a state: the number of the piece is added."""
    number = 0

    def step(piece, last):
        nonlocal number
        number += 1
        return piece * 10 + number

    return step


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_a_pipeline_keeps_the_order(threads):
    pieces = [(torch.tensor([float(n)]), n == 6) for n in range(7)]
    expected = [float(n) * 100 + (n + 1) * 11 for n in range(7)]
    before = threading.active_count()
    found = list(pipelined([counter(), counter()], pieces, threads))
    assert [float(one) for one in found] == expected
    assert threading.active_count() == before
    assert list(pipelined([counter()], [], threads)) == []


def test_an_error_in_a_thread_is_raised():
    def fail(piece, last):
        if piece:
            raise ValueError("no")
        return piece

    with pytest.raises(ValueError, match="no"):
        list(pipelined([fail, fail], [(0, False), (1, False), (2, True)], 2))
    with pytest.raises(ZeroDivisionError):
        list(mapped(lambda n: 1 // n, [1, 0, 1], 2))


def test_items_wait_in_bounded_memory():
    taken = []
    items = (taken.append(n) or n for n in range(50))
    results = mapped(lambda n: n, items, 2)
    assert next(results) == 0 and len(taken) <= 4
    assert list(results) == list(range(1, 50))
