"""Columns of shards: those that pyarrow makes of the same values, and pandas is not imported."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from audiotok.corpora import columns


def test_columns_are_those_of_pyarrow():
    assert columns.numbers([1, 255], pa.uint8()).equals(pa.array([1, 255], pa.uint8()))
    assert columns.numbers([0.5], pa.float64()).equals(pa.array([0.5], pa.float64()))
    for values in (["é", None, "", "two words"], [None] * 9, []):
        assert columns.texts(values).equals(pa.array(values, pa.string()))
    cells = [[np.arange(3), np.arange(0)], [], [np.array([7])]]
    made = columns.lists_of_arrays(cells, pa.uint16())
    kind = pa.list_(pa.list_(pa.uint16()))
    assert made.equals(pa.array([[list(array) for array in cell] for cell in cells], kind))
    assert columns.lists_of_arrays([], pa.uint16()).equals(pa.array([], kind))
    struct = pa.struct([("type", pa.string())])
    for values in ([None, {"type": "int32"}], [None, None]):
        assert columns.structs(values, struct).equals(pa.array(values, struct))


def test_numbers_that_do_not_fit_are_refused():
    with pytest.raises(OverflowError):
        columns.numbers([256], pa.uint8())


def test_pandas_is_not_imported():
    code = """
import sys
import numpy, pyarrow
from audiotok.corpora import columns
made = [
    columns.numbers([1], pyarrow.int64()), columns.texts(["a", None]),
    columns.lists_of_arrays([[numpy.arange(3)]], pyarrow.uint8()),
    columns.structs([None], pyarrow.struct([("a", pyarrow.int64())])),
]
assert len(made) == 4 and "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
