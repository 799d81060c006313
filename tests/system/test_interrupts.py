from __future__ import annotations

import contextlib
import io
import os
import signal
import threading
from types import SimpleNamespace

import pytest
import torch

from audiotok import load
from audiotok.codecs import classical
from audiotok.system.interrupts import Terminated, deferred, exit_code, stopping, terminating


def send(number=signal.SIGINT):
    os.kill(os.getpid(), number)


def handlers():
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


def test_it_takes_effect_at_the_end_of_the_block():
    before, done = handlers(), []
    with pytest.raises(KeyboardInterrupt), deferred():
        send()
        done.append("all of it")
    assert done and handlers() == before


def test_neither_an_error_nor_a_bare_except_loses_it():
    with pytest.raises(KeyboardInterrupt), deferred():
        send()
        raise ValueError("of the foreign library")
    with pytest.raises(KeyboardInterrupt), deferred(), contextlib.suppress(BaseException):
        send()


def test_the_second_one_takes_effect_at_once():
    done = []
    with pytest.raises(KeyboardInterrupt), deferred():
        send()
        done.append("first")
        send()
        done.append("second")
    assert done == ["first"]


def test_blocks_in_blocks():
    done = []
    with pytest.raises(KeyboardInterrupt), deferred():
        with deferred():
            send()
        done.append("the outer block goes on")
    assert done


def test_sigterm_ends_like_ctrl_c_with_the_code_of_its_own(capsys):
    before = handlers()
    for number, code in (signal.SIGINT, 130), (signal.SIGTERM, 143):
        with pytest.raises(SystemExit) as ended, stopping("Stopped. It goes on."), deferred():
            send(number)
        assert ended.value.code == code
        assert capsys.readouterr().err == "Stopped. It goes on.\n"
    with pytest.raises(Terminated) as messages, terminating():
        send(signal.SIGTERM)
    assert exit_code(messages.value) == 143 and handlers() == before


def test_handlers_of_the_caller_stay():
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *about: seen.append(about))
    try:
        with terminating(), deferred():
            send(signal.SIGTERM)
            assert not seen
        assert len(seen) == 1
    finally:
        signal.signal(signal.SIGTERM, before)


def test_other_threads_change_no_handler():
    result = []

    def work():
        with terminating(), deferred():
            result.append(handlers())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert result == [handlers()]


class Interrupting(io.BytesIO):
    """libsndfile calls these methods from C; the first call meets Ctrl-C."""

    sent = False

    def _once(self):
        if not Interrupting.sent:
            Interrupting.sent = True
            send()

    def write(self, data):
        self._once()
        return super().write(data)

    def readinto(self, buffer):
        self._once()
        return super().readinto(buffer)


@pytest.mark.filterwarnings("error")  # nothing is printed from a callback
@pytest.mark.parametrize("what", ["encode", "decode"])
def test_ctrl_c_inside_of_libsndfile_is_not_lost(monkeypatch, what):
    monkeypatch.setattr(Interrupting, "sent", False)
    codec = load("opus-6k")
    codes = codec._encode(torch.zeros(1, 1, 16_000))
    monkeypatch.setattr(classical, "io", SimpleNamespace(BytesIO=Interrupting))
    with pytest.raises(KeyboardInterrupt):
        codec._encode(torch.zeros(1, 1, 16_000)) if what == "encode" else codec._decode(codes)
