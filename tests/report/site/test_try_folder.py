"""The folder of the page that codes in the browser is written anew when its codec has changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audiotok.codec import onnx_graphs
from audiotok.report.site import browser


@pytest.fixture
def exports(monkeypatch):
    """Graphs of a few bytes instead of real ones; the list of the exported codecs."""
    done = []

    def write(codec, folder, half):
        done.append(codec.card.name)
        for name in onnx_graphs.GRAPHS:
            (Path(folder) / name).write_bytes(b"graph")
        about = json.dumps(onnx_graphs.about(codec, half))
        (Path(folder) / onnx_graphs.ABOUT).write_text(about)

    monkeypatch.setattr(onnx_graphs, "write", write)
    return done


def test_only_a_changed_codec_is_exported_again(tmp_path, exports):
    assert browser.make(tmp_path) == tmp_path / browser.TRY
    assert browser.make(tmp_path) is None
    assert exports == [browser.CODEC]
    about = tmp_path / browser.TRY / onnx_graphs.ABOUT
    about.write_text(json.dumps(browser.read(tmp_path) | {"fingerprint": "of other weights"}))
    assert browser.make(tmp_path) == tmp_path / browser.TRY
    assert exports == [browser.CODEC] * 2
    assert browser.read(tmp_path)["fingerprint"] != "of other weights"
