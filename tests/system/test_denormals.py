"""Denormals are kept inside, flushed again outside, and threads that flush them are told of."""

import warnings

import pytest
import torch

import audiotok
from audiotok import kernels
from audiotok.system import denormals
from audiotok.system.defaults import pytorch_defaults

TINY = torch.ones(1, dtype=torch.int32).view(torch.float32)  # 1.4e-45


@pytest.fixture
def flushed():
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush denormals")
    yield
    torch.set_flush_denormal(False)


def flushes():
    return not (TINY * 1.0).view(torch.int32).any()


def test_inside_they_are_kept_and_the_setting_comes_back(flushed):
    assert flushes()
    for inside in (denormals.keep_denormals, pytorch_defaults):
        with inside():
            assert not flushes()
        assert flushes()
    with pytest.raises(KeyError), denormals.keep_denormals():
        raise KeyError
    assert flushes()


def test_without_the_setting_nothing_changes():
    with denormals.keep_denormals():
        assert not flushes()
    assert not flushes()


def test_codes_of_a_sign_and_of_a_codec(flushed):
    """Codes are those without the setting; a denormal is above 0."""
    latents = torch.ones(1, 3, dtype=torch.int32).view(torch.float32)
    assert kernels.lfq_encode(latents).tolist() == [7]
    codec, quiet = audiotok.load("wavtokenizer-mini"), torch.randn(1, 8000) * 1e-3
    codes = codec.encode((quiet, 16_000)).codes
    torch.set_flush_denormal(False)
    assert codec.encode((quiet, 16_000)).codes.equal(codes)


@pytest.mark.parametrize("flush", [True, False])
def test_threads_of_pytorch_that_flush_are_told_of(flushed, monkeypatch, flush):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(denormals, "_threads_flush", lambda: flush)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with denormals.keep_denormals():
            pass
    assert [str(w.message)[:44] for w in caught] == (
        ["PyTorch's threads were started under torch.s"] if flush else []
    )


def test_whether_threads_flush_is_measured(flushed):
    """In one thread, which is this one."""
    assert denormals._threads_flush()
    torch.set_flush_denormal(False)
    assert not denormals._threads_flush()
