from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from support import result_kit
from support.result_kit import put, spread
from support.site_kit import DATA, PAGE, cells, fill, payload

from audiotok.errors import ResultsError
from audiotok.report import site
from audiotok.results import comparison
from audiotok.system import assets


@pytest.fixture
def folder(tmp_path):
    return fill(tmp_path / "results")


def test_the_same_results_give_the_same_bytes(folder, tmp_path):
    assert site.build(folder) == site.build(folder)
    site.write(folder, tmp_path / "site")
    assert site.check(folder, tmp_path / "site") == []


def test_numbers_intervals_and_ties_are_on_the_page(folder):
    page = site.build(folder)[PAGE]
    row = cells(page[page.index(b'id="reconstruction"') :], "good:k=2")
    scores = json.loads((folder / "smoke-v1/clips-0a0b0a0b/good+k=2/summary.json").read_bytes())
    pesq = scores["scores"]["pesq"]
    low, high = pesq["ci95"]
    assert any(c == f"{pesq['mean']:.2f} =1 {low:.2f} to {high:.2f}" for c in row)


def test_what_is_missing_contaminated_or_restricted_is_marked(folder):
    page = site.build(folder)[PAGE]
    row = cells(page[page.index(b'id="reconstruction"') :], "holes")
    assert "§" in row[0] and "1 failed" in " ".join(row) and row[1] == "–"
    assert b"pesq: 1 of 40 clips are left out of the ranks" in page
    assert b"<b>holes" not in page and b"&lt;b&gt;holes" in page
    assert "not known whether it was trained on these recordings" in page.decode()


def test_a_codec_that_lacks_too_many_values_is_shown_without_rank(folder):
    gaps = [float("nan")] * 20 + spread(1.0, n=20)
    put(folder, "<b>holes</b>", {"pesq": gaps, "stoi": spread(0.5)})
    page = site.build(folder)[PAGE]
    row = cells(page[page.index(b'id="reconstruction"') :], "holes")
    assert "not ranked" in row[0] and row[2] == "–"
    assert b'title="pesq: no value on 20 of 40 clips"' in page


def test_published_rows_are_marked_hidden_at_first_and_never_ranked(folder):
    shipped = site.published.published._folder(None)
    (folder / "published").symlink_to(shipped)
    page = site.build(folder)[PAGE].decode()
    ours, rest = page.split('<tbody class="published">', 1)
    assert "published</span>" not in ours.split("<tbody>")[1]
    rows = rest.split("</tbody>")[0]
    assert "dates_reconstruction_speech" in rows and 'class="rank"' not in rows
    assert "data-published" in rows
    assert '<input type="checkbox" name="published" value="yes">' in page  # not checked


def test_pictures_and_comparisons_get_the_numbers_of_the_rows(folder):
    content = payload(site.build(folder))
    by_name = {codec["name"]: codec for codec in content["codecs"]}
    a, b = by_name["good"], by_name["<b>holes</b>"]
    assert b["rows"]["pesq"][content["clips"].index("clip0")] is None
    both = [
        (x, y) for x, y in zip(a["rows"]["pesq"], b["rows"]["pesq"], strict=True) if y is not None
    ]
    mean = sum(x - y for x, y in both) / len(both)
    frame = comparison.compare("good", "<b>holes</b>", results=folder).set_index("column")
    assert mean == pytest.approx(frame["difference"]["pesq"], rel=1e-5)
    assert len(both) == frame["n"]["pesq"] == 39


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.parametrize("speakers", [None, 5, 45], ids=["unknown", "few", "many"])
def test_the_page_has_the_verdicts_of_compare(tmp_path, monkeypatch, speakers):
    """The statistics of the page, run by node, against those of `audiotok compare`."""
    at_16k = {f"{name}_16k": result_kit.ABOUT[name] for name in ("pesq", "mel_distance")}
    monkeypatch.setattr(result_kit, "ABOUT", result_kit.ABOUT | at_16k)
    generator = np.random.default_rng(0)
    speaker = None if speakers is None else [f"s{n % speakers}" for n in range(60)]
    if speaker:
        speaker[7] = None
    for shift, name in enumerate(("one", "two")):
        rows = {
            "pesq": 2 + generator.normal(0.1 * shift, 0.2, 60),
            "stoi": [0.5 + 0.1 * shift] * 60,
            "mel_distance": generator.normal(2 + shift, 0.1, 60),
            "wer": generator.uniform(0, 0.5 + 0.1 * shift, 60),
            "words": generator.integers(1, 20, 60).astype(float),
            # of few speakers: the t interval of this difference goes beyond 1
            "pairs_speaker": np.array([1.0] * 57 + [0.0] * 3) if shift else np.zeros(60),
            # the sound is at 16 kHz already: the same values; the distance differs
            "pesq_16k": [], "mel_distance_16k": generator.normal(2 + shift, 0.1, 60),
        }  # fmt: skip
        rows["pesq"][3] = np.nan
        rows["pesq_16k"] = rows["pesq"]
        rows = {column: list(map(float, values)) for column, values in rows.items()}
        put(tmp_path, name, rows, speaker=speaker)
    frame = comparison.compare("one", "two", results=tmp_path)
    frame = frame[frame["verdict_by"] == "Holm"].set_index("column")
    site.write(tmp_path, tmp_path / "site")
    script = """
        globalThis.window = {}; require(process.argv[1]);
        const { compared } = require(process.argv[2]), data = window.audiotok;
        const of = (name) => data.codecs.find((codec) => codec.name === name);
        console.log(JSON.stringify(compared(data, of("one"), of("two"))));
    """
    paths = [tmp_path / "site" / DATA, tmp_path / "site/statistics.js"]
    command = ["node", "-e", script, *map(str, paths)]
    pairs = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    assert sorted(pair["name"] for pair in pairs) == sorted(frame.index) and len(pairs) == 7
    for pair in pairs:
        row = frame.loc[pair["name"]]
        assert pair["interval"] == pytest.approx([row["low"], row["high"]], abs=2e-5)
        assert pair["corrected"] == pytest.approx(row["p_holm"], abs=1e-4)
        assert (pair["winner"], pair["n"]) == (row["better"], row["n"])
        assert pair["comparisons"] == row["comparisons"] == 6
    assert frame.loc["pairs_speaker", "low"] == -1.0 or speakers != 5
    assert {"tie", "one"} <= set(frame["better"]) or speakers is None


def test_words_weigh_the_clips_of_an_error_rate(tmp_path):
    rows = {"wer": [0.0, 0.5, 0.25], "words": [2.0, 10.0, 4.0]}
    for name in ("one", "two"):
        put(tmp_path, name, rows)
    assert payload(site.build(tmp_path))["columns"]["wer"]["weight"] == "words"


def test_no_page_needs_the_network(folder):
    for name, content in site.build(folder).items():
        text = content.decode()
        assert 'src="http' not in text and "url(" not in text and "fetch(" not in text, name


def test_every_link_leads_somewhere(folder):
    files = site.build(folder)
    for name, content in files.items():
        if not name.endswith(".html"):
            continue
        links: list[str] = []
        parser = HTMLParser()
        parser.handle_starttag = lambda tag, attrs, links=links: links.extend(
            value for key, value in attrs if key in ("href", "src")
        )
        parser.feed(content.decode())
        base = name.rpartition("/")[0]
        for link in links:
            target = link.partition("#")[0]
            if not target or target.startswith("http"):
                continue
            inside = target.removeprefix("../") if target.startswith("../") else target
            place = inside if target.startswith("../") or not base else f"{base}/{inside}"
            assert place in files, (name, link)


def test_an_edited_digit_is_caught(folder):
    path = next(folder.glob("*/*/good/summary.json"))
    text = path.read_text()
    mean = str(json.loads(text)["scores"]["pesq"]["mean"])
    path.write_text(text.replace(mean, mean[:-1] + str((int(mean[-1]) + 1) % 10), 1))
    with pytest.raises(ResultsError, match=r"summary.json was changed.*audiotok validate"):
        site.build(folder)


def test_a_missing_file_is_caught(folder):
    next(folder.glob("*/*/good/rows.parquet")).unlink()
    with pytest.raises(ResultsError, match=r"good: rows.parquet missing"):
        site.build(folder)


def test_mixed_versions_are_refused(folder):
    put(folder, "late", {"pesq": spread(3.0), "stoi": spread(0.9)}, packages={"pesq": "0.0.5"})
    with pytest.raises(ResultsError, match="mixed: pesq is"):
        site.build(folder)


def test_check_finds_pages_that_differ_and_pages_too_many(folder, tmp_path):
    out = tmp_path / "site"
    site.write(folder, out)
    page = out / PAGE
    page.write_text(page.read_text().replace("3.0", "3.1", 1))
    assert site.check(folder, out) == [page]
    site.write(folder, out)
    assert site.check(folder, out) == []
    shutil.rmtree(next(folder.glob("*/*/poor")))
    gone = out / "codecs" / "poor.html"
    assert gone in site.check(folder, out)
    site.write(folder, out)
    assert site.check(folder, out) == [] and not gone.exists()


def test_files_of_the_user_in_a_site_are_left_alone(folder, tmp_path):
    out = tmp_path / "site"
    site.write(folder, out)
    mine = [out / "about-me.html", out / "codecs" / "notes.html", out / "data" / "mine.js"]
    for path in mine:
        path.write_text("mine")
    site.write(folder, out)
    assert site.check(folder, out) == []
    put(folder, "notes", {"pesq": spread(3.0), "stoi": spread(0.9)})
    with pytest.raises(ResultsError, match="notes.html was not written by"):
        site.write(folder, out)
    shutil.rmtree(next(folder.glob("*/*/notes")))
    shutil.rmtree(next(folder.glob("*/*/poor")))
    (out / "codecs" / "poor.html").write_text("mine now")
    site.write(folder, out)
    assert (out / "codecs" / "poor.html").read_text() == "mine now"
    assert all(path.read_text() == "mine" for path in mine)


def test_a_list_from_elsewhere_names_no_file_outside(folder, tmp_path):
    out, mine = tmp_path / "site", tmp_path / "mine.html"
    mine.write_text("mine")
    digest = hashlib.sha256(b"mine").hexdigest()
    for name in ("../mine.html", str(mine)):
        out.mkdir(exist_ok=True)
        (out / "site.json").write_text(json.dumps({"files": {name: digest}}))
        with pytest.raises(ResultsError, match="is not empty, and not a site"):
            site.write(folder, out)
    (out / "site.json").unlink()
    (out / "site.css").write_text("body {}")  # no mark of ours
    with pytest.raises(ResultsError, match="is not empty, and not a site"):
        site.write(folder, out)
    assert mine.read_text() == "mine"


def test_a_folder_of_other_things_is_left_alone(folder, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "index.html").write_text("my page")
    with pytest.raises(ResultsError, match="is not empty, and not a site"):
        site.write(folder, tmp_path / "mine")
    assert (tmp_path / "mine" / "index.html").read_text() == "my page"


def test_it_needs_no_torch(folder, tmp_path):
    code = (
        "import sys; from audiotok.report import site; site.write(*sys.argv[1:]);"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, folder, tmp_path / "site"], check=True)


def test_without_any_result_it_says_so(tmp_path):
    assert "No codec was measured" in site.build(tmp_path)["index.html"].decode()


def test_the_listening_page_is_linked_for_bundled_clips_only(tmp_path):
    root, out = tmp_path / "results", tmp_path / "site"
    put(root, "mini", {"stoi": spread(0.9)}, data="bundled")
    put(root, "mini", {"stoi": spread(0.9)}, data="mine")
    (out / "listening").mkdir(parents=True)
    about = out / "listening" / "about.json"
    for corpus, links in (("bundled", 1), ("mine", 0)):
        about.write_text(json.dumps({"corpus": corpus, "codecs": ["mini"]}))
        site.write(root, out)
        assert (out / "index.html").read_text().count("listening/index.html") == links
        assert (out / "codecs" / "mini.html").read_text().count("listening/index.html") == links
        assert "listening/" not in (out / "smoke-v1-mine-0a0b0a0b.html").read_text()
    assert about.is_file()


def test_times_are_shown_with_their_hardware_and_not_drawn_together(tmp_path):
    put(tmp_path, "here", {"stoi": spread(0.9)}, hardware="a CPU")
    put(tmp_path, "there", {"stoi": spread(0.9)}, hardware="a GPU")
    files = site.build(tmp_path)
    assert "a CPU (here), a GPU (there); they are not ranked" in files[PAGE].decode()
    assert all("seconds_encode" not in codec["scores"] for codec in payload(files)["codecs"])


def test_codecs_with_similar_names_have_separate_pages(tmp_path):
    for name in ("a:b", "a/b", "A:B", "a+b"):
        put(tmp_path, name, {"stoi": spread(0.9)})
    assert len([page for page in site.build(tmp_path) if page.startswith("codecs/")]) == 4


def test_links_lead_to_the_web_alone(tmp_path):
    put(tmp_path, "good", {"stoi": spread(0.9)}, weights={"repository": "javascript:alert(1)"})
    shutil.copytree(assets.folder("results/published"), tmp_path / "published")
    sources = tmp_path / "published" / "SOURCES.yaml"
    text = sources.read_text()
    sources.write_text(re.sub(r"(link: )https", r"\1javascript:alert(1)//https", text))
    pages = site.build(tmp_path)
    links = [m for page in pages.values() for m in re.findall(rb'href="([a-z]+:[^"]*)"', page)]
    assert links and all(link.startswith(b"https://") for link in links)
    assert not any(b"javascript:alert(1)//" in page for page in pages.values())


def test_promises_are_on_the_page_of_the_codebooks_that_kept_them(folder):
    record = {
        "fingerprint": None, "date": "2026-01-02T03:04:05", "kept": 1, "broken": 1,
        "not_checked": 0,
        "promises": [
            {"promise": "length", "state": "kept", "says": "as long as the source", "why": None},
            {"promise": "codes", "state": "broken", "says": "in range", "why": "a code of 300"},
        ],
    }  # fmt: skip
    (folder / "checks").mkdir()
    (folder / "checks" / "good.json").write_text(json.dumps(record))
    page = site.build(folder)["codecs/good.html"].decode()
    assert "kept 1 promises and broke 1" in page and "a code of 300" in page
    (folder / "checks" / "good.json").write_text(json.dumps(record | {"fingerprint": "another"}))
    assert "a code of 300" not in site.build(folder)["codecs/good.html"].decode()
