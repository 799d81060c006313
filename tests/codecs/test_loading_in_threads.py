"""Several threads load codecs at once, in a process that has not imported transformers."""

import subprocess
import sys

import pytest

pytest.importorskip("transformers")
from support import tiny_transformers as tiny  # noqa: E402

PROGRAM = """
import sys
from concurrent.futures import ThreadPoolExecutor

import audiotok

folder = sys.argv[1]
names = [("mimi-8", f"{folder}/mimi"), (f"hf:{folder}/higgs", None)]
names += [("xcodec2", f"{folder}/xcodec2")]
with ThreadPoolExecutor(6) as pool:
    list(pool.map(lambda one: audiotok.load(*one, quiet=True), names * 2))
from transformers.utils import logging
print(logging.get_verbosity(), logging.is_progress_bar_enabled())
"""


def test_wrapped_codecs(tmp_path):
    for name in ("mimi", "higgs", "xcodec2"):
        tiny.write(getattr(tiny, name), tmp_path / name)
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.split() == ["30", "True"], done.stderr
