"""Old import paths give the same objects as the new ones, and say where they went."""

import importlib
import subprocess
import sys

import pytest

from audiotok import _moved


@pytest.mark.parametrize(("old", "new"), _moved.MOVED.items())
def test_an_old_path_warns_and_is_the_new_module(old, new):
    sys.modules.pop(f"audiotok.{old}", None)
    with pytest.warns(FutureWarning, match=f"audiotok.{old} is now audiotok.{new}"):
        module = importlib.import_module(f"audiotok.{old}")
    assert module is importlib.import_module(f"audiotok.{new}")


def test_every_spelling_of_an_import_works():
    program = """
import warnings; warnings.simplefilter("ignore")
from audiotok.audio import Audio
from audiotok import registry
import audiotok.asr.whisper as whisper
import audiotok
assert audiotok.suite is audiotok.harness.suite  # no import of it
from audiotok.codec import Codec, CodecCard
from audiotok.tokens import Tokens
import audiotok, audiotok.sound.audio, audiotok.judges.asr.whisper
assert Audio is audiotok.Audio is audiotok.sound.audio.Audio and Tokens is audiotok.Tokens
assert whisper is audiotok.judges.asr.whisper and registry.load is audiotok.load
assert Codec is audiotok.Codec and CodecCard is audiotok.CodecCard
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("package", "name"),
    [("results", "read"), ("harness", "run"), ("tokens", "entropy_bitrate"), ("codec", "Stream")],
)
def test_functions_of_modules_that_are_packages_now(package, name):
    module = importlib.import_module(f"audiotok.{package}")
    with pytest.warns(FutureWarning, match=f"is now audiotok.{package}.{package}.{name}"):
        found = getattr(module, name)
    assert found is getattr(importlib.import_module(f"audiotok.{package}.{package}"), name)
    with pytest.raises(AttributeError, match="nothing"):
        module.nothing  # noqa: B018


def test_a_new_path_does_not_warn():
    program = "import audiotok; audiotok.load('mulaw'); audiotok.bench"
    command = [sys.executable, "-W", "error::FutureWarning", "-c", program]
    subprocess.run(command, check=True)
