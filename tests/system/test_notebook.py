"""HTML for notebooks: escaped, bounded, and what it shows is what it was given."""

from __future__ import annotations

import base64
import io
import re
import zlib

import numpy as np
import soundfile

from audiotok.system import notebook


def content(html: str) -> bytes:
    return base64.b64decode(re.search(r'src="data:[a-z/]+;base64,([^"]+)"', html)[1])


def test_text_is_escaped_and_short():
    assert notebook.text("<b>&\"'") == "&lt;b&gt;&amp;&quot;&#x27;"
    assert notebook.text("\udce9") == "\\udce9"
    assert len(notebook.text("x" * 10_000)) == notebook.MAX_TEXT
    html = notebook.table([("<script>", "</td>")], ("<i>", "b"))
    assert "<script>" not in html and "<i>" not in html and html.count("</td>") == 2


def test_a_table_is_bounded():
    html = notebook.table((str(n), n) for n in range(notebook.MAX_ROWS + 7))
    assert html.count("<tr>") == notebook.MAX_ROWS and "7 more rows" in html


def test_a_player_holds_the_sound():
    waveform = np.stack([np.linspace(-1, 1, 1000), np.full(1000, 2.0)]).astype("float32")
    html = notebook.player(waveform, 8000)
    samples, rate = soundfile.read(io.BytesIO(content(html)))
    assert rate == 8000 and samples.shape == (1000, 2)
    assert np.abs(samples[:, 0] - waveform[0]).max() < 1e-4 and samples[:, 1].min() > 0.999
    assert "<p>" not in html


def test_a_long_sound_is_cut_and_says_so():
    waveform = np.zeros((2, notebook.MAX_VALUES), "float32")
    html = notebook.player(waveform, 16_000)
    assert len(html) < 3 * notebook.MAX_VALUES
    assert "the first 32.8 of 65.5 s" in html
    assert len(soundfile.read(io.BytesIO(content(html)))[0]) == notebook.MAX_VALUES // 2


def test_a_picture_shows_equal_codes_in_equal_colours():
    codes = np.array([[3, 3, 4, 3], [0, 1, 0, 2**24 - 1]])
    data = content(notebook.picture(codes))
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    assert (width, height) == (4, 2)
    start = data.index(b"IDAT") + 4
    rows = np.frombuffer(zlib.decompress(data[start:-16]), np.uint8).reshape(2, 13)[:, 1:]
    first, second = rows.reshape(2, 4, 3)
    assert (first[0] == first[1]).all() and (first[0] == first[3]).all()
    assert np.abs(first[0].astype(int) - first[2]).max() > 20
    assert (second[0] == second[2]).all() and not (second[1] == second[3]).all()


def test_a_picture_is_bounded():
    codes = np.zeros((64, 100_000), int)
    html = notebook.picture(codes)
    assert f"the first {notebook.MAX_FRAMES} of 100000 frames" in html
    assert len(html) < 200_000


def test_a_notebook_is_recognised(monkeypatch):
    import sys
    from types import SimpleNamespace

    for shell, expected in ((None, False), (SimpleNamespace(), False)):
        fake = SimpleNamespace(get_ipython=lambda shell=shell: shell)
        monkeypatch.setitem(sys.modules, "IPython", fake)
        assert notebook.is_notebook() is expected
    fake = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setitem(sys.modules, "IPython", fake)
    assert notebook.is_notebook()
