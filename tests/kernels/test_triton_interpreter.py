"""Runs triton_cases.py in processes of their own, where Triton's interpreter can be switched on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="Triton is not installed")

CASES = Path(__file__).with_name("triton_cases.py")


@pytest.mark.parametrize("cases", ["argmin or ties or codewords or prefilter or bound", "rest"])
def test_kernels_in_the_interpreter(cases):
    first = "argmin or ties or codewords or prefilter or bound"
    chosen = cases if cases == first else f"not ({first})"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-x", "-k", chosen]
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, str(CASES)], env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
