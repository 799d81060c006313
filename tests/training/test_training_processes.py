"""Two processes in step are one with the double batch: gradients, codebooks, balancer, numbers."""

import json
import subprocess
import sys

import torch
from support.training_kit import ADVERSARIAL, SLOW, assert_close_states, write_recipe

from audiotok.training import train

PROGRAM = """
import sys
import torch
from accelerate import debug_launcher
from audiotok.training import train

torch.set_num_threads(1)
torch.nn.Dropout.forward = lambda self, hidden: hidden

def work(recipe, out):
    train(recipe, (), out)

debug_launcher(work, args=tuple(sys.argv[1:]), num_processes=2)
"""


def test_two_processes_are_one_with_the_double_batch(corpus, tmp_path, monkeypatch):
    # dropout differs between processes, and the norm in the STFT loss is not a mean over clips
    monkeypatch.setattr(torch.nn.Dropout, "forward", lambda self, hidden: hidden)
    changes = (
        ADVERSARIAL
        | SLOW
        | {
            "steps": 6,
            "losses": {"stft": 0.0},
            "balancer": {"total_norm": 3.0},
            "quantizer": {"dead_ratio": 0.5},  # many codes die and start anew
        }
    )
    recipe = write_recipe(tmp_path / "tiny.yaml", corpus, **changes)
    command = [sys.executable, "-c", PROGRAM, str(recipe), str(tmp_path / "two")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    train(recipe, ["data.batch_size=4"], tmp_path / "one")
    assert_close_states(tmp_path / "one/state.pt", tmp_path / "two/state.pt")
    found = [
        json.loads((tmp_path / name / "log.jsonl").read_text().splitlines()[-1])["validation"]
        for name in ("one", "two")
    ]
    assert found[0].keys() == found[1].keys()
    for key, value in found[0].items():
        assert abs(found[1][key] - value) < 1e-2 * max(1, abs(value))
