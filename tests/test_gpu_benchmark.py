"""benchmarks/gpu.py runs whole in Triton's interpreter, with tiny sizes, and writes its results."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="Triton is not installed")

ROOT = Path(__file__).parents[1]
PARTS = "codes,settings,goals,kernels,training,lm"  # codecs run in their own tests


def test_the_small_form(tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    script = str(ROOT / "benchmarks" / "gpu.py")
    done = subprocess.run(
        [sys.executable, script, "--tiny", "--parts", PARTS, "--out", str(tmp_path)],
        env=environment, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    record = json.loads((tmp_path / "tiny-gpu.json").read_text())
    rows = [row for row in record["rows"] if row["part"] in ("codes", "settings")]
    assert len(rows) > 10 and all(row["differing"] == 0 for row in rows)
    assert {row["work"] for row in rows} >= {"vq_argmin cosine", "RVQStep", "fsq_encode"}
    assert (tmp_path / "tiny-gpu.csv").is_file()
