"""Text of others is shown as it is: no HTML, no links, no formulas, no further cells."""

import csv
import io
import json

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from support.result_kit import put, spread

from audiotok.report import hub, leaderboard
from audiotok.system import escaping
from audiotok.training.model_card import _table

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
NASTY = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "a|b", "a\\|b", "a\nb|c", "`x|y`",
    "[a](javascript:alert(1))", "[1](javascript:alert(1))", "![a](http://x/y.png)", "[x]: http://y",
    "**a**", "__a__", "_a", "~~a~~", "&lt;b&gt;", "&#106;", "a\u202eb", "<!-- -->", "\\", "a\\",
    "<http://x>", "<javascript:x>", "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1", "--- x",
]  # fmt: skip
TEXT = st.text(max_size=12) | st.text("<>[]()|`*_~\\&#;!:=+-@ab1. \n\t", max_size=14)


def texts(tokens):
    """What a reader sees, and the kinds of all else."""
    seen, others = "", set()
    for token in tokens:
        if token.type in ("text", "text_special"):
            seen += token.content
        else:
            others.add(token.type)
    return seen, others


@settings(max_examples=100, deadline=None)
@given(TEXT)
@example("[0.1, 0.2]")
@example("[0.1](x)")
@example("0.1 [0.1, 0.2](x)")
@example("a[b][c]")
def test_markdown_shows_text_as_it_is(text):
    table = escaping.markdown_table(["a", text], [[text, "x"], ["y", text]])
    cells = [token for token in MARKDOWN.parse(table) if token.type == "inline"]
    assert len(cells) == 6
    for number in (1, 2, 5):
        seen, others = texts(cells[number].children)
        assert seen == escaping.one_line(text) and not others
    known = {}
    MARKDOWN.parse(f"- {escaping.markdown(text)}: javascript:x\n", known)
    assert not known.get("references")
    (line,) = [t for t in MARKDOWN.parse(f"- a: {escaping.markdown(text)}") if t.type == "inline"]
    seen, others = texts(line.children)
    assert seen == f"a: {escaping.one_line(text)}".strip() and not others


@settings(max_examples=100, deadline=None)
@given(TEXT)
def test_cells_of_spreadsheets(text):
    cell = escaping.spreadsheet(text)
    assert not cell.startswith(tuple("=+-@\t\r\n＝＋－＠"))
    assert cell in (escaping.one_line(text), "'" + escaping.one_line(text))


@pytest.mark.parametrize("number", [-1.5, 0, 3, -2, 1e-9, float("nan"), None])
def test_numbers_stay_numbers(number):
    assert escaping.spreadsheet(number) is number


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)", " javascript:alert(1)", "JaVaScRiPt:x", "data:text/html,x",
        "vbscript:x", "file:///etc/passwd", "//host/x", "/x", "x", "", None, "http://a b",
        "https://a\njavascript:x", "https://user@host/", "java\tscript:x", "https:\\\\x", "http://",
    ],
)  # fmt: skip
def test_what_is_no_address_of_the_web(address):
    assert escaping.web_link(address) is None


@pytest.mark.parametrize("address", ["https://arxiv.org/abs/1", "http://a.b/c?d=e#f", "https://x"])
def test_addresses_of_the_web(address):
    assert escaping.web_link(address) == address


def test_the_files_of_the_leaderboard(tmp_path):
    for number, name in enumerate(NASTY):
        put(tmp_path, f"{name}{number:02d}", {"stoi": spread(0.9)}, training_data=[name],
            verified=name, licence_weights=name)  # fmt: skip
    files = leaderboard.build(tmp_path)
    kinds = {token.type for token in MARKDOWN.parse(files["LEADERBOARD.md"].decode())}
    assert not kinds & {"html_block", "fence", "code_block"}
    inline = [t for t in MARKDOWN.parse(files["LEADERBOARD.md"].decode()) if t.type == "inline"]
    result = {child.type for token in inline[5:] for child in token.children}
    assert result <= {"text", "text_special", "softbreak"}
    rows = list(csv.DictReader(io.StringIO(files["leaderboard.csv"].decode())))
    assert len({row["codec"] for row in rows}) == len(NASTY)
    for row in rows:
        assert not any(cell.startswith(tuple("=+-@\t\r＝＋－＠")) for cell in row.values())
    assert all(float(row["mean"]) for row in rows)


@pytest.mark.parametrize("name", NASTY)
def test_cards(tmp_path, name):
    put(tmp_path, name, {"stoi": spread(0.9)}, licence_weights=name)
    text = hub.front_matter(tmp_path, name)
    (content,) = (part for part in yaml.safe_load_all(text) if part)
    assert content["model-index"][0]["name"] == name
    cells = [t for t in MARKDOWN.parse(_table({name: name, "b": [name]})) if t.type == "inline"]
    assert [texts(cell.children)[1] for cell in cells] == [set()] * len(cells)
    assert texts(cells[-1].children)[0] == escaping.one_line(json.dumps([name]))
