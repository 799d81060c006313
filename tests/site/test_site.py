"""The site says what the result files say, the same every time."""

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audiotok import comparison, results, site, statistics
from audiotok.errors import ResultsError

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"
SETTING = "smoke-v1/bundled-38d6c314"


@pytest.fixture(scope="module")
def pages():
    return site.build(RESULTS)


@pytest.fixture
def copied(tmp_path):
    """One setting of the results, to be spoilt."""
    shutil.copytree(RESULTS / SETTING, tmp_path / "results" / SETTING)
    return tmp_path / "results"


class Reader(HTMLParser):
    """Links, ids, and the cells of the table of results by codec and column."""

    VOID = {"meta", "link", "input", "img", "br"}

    def __init__(self, text):
        super().__init__()
        self.links, self.cells, self.open, self.codec, self.column = [], {}, [], None, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag not in self.VOID:
            self.open.append(tag)
        self.links += [found[key] for key in ("href", "src") if key in found]
        if tag == "tr":
            self.codec = found.get("data-codec")
        if tag == "td" and self.codec and found.get("data-value"):
            self.cells[self.codec, found["data-column"]] = found["data-value"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes something else"


def test_pages_are_whole_and_their_links_lead_somewhere(pages):
    for name, content in pages.items():
        if not name.endswith(".html"):
            continue
        page = Reader(content.decode())
        assert page.open == []
        for link in page.links:
            target = link.split("#")[0]
            if re.match(r"https://huggingface.co/", target):
                continue  # a link to follow, nothing that the page needs
            assert not re.match(r"https?:", target), f"{name} needs the network: {link}"
            found = (Path("/") / Path(name).parent / target).resolve().relative_to("/")
            assert target == "" or str(found) in pages, f"{name}: {link}"


def test_numbers_are_those_of_the_files(pages):
    for result in results.read_all(RESULTS):
        slug = results.slug("-".join(result.folder.parent.parts[-2:]))
        cells = Reader(pages[f"suite/{slug}.html"].decode()).cells
        for name, score in result.scores.items():
            shown = cells.get((result.codec, name))
            assert (None if shown is None else float(shown)) == score["mean"]


def test_differences_are_those_of_compare(pages):
    text = pages["data/smoke-v1-bundled-38d6c314.js"].decode()
    data = json.loads(text.removeprefix("window.AUDIOTOK = ").removesuffix(";\n"))
    found = [results.read(RESULTS / SETTING / results.slug(name)) for name in data["codecs"]]
    _, means, drawn = comparison.on_the_same_clips(found, "stoi")
    low, high = statistics.interval(drawn[:, 0] - drawn[:, 2])
    assert data["metrics"]["stoi"]["pairs"]["0,2"] == pytest.approx([low, high], rel=1e-4)
    assert data["metrics"]["stoi"]["means"] == pytest.approx(list(means), rel=1e-4)
    row = found[0].rows.iloc[0]
    assert data["clips"]["stoi"][0][row["clip"]] == pytest.approx(row["stoi"], rel=1e-4)


def test_the_same_bytes_again(pages):
    assert site.build(RESULTS) == pages


def test_a_digit_a_missing_file_and_two_versions_are_noticed(copied):
    before = site.build(copied)
    path = copied / SETTING / "mulaw" / "summary.json"
    content = json.loads(path.read_text())
    content["scores"]["stoi"]["mean"] += 0.1
    path.write_text(json.dumps(content))
    changed = {name for name, page in site.build(copied).items() if page != before[name]}
    assert {"suite/smoke-v1-bundled-38d6c314.html", "codec/mulaw.html"} <= changed
    content["plan"]["audiotok"] = content["plan"].get("audiotok", "") + "x"
    content["packages"] = {key: f"{value}9" for key, value in content["packages"].items()}
    path.write_text(json.dumps(content))
    with pytest.raises(ResultsError):
        site.build(copied)
    path.unlink()
    assert "codec/mulaw.html" not in site.build(copied)


def test_promises_stand_on_the_page_of_the_codec_that_kept_them(copied):
    fingerprint = results.read(copied / SETTING / "mulaw").summary["codec"]["fingerprint"]
    (copied / "checks").mkdir()
    said = {
        "fingerprint": fingerprint, "date": "2026-01-02T03:04:05", "kept": 1, "broken": 1,
        "not_checked": 0,
        "promises": [
            {"promise": "length", "state": "kept", "says": "as long as the source", "why": None},
            {"promise": "codes", "state": "broken", "says": "in range", "why": "a code of 300"},
        ],
    }  # fmt: skip
    (copied / "checks" / "mulaw.json").write_text(json.dumps(said))
    page = site.build(copied)["codec/mulaw.html"].decode()
    assert "1 kept, 1 broken" in page and "a code of 300" in page
    (copied / "checks" / "mulaw.json").write_text(json.dumps(said | {"fingerprint": "other"}))
    assert "1 broken" not in site.build(copied)["codec/mulaw.html"].decode()


def test_a_folder_of_others_is_left_alone(copied, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(ResultsError, match="holds other files"):
        site.write(copied, tmp_path / "mine")
    first = site.write(copied, tmp_path / "site")
    (tmp_path / "site" / "old.html").write_text("x")
    assert site.write(copied, tmp_path / "site") == first
    assert not (tmp_path / "site" / "old.html").exists()


def test_the_command_line(copied, tmp_path):
    from audiotok.cli import app

    out = tmp_path / "site"
    run = CliRunner().invoke(app, ["leaderboard", "-r", str(copied), "--site", str(out)])
    assert run.exit_code == 0 and str(out / "index.html") in run.output.replace("\n", "")


def test_a_page_to_listen_with_comes_along(copied, tmp_path):
    page = tmp_path / "listen"
    (page / "sound").mkdir(parents=True)
    with pytest.raises(ResultsError, match="is no page to listen with"):
        site.build(copied, page)
    for name in ("listen.js", "index.html", "sound/a.wav"):
        (page / name).write_text(name)
    files = site.build(copied, page)
    assert files["listen/sound/a.wav"] == b"sound/a.wav"
    assert b'href="../listen/index.html"' in files["codec/mulaw.html"]


def test_it_loads_no_torch():
    code = (
        "import sys; from pathlib import Path; from audiotok import site;"
        f"site.build(Path({str(RESULTS)!r})); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
