"""The conformance kit notices every promise that a codec breaks, and no good codec breaks one."""

import logging
import os
import re
import warnings

import numpy as np
import pytest
import torch
from support import tiny_codec
from support.breaking import CARD
from support.broken_codecs import BROKEN, out_of_range
from support.broken_state import METHODS, PROCESS
from support.stranger_codec import Stranger

import audiotok
from audiotok.testing import PROMISES, check_codec, examine
from audiotok.tokens import Tokens

CASES = [(name, message) for name, several in BROKEN.items() for message in several]


@pytest.fixture
def restored(monkeypatch):
    """What broken codecs change around them is as before afterwards."""
    folder, threads, filters = os.getcwd(), torch.get_num_threads(), list(warnings.filters)
    level = logging.root.level
    monkeypatch.setenv("A_STRANGER", "")
    yield
    os.chdir(folder)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)
    warnings.filters[:] = filters
    logging.root.setLevel(level)


@pytest.mark.usefixtures("forked_processes")
def test_good_codecs_pass():
    result = {outcome.promise: outcome for outcome in examine(Stranger(CARD))}
    states = {name: outcome.state for name, outcome in result.items()}
    assert states.pop("processes") == states.pop("no decoder") == "not checked"
    assert set(states.values()) == {"kept"}
    assert "audiotok check FILE.py" in result["processes"].why
    assert result["lookahead"].numbers["lookahead seen, samples"] == 0
    assert result["fast precision"].numbers["share of codes changed by precision=fast"] > 0
    check_codec(tiny_codec.Tiny(tiny_codec.Tiny.CARDS[0]))


@pytest.mark.parametrize(
    "options", ["codebooks=2", "merge=2/3", "channels=each,codebooks=1,merge=2", "precision=fast"]
)
def test_a_good_codec_with_options_passes(options):
    check_codec(Stranger(audiotok.codec.variants.vary(CARD, options, Stranger.OPTIONS)))


@pytest.mark.parametrize(("name", "message"), CASES)
def test_a_broken_codec(name, message, restored):
    broken = type("Broken", (Stranger,), BROKEN[name][message])
    codec = broken(CARD if "none of CARDS" in message else broken.CARDS[0])
    (outcome,) = examine(codec, [name])
    assert outcome.state == "broken", outcome
    assert re.search(message, outcome.why), outcome


@pytest.mark.parametrize("message", METHODS)
def test_a_codec_that_differs_between_processes(message, tmp_path, monkeypatch, restored, request):
    if message != next(iter(METHODS)):  # the first one in a process that is really started
        request.getfixturevalue("forked_processes")
    name = f"forgetful-{list(METHODS).index(message)}"
    path = tmp_path / f"{name}.py"
    path.write_text(PROCESS.format(name=name, method=METHODS[message]))
    codec = audiotok.load(path)
    monkeypatch.delenv("A_STRANGER")
    expected = {
        "it has other codes": "a voice has other codes",
        "it raises": "KeyError: 'A_STRANGER'",
    }
    if message == "it raises":  # but not when it is built anew here
        monkeypatch.setattr(type(codec), "_load", Stranger._load)
    (outcome,) = examine(codec, ["processes"])
    assert outcome.state == "broken"
    assert expected.get(message, message) in outcome.why


def test_every_promise_has_a_codec_that_breaks_it():
    assert {promise.name for promise in PROMISES} == BROKEN.keys() | {"processes"}
    for promise in PROMISES:
        assert promise.says and "\n" not in promise.says


def test_check_codec_stops_at_the_first():
    class Loud(Stranger):
        def _encode(self, waveform):
            return out_of_range(self, waveform)

    with pytest.raises(
        AssertionError, match="^stranger-8k: codes: encoding louder than full scale"
    ):
        check_codec(Loud(CARD))


@pytest.mark.usefixtures("forked_processes")
def test_other_weights_than_a_checkpoint_gives():
    """The network was changed after loading: what needs it anew says that it was not tried."""
    codec = Stranger(CARD)
    codec.network.encoder.weight.data.neg_()
    result = {outcome.promise: outcome for outcome in examine(codec)}
    skipped = {name for name, outcome in result.items() if outcome.state == "not checked"}
    skipped.remove("no decoder")  # which does not apply
    assert skipped == {"codebooks", "channels", "merge", "fast precision", "processes"}
    assert "other weights" in result["codebooks"].why
    assert result["tokens only"].state == "kept"


@pytest.mark.usefixtures("forked_processes")
def test_what_does_not_apply_says_why():
    result = {outcome.promise: outcome for outcome in examine(audiotok.load("opus-6k"))}
    reasons = {name: o.why for name, o in result.items() if o.state == "not checked"}
    assert reasons["lookahead"] == "does not apply: a byte stream has no frames"
    assert reasons["codebooks"] == "does not apply: a byte stream takes no such option"
    assert {o.state for o in result.values()} == {"kept", "not checked"}


@pytest.mark.usefixtures("forked_processes")
def test_an_examination_leaves_the_codec_as_it_was():
    codec = Stranger(CARD)
    before = dict(vars(codec))
    examine(codec)
    assert {name: value for name, value in vars(codec).items() if name in before} == before
    assert "_encode" not in vars(codec) and "window_seconds" not in vars(codec)
    tokens = codec.encode((np.zeros(100), 8_000))
    assert isinstance(tokens, Tokens) and not codec.network.training
