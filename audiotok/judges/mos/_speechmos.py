"""Shared by the predictors of the package speechmos: the check for it, and one thread each."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import ModuleType

from audiotok.errors import MissingPackageError


def missing(purpose: str) -> MissingPackageError | None:
    """An error with how to install a missing package; None if all are installed."""
    for package in ("speechmos", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            return MissingPackageError(package, "mos", purpose)
    return None


@contextmanager
def one_thread(onnxruntime: ModuleType) -> Iterator[None]:
    """Sessions created in the block use one thread, because `bench` runs one process per core."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    before = onnxruntime.InferenceSession
    onnxruntime.InferenceSession = partial(before, sess_options=options)
    try:
        yield
    finally:
        onnxruntime.InferenceSession = before
