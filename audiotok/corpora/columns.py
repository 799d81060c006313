"""Arrow columns of lists of Python values, made without pandas.

pyarrow imports pandas when it converts Python values, which takes longer than encoding a short
sound. Here the buffers of the columns are made with NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa


def numbers(values: Sequence[float], kind: pa.DataType) -> pa.Array:
    """A column of integers or floats without missing values."""
    array = np.asarray(values, kind.to_pandas_dtype())
    return pa.Array.from_buffers(kind, len(array), [None, pa.py_buffer(array)])


def texts(values: Sequence[str | None]) -> pa.Array:
    """A column of texts, some of which may be missing."""
    encoded = [(value or "").encode() for value in values]
    present = np.packbits([value is not None for value in values] or [False], bitorder="little")
    buffers = [pa.py_buffer(present), _offsets(encoded), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(values), buffers)


def lists_of_arrays(values: Sequence[Sequence[np.ndarray]], kind: pa.DataType) -> pa.Array:
    """A column whose cells are lists of arrays of numbers."""
    arrays = [array for cell in values for array in cell]
    flat = np.concatenate(arrays) if arrays else np.empty(0)
    inner = pa.Array.from_buffers(
        pa.list_(kind), len(arrays), [None, _offsets(arrays)], children=[numbers(flat, kind)]
    )
    return pa.Array.from_buffers(
        pa.list_(inner.type), len(values), [None, _offsets(values)], children=[inner]
    )


def structs(values: Sequence[dict | None], kind: pa.DataType) -> pa.Array:
    """A column of structs; pandas is imported only if one is not missing."""
    return pa.array(values, kind) if any(values) else pa.nulls(len(values), kind)


def _offsets(cells: Sequence[Sequence]) -> pa.Buffer:
    """Where each cell begins and the last one ends, int32."""
    ends = np.cumsum([0, *map(len, cells)])
    if ends[-1] > np.iinfo(np.int32).max:
        raise OverflowError(f"{ends[-1]} values in one column: Arrow's lists hold 2**31 - 1")
    return pa.py_buffer(ends.astype(np.int32))
