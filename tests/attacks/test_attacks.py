"""Loading anything never runs its code: canary files that must not appear; and banned calls."""

import os
import re
from pathlib import Path

import pytest
import torch

import audiotok
from audiotok.codec import checkpoints
from audiotok.errors import AudioError, CheckpointError, TokensError
from audiotok.sound.audio import read
from audiotok.tokens import Tokens

PACKAGE = Path(audiotok.__file__).parent


class Canary:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture(params=["alone", "in a state dict", "beside a state dict", "legacy format"])
def bait(request, tmp_path):
    canary = tmp_path / "canary"
    content = {
        "alone": Canary(canary),
        "in a state dict": {"state_dict": {"a": torch.zeros(1), "b": Canary(canary)}},
        "beside a state dict": {"state_dict": {"a": torch.zeros(1)}, "config": Canary(canary)},
        "legacy format": {"a": Canary(canary)},
    }[request.param]
    path = tmp_path / "weights.ckpt"
    torch.save(content, path, _use_new_zipfile_serialization=request.param != "legacy format")
    yield path
    assert not canary.exists()


def test_the_canary_sings_where_it_is_let(tmp_path):
    torch.save(Canary(tmp_path / "canary"), tmp_path / "w.ckpt")
    torch.load(tmp_path / "w.ckpt", weights_only=False)
    assert (tmp_path / "canary").exists()


def test_weights(bait):
    with pytest.raises(CheckpointError, match="could run code"):
        checkpoints.read_state(bait)


@pytest.mark.parametrize("name", ["wavtokenizer-small-40", "wavtokenizer-mini", "random"])
def test_codecs(bait, name):
    with pytest.raises(CheckpointError, match="could run code"):
        audiotok.load(name, checkpoint=bait)


@pytest.mark.parametrize("extension", ["safetensors", "pt", "bin", "npy", "yaml"])
def test_other_names_change_nothing(bait, extension):
    renamed = bait.rename(bait.with_suffix("." + extension))
    with pytest.raises(CheckpointError, match="could run code"):
        checkpoints.read_state(renamed)


def test_tokens_and_sound(bait):
    with pytest.raises(TokensError):
        Tokens.load(bait)
    with pytest.raises(AudioError):
        read(bait)


BANNED = {
    r"\b(import|from)\s+(pickle|cPickle|dill|cloudpickle|joblib|shelve|marshal)\b": set(),
    r"\bpickle\.": set(),
    r"\ballow_pickle\b": set(),
    r"(?<![\w.])(eval|exec)\(": set(),
    r"\byaml\.(load|unsafe_load|full_load|load_all)\(": set(),
    r"shell\s*=\s*True": set(),
    r"\bos\.(system|popen)\(": set(),
    r"trust_remote_code\s*=\s*True": set(),
    r"weights_only\s*=\s*False": set(),
    r"load_state_dict\(.*strict\s*=\s*False": set(),
    r"\btorch\.load\(": {
        "codec/training_files.py",
        "training/state.py",
        "judges/mos/utmos.py",
    },
    r"\.exec_module\(": {"codec/families.py"},
}


@pytest.mark.parametrize("pattern", BANNED)
def test_banned_calls(pattern):
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if re.search(pattern, path.read_text())
    }
    assert found == BANNED[pattern]


def test_torch_load_reads_weights_only():
    text = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    calls = re.findall(r"torch\.load\([^\n]*", text)
    assert calls and all("weights_only=True" in call for call in calls)
