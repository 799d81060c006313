"""The site in a browser: sort, filter, chart, compare, play, blind test. Needs Chromium."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import soundfile
from support.result_kit import put, spread

from audiotok.report import listening, site
from audiotok.report.site.pages import Pages

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install playwright"
)
PAGE = "smoke-v1-clips-0a0b0a0b"


@pytest.fixture(scope="module")
def browser():
    """Chromium: that of the machine, else the one that playwright installed."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with playwright.sync_playwright() as engine:
        try:
            engine_browser = engine.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except playwright.Error as reason:
            pytest.skip(f"no Chromium can be started: {str(reason).splitlines()[0]}")
        yield engine_browser
        engine_browser.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A site of five codecs, with two of which three clips can be heard."""
    root, out = tmp_path_factory.mktemp("results"), tmp_path_factory.mktemp("site")
    for name, role, pesq, rate in (
        ("good", "neural", 3.0, 6000.0), ("cheap", "neural", 2.0, 900.0),
        ("tiny-mini", "neural", 1.5, 800.0), ("opus-6k", "baseline", 2.4, 5600.0),
        ("random", "floor", 1.0, 960.0),
    ):  # fmt: skip
        weights = {"bundled": "x"} if "mini" in name else {"repository": "org/name"}
        rows = {"pesq": spread(pesq), "stoi": spread(pesq / 4, width=0.01)}
        put(root, name, rows, role=role, bitrate=rate, weights=weights, token_rate=rate / 10,
            licence_weights="MIT")  # fmt: skip
    pages = out / "listening"
    (pages / "sounds").mkdir(parents=True)
    clips = []
    for number in range(3):
        versions = []
        for place, name in enumerate(("reference", "good", "opus-6k")):
            file = f"sounds/{number}-{place}.wav"
            tone = np.sin(np.arange(32000) * 0.05 * (place + 1)) * 0.1
            soundfile.write(pages / file, tone, 16000)
            spectrogram = {"bands": 1, "columns": 1, "data": "AAAA"}
            versions.append({"name": name, "file": file, "gain": 0.0, "codes": None,
                             "spectrogram": spectrogram})  # fmt: skip
        clips.append({"id": f"clip{number}", "text": f"words {number}", "licence": None,
                      "seconds": 2.0, "versions": versions})  # fmt: skip
    about = {"corpus": "bundled", "codecs": ["good", "opus-6k"], "clips": []}
    (pages / "about.json").write_text(json.dumps(about))
    (pages / "sounds.json").write_text(json.dumps([listening._sounds(clip) for clip in clips]))
    made = Pages()
    made.put("index.html", "listening.html", names=["good", "opus-6k"], inside=True)
    for name in (*listening._FILES, "index.html"):
        (pages / name).write_bytes(made.files[name])
    (pages / "data.js").write_text(f"window.listening = {json.dumps(clips)};")
    site.write(root, out)
    return out


@pytest.fixture
def page(browser, folder):
    """A tab of a desktop; any error of a script fails the test."""
    tab = browser.new_page(viewport={"width": 1280, "height": 800})
    errors = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.open = lambda name: tab.goto(folder.as_uri() + "/" + name)
    yield tab
    tab.close()
    assert errors == []


def names(page, table):
    rows = page.locator(f"#{table} tr[data-row]:visible th a")
    return rows.all_inner_texts()


def test_sort(page):
    page.open("index.html")
    assert names(page, "codecs-speech") == ["cheap", "opus-6k", "good", "tiny-mini", "random"]
    head = page.locator('#codecs-speech th[data-col="pesq"]')
    head.get_by_role("button").click()
    assert names(page, "codecs-speech")[:3] == ["good", "opus-6k", "cheap"]
    assert head.get_attribute("aria-sort") == "descending"
    assert page.locator("#codecs-speech .band-head:visible").count() == 0
    assert "sort.codecs-speech=pesq.desc" in page.url
    head.get_by_role("button").click()
    assert names(page, "codecs-speech")[:3] == ["cheap", "opus-6k", "good"]
    head.get_by_role("button").click()
    assert page.locator("#codecs-speech .band-head:visible").count() > 0
    page.open("index.html#sort.codecs-speech=pesq.desc")
    page.reload()
    assert names(page, "codecs-speech")[0] == "good"


def test_filter(page):
    page.open("index.html")
    page.get_by_label("Search").fill("opus")
    assert names(page, "codecs-speech") == ["opus-6k"]
    assert page.locator("#codecs-speech tr.head:visible").count() == 2  # its section and band
    page.get_by_label("Search").fill("")
    page.get_by_text("Filters", exact=True).click()
    page.get_by_label("kbit/s from").fill("5.7")
    assert names(page, "codecs-speech") == ["good"]
    page.get_by_role("button", name="Reset").click()
    page.wait_for_function(
        "document.querySelectorAll('#codecs-speech tr[data-row]:not([hidden])').length === 5"
    )


def test_the_chart_shows_one_quality_at_a_time(page):
    page.open("index.html")
    assert page.locator("figure[data-figure]:visible").count() == 1
    page.get_by_role("button", name="STOI").last.click()
    (key,) = page.locator("figure:visible").evaluate_all("all => all.map(f => f.dataset.figure)")
    assert key == "stoi" and "chart=stoi" in page.url


def test_labels_of_the_chart_do_not_collide_as_drawn(page):
    page.open(f"{PAGE}.html")
    boxes = page.locator("svg .name:visible").evaluate_all(
        "all => all.map(t => [t.ownerSVGElement, t].map(e => e.getBoundingClientRect()))"
        ".map(([svg, b]) => [svg.top + svg.left, b.left, b.top, b.right, b.bottom])"
    )
    assert len(boxes) > 3
    for place, one in enumerate(boxes):
        for other in boxes[place + 1 :]:
            apart = one[0] != other[0] or one[1] >= other[3] or other[1] >= one[3]
            assert apart or one[2] + 2 >= other[4] or other[2] + 2 >= one[4], (one, other)


def test_compare(page):
    page.open(f"compare-{PAGE}.html")
    first, second = page.get_by_label("First"), page.get_by_label("Second")
    assert (first.input_value(), second.input_value()) == ("good", "opus-6k")
    verdict = page.locator("#pair tbody tr", has_text="PESQ").locator("td").last
    assert verdict.inner_text() == "good"
    first.select_option("cheap")
    assert (
        page.locator("#pair tbody tr", has_text="PESQ").locator("td").last.inner_text() == "opus-6k"
    )
    assert "a=cheap" in page.url


def test_play_and_switch_at_the_same_position(page):
    page.open("index.html")
    box = page.locator("[data-player]").first
    box.locator("[data-play]").click()
    page.wait_for_function("Player.all[0].position > 0.1")
    before = page.evaluate("Player.all[0].position")
    box.get_by_role("button", name="opus-6k").click()
    at, audible = page.evaluate(
        "[Player.all[0].position, Player.all[0].sounds.map(s => !s.muted && !s.paused)]"
    )
    assert audible == [False, False, True] and before - 0.06 <= at < before + 1
    assert box.get_by_role("button", name="opus-6k").get_attribute("aria-pressed") == "true"
    page.locator("[data-player]").nth(1).locator("[data-play]").click()
    assert page.evaluate("Player.all.map(p => p.playing)") == [False, True, False]


def test_the_page_of_a_codec_plays_it_beside_the_original(page):
    page.open("codecs/good.html")
    buttons = page.locator("[data-player]").first.locator("[data-file]").all_inner_texts()
    assert buttons == ["Original", "good"]


def test_blind_test(page):
    page.open("listening/index.html")
    page.get_by_role("button", name="Start").click()
    for number in range(3):
        assert page.get_by_role("heading", name=f"Blind, {number + 1} of 3").is_visible()
        assert page.locator(".versions:visible").count() == 0  # nothing gives the codecs away
        page.keyboard.press("ArrowLeft")
    result = page.get_by_role("status")
    assert "sign test p =" in result.inner_text() and "cannot tell 0" in result.inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_table_is_on_the_first_screen_of_a_phone(browser, folder, scheme):
    tab = browser.new_page(viewport={"width": 360, "height": 740}, color_scheme=scheme)
    tab.goto((folder / "index.html").as_uri())
    row = tab.locator("#codecs-speech tr[data-row]").first.bounding_box()
    assert row["y"] + row["height"] < 740
    for name in (
        "index.html", f"{PAGE}.html", f"compare-{PAGE}.html", "codecs.html", "codecs/good.html",
        "taxonomy.html", "speed.html", "published.html", "listening/index.html",
    ):  # fmt: skip
        tab.goto((folder / name).as_uri())
        wide = tab.evaluate("document.documentElement.scrollWidth")
        assert wide <= 360, f"{name} is {wide} pixels wide"
    tab.close()
