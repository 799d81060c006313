"""Settings of the whole process that several threads hold: values of before come back once."""

import itertools
import logging
import threading
from types import SimpleNamespace

import pytest

from audiotok.system.shared_settings import Level, SharedSettings

ORDERS = sorted(set(itertools.permutations("aabb")))  # who enters or leaves next


@pytest.mark.parametrize("order", ORDERS)
def test_two_threads_in_every_order(order):
    owner = SimpleNamespace(flag="mine", same=1)
    held = SharedSettings((owner, "flag", "held"), (owner, "same", 1))
    inside = dict.fromkeys("ab", False)
    for thread in order:
        work = held.__exit__ if inside[thread] else held.__enter__
        runner = threading.Thread(target=work)
        runner.start()
        runner.join()
        inside[thread] = not inside[thread]
        assert owner.flag == ("held" if any(inside.values()) else "mine")
    assert owner.same == 1


def test_it_is_entered_again_within_itself():
    owner = SimpleNamespace(flag=0)
    held = SharedSettings((owner, "flag", 1))
    with held:
        with held:
            assert owner.flag == 1
        assert owner.flag == 1
    assert owner.flag == 0


def test_what_another_set_meanwhile_is_kept():
    owner = SimpleNamespace(flag=0)
    held = SharedSettings((owner, "flag", 1))
    with held:
        owner.flag = 2
    assert owner.flag == 2
    with held:
        owner.flag = 3
        with held:
            assert owner.flag == 1
    assert owner.flag == 3


def test_a_setting_that_fails_leaves_the_others():
    owner = SimpleNamespace(flag=0)
    held = SharedSettings((owner, "flag", 1), (owner, "missing", 1))
    with pytest.raises(AttributeError), held:
        pass
    assert owner.flag == 0


def test_a_level():
    logger = logging.getLogger("audiotok.test_shared_settings")
    with SharedSettings(Level.of(logger.name, logging.ERROR)):
        assert not logger.isEnabledFor(logging.INFO) and logger.level == logging.ERROR
    assert logger.level == logging.NOTSET
