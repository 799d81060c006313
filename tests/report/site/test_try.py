"""The page that runs a codec in the browser: a file in, tokens and sound out. Needs Chromium."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading

import numpy as np
import pytest
import soundfile

import audiotok
from audiotok import data
from audiotok.report.site import browser
from audiotok.report.site.pages import Pages

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install playwright"
)
pytest.importorskip("onnx", reason="onnx is not installed: pip install 'audiotok[onnx]'")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A site of this page alone, and a clip of two seconds at 16 kHz beside it."""
    root = tmp_path_factory.mktemp("site")
    browser.make(root)
    pages = Pages(in_browser=browser.read(root))
    pages.put("try.html", "try.html", codec=browser.read(root))
    for name, content in pages.files.items():
        (root / name).write_bytes(content)
    clip = data.load("bundled").clips[0].read().waveform[0, :32000].numpy()
    soundfile.write(root / "clip.wav", clip, 16000)
    return root


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address(folder):
    """Of the site, on a web server."""
    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def page(address, folder):
    """The page in a Chromium whose microphone hears clip.wav again and again."""
    microphone = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    microphone.append(f"--use-file-for-fake-audio-capture={folder / 'clip.wav'}")
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with playwright.sync_playwright() as engine:
        try:
            chromium = engine.chromium.launch(
                executable_path=path, args=["--no-sandbox", *microphone]
            )
        except playwright.Error as reason:
            pytest.skip(f"no Chromium can be started: {str(reason).splitlines()[0]}")
        tab = chromium.new_page(viewport={"width": 1280, "height": 900})
        tab.problems = []
        tab.on("pageerror", lambda error: tab.problems.append(str(error)))
        tab.loaded = []
        tab.on("request", lambda request: tab.loaded.append(request.url))
        tab.goto(f"{address}/try.html")
        yield tab
        chromium.close()


def test_a_file_becomes_tokens_and_sound(folder, page):
    page.locator("[data-file]").set_input_files(folder / "clip.wav")
    page.wait_for_selector("[data-try][data-done='12']", timeout=120_000)
    codec = audiotok.load(browser.CODEC, device="cpu", quiet=True)
    expected = codec.encode(folder / "clip.wav").codes[0]
    found = np.array(page.evaluate("audiotokCodes")).reshape(expected.shape)
    assert (found == expected.numpy()).mean() > 0.99  # all but what rounding decides
    assert page.locator("[data-bitrate]").inner_text() == f"{codec.card.bitrate:.0f} bit/s"
    assert page.locator("[data-tokens]").inner_text() == str(expected.numel())
    sound = copied(page)
    ours = codec.decode(codec.tokens(found, num_samples=32000)).waveform[0].numpy()
    assert len(sound) == 32000
    assert np.abs(sound - np.clip(ours, -1, 1)).max() < 1e-3


def test_fewer_codebooks(page):
    before = copied(page)
    page.locator("[data-codebooks]").fill("2")
    page.wait_for_selector("[data-try][data-done='2']", timeout=60_000)
    assert page.locator("[data-bitrate]").inner_text() == "1000 bit/s"
    assert page.locator("[data-count]").inner_text() == "2 of 12"
    assert np.abs(copied(page) - before).max() > 0.01
    assert page.problems == []


def test_the_microphone(page):
    record = page.locator("[data-record]")
    record.click()
    page.wait_for_function("document.querySelector('[data-record]').textContent === 'Stop'")
    page.wait_for_timeout(1500)
    record.click()
    page.wait_for_selector("[data-try][data-done='2']", timeout=60_000)
    assert record.inner_text() == "Record"
    sound = copied(page)
    assert 16000 < len(sound) < 10 * 16000 and np.abs(sound).max() > 0.05  # speech was heard
    assert page.problems == []


def test_the_page_is_small_and_loads_nothing_from_elsewhere(address, folder, page):
    """After a sound was coded, so that everything is there."""
    here = [url for url in page.loaded if not url.startswith("blob:")]
    assert all(url.startswith(f"{address}/") for url in here)
    names = {url.removeprefix(f"{address}/") for url in here} - {"favicon.ico"}
    assert {"try.html", "try.js", "try/encoder.onnx.gz", "try/ort-wasm-simd.wasm.gz"} <= names
    assert sum((folder / name).stat().st_size for name in names) < 15e6


def test_what_is_no_sound_says_so(folder, page):
    (folder / "no.wav").write_bytes(b"no sound")
    page.locator("[data-file]").set_input_files(folder / "no.wav")
    page.wait_for_function("document.querySelector('[data-status]').textContent.includes('not')")
    assert "did not work" in page.locator("[data-status]").inner_text()


def test_from_a_folder_the_page_says_what_it_needs(folder, page):
    page.goto((folder / "try.html").as_uri())
    page.locator("[data-file]").set_input_files(folder / "clip.wav")
    page.wait_for_function("document.querySelector('[data-status]').textContent.includes('not')")
    assert "needs a web server" in page.locator("[data-status]").inner_text()


def copied(page):
    """Samples of the WAV file that the page decoded."""
    read = """async () => {
        const sound = await fetch(document.querySelector("[data-copy]").src);
        return Array.from(new Int16Array((await sound.arrayBuffer()).slice(44)));
    }"""
    return np.array(page.evaluate(read)) / 32767
