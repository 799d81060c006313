"""Audio, Tokens, Codec and Result as text, arrays and HTML."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from support.token_kit import make

import audiotok
from audiotok.errors import AudioError, CodecError
from audiotok.results import results
from audiotok.sound.audio import Audio, as_audio

ROOT = Path(__file__).parents[1]


def sound(channels=1, length=8000):
    return Audio(torch.linspace(-0.5, 0.5, length).repeat(channels, 1), 16_000)


def test_audio_is_one_line_and_a_player():
    assert repr(sound()) == "Audio(0.50 s, 16000 Hz, mono, peak 0.5)"
    assert repr(sound(2)) == "Audio(0.50 s, 16000 Hz, stereo, peak 0.5)"
    html = sound()._repr_html_()
    assert "Audio(0.50 s" in html and '<audio controls src="data:audio/wav;base64,' in html


def test_audio_as_an_array():
    audio = sound(2)
    assert audio.numpy().shape == (2, 8000) and audio.numpy().dtype == np.float32
    assert np.shares_memory(np.asarray(audio), audio.waveform.numpy())
    assert np.asarray(audio, dtype=np.float64).dtype == np.float64
    assert not np.shares_memory(np.array(audio), audio.waveform.numpy())
    with pytest.raises(AudioError, match="has its sample rate: give it without 8000"):
        as_audio((audio, 8000))


def test_audio_is_saved(tmp_path):
    sound().save(tmp_path / "a.flac", subtype="PCM_24")
    assert soundfile.info(tmp_path / "a.flac").subtype == "PCM_24"
    with pytest.raises(AudioError, match=r"the extension '.txt' is none of"):
        sound().save(tmp_path / "a.txt")


def test_audio_plays_in_a_notebook_only(monkeypatch):
    shown = []
    with pytest.raises(AudioError, match=r"this is none: write a file with save\("):
        sound().play()
    display = SimpleNamespace(display=shown.append)
    kernel = SimpleNamespace(kernel=object())
    fake = SimpleNamespace(get_ipython=lambda: kernel, display=display)
    monkeypatch.setitem(sys.modules, "IPython", fake)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    audio = sound()
    audio.play()
    assert shown == [audio]


def test_tokens_are_one_line_and_a_picture():
    tokens = make(sizes=(1000, 5), strides=(1, 2), channels=2)
    assert repr(tokens) == (
        "Tokens(tiny:a=1: 1.00 s, 20 frames of 2 codebooks of 1000, 5 in 2 channels, 445 bit/s)"
    )
    html = tokens._repr_html_()
    assert html.count('src="data:image/png;base64,') == 2
    assert "1, 2 frames" in html and "445 bit/s" in html and "of 1000" in html
    side = make(side=torch.zeros(2, 3, dtype=torch.int32))
    assert side.facts()["side information"] == "192 bits, (2, 3)"


def test_a_name_in_tokens_is_no_html():
    from dataclasses import replace

    html = replace(make(), codec="<img src=x onerror=alert(1)>")._repr_html_()
    assert "<img src=x" not in html and "&lt;img src=x" in html


def test_tokens_as_arrays_and_tensors():
    tokens = make()
    for codes in (np.asarray(tokens), torch.as_tensor(tokens), torch.from_dlpack(tokens)):
        assert tuple(codes.shape) == (1, 2, 20)
        assert np.array_equal(codes, tokens.codes.numpy())
    assert np.asarray(tokens, dtype=np.int32).dtype == np.int32
    assert torch.as_tensor(tokens).dtype == torch.int64
    assert np.concatenate([make(), make()], axis=-1).shape == (1, 2, 40)


def test_tokens_of_own_codes_are_checked():
    codec = audiotok.load("rvq-small", quiet=True)
    codes = np.zeros((8, 4), np.uint16)
    for given in (codes, codes[None], torch.from_numpy(codes.astype("int32")), codes.tolist()):
        made = codec.tokens(given)
        assert made.codes.shape == (1, 8, 4) and codec.decode(made).num_samples == 1280
    assert codec.tokens(np.zeros((2, 8, 4), int)).codes.shape == (2, 8, 4)
    with pytest.raises(CodecError, match="4 frames do not fit 9 samples"):
        codec.tokens(codes, num_samples=9)
    with pytest.raises(CodecError, match="are Tokens already"):
        codec.tokens(codec.tokens(codes))


def test_a_codec_is_one_line_and_a_table():
    codec = audiotok.load("mulaw")
    assert repr(codec) == (
        "<MuLaw mulaw: 16000 Hz in, 16000 Hz out, 16000 frames per second, 1 codebook(s) of 256, "
        "128000 bit/s; weights: none; on cpu>"
    )
    html = codec._repr_html_()
    assert codec.card.description in html and "<td>none</td>" in html


def test_a_result_is_one_line_and_a_table():
    result = results.read_all(ROOT / "results")[0]
    assert repr(result).startswith(f"Result({result.codec}: suite ") and len(repr(result)) < 200
    html = result._repr_html_()
    name, score = next(iter(result.scores.items()))
    assert name in html and results.cell(score, interval=True) in html


def test_public_names_are_typed():
    """Each public name is imported for type checkers, who read `py.typed` and `__all__`."""
    import ast

    source = (ROOT / "audiotok/__init__.py").read_text()
    typed = {
        alias.name
        for node in ast.parse(source).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for part in node.body
        for alias in part.names
    }
    assert typed == set(audiotok.__all__) == {*audiotok._HOMES, *audiotok._MODULES}
    assert (ROOT / "audiotok/py.typed").is_file()
