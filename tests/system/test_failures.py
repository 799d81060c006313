from __future__ import annotations

import errno
import subprocess
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest
import torch

from audiotok.errors import AudioError, MetricError, MissingPackageError
from audiotok.system.failures import Failure, is_transient, was_transient


class _Array(MemoryError):
    pass


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


PASSING = [
    MemoryError(),
    _Array("Unable to allocate 3 GiB"),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("CUDA out of memory"),
    RuntimeError("CUDA error: an illegal memory access was encountered"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"),
    RuntimeError("MPS backend out of memory"),
    RuntimeError("can't start new thread"),
    RuntimeError("std::bad_alloc"),
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EMFILE, "Too many open files"),
    OSError(errno.EIO, "Input/output error"),
    PermissionError(errno.EACCES, "Permission denied"),
    FileNotFoundError(errno.ENOENT, "No such file or directory"),
    ConnectionResetError("by peer"),
    TimeoutError(),
    ModuleNotFoundError("No module named 'x'"),
    caused(MissingPackageError("x", "y", "z"), ImportError("x")),
    BrokenProcessPool("a process was terminated abruptly"),
    subprocess.CalledProcessError(-9, ["visqol"]),
    subprocess.TimeoutExpired(["visqol"], 3),
    ExceptionGroup("several", [ValueError("x"), MemoryError()]),
    caused(AudioError("a.wav cannot be decoded"), OSError(errno.EMFILE, "Too many open files")),
    MetricError("pesq failed: [Errno 28] No space left on device"),
]
STAYING = [
    ValueError("no level"),
    RuntimeError("too loud"),
    IndexError("index out of range"),
    MetricError("the reference is silent"),
    AudioError("a.wav is empty: it holds 0 samples"),
    OSError("not an image"),
    OSError(errno.EINVAL, "Invalid argument"),
    subprocess.CalledProcessError(1, ["visqol"]),
    caused(ValueError("x"), KeyError("y")),
    np.linalg.LinAlgError("SVD did not converge"),
    ExceptionGroup("several", [ValueError("x")]),
]


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_what_lies_outside_of_code_and_data_may_pass(error):
    failure = Failure.of(error)
    assert is_transient(error) and failure.transient and was_transient(failure.record)
    assert "\n" not in failure.message


@pytest.mark.parametrize("error", STAYING, ids=repr)
def test_what_code_makes_of_data_stays(error):
    assert not is_transient(error) and not was_transient(Failure.of(error).record)


@pytest.mark.parametrize(
    ("message", "passing"),
    [
        ("RuntimeError: CUDA out of memory", True),
        ("MemoryError: ", True),
        ("OSError: [Errno 28] No space left on device: '/tmp/x'", True),
        ("OSError: [Errno 24] x", True),
        ("the scoring process died (signal 9, perhaps for memory)", True),
        ("its Ray task was lost (WorkerCrashedError)", True),
        ("f0 has no value: 0 frames of 10 ms are voiced in both sounds", False),
        ("OSError: [Errno 22] Invalid argument", False),
    ],
)
def test_failures_of_older_results_are_judged_by_their_text(message, passing):
    assert was_transient({"stage": "encode", "message": message}) == passing
    assert not was_transient({"message": message, "transient": False})
    assert was_transient({"message": message, "transient": True})
