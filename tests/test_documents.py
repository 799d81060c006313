"""What the documents say is what results/ hold."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_tables_are_what_was_measured(document):
    command = [sys.executable, ROOT / "benchmarks/report.py", "--check", document]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_typed_number_is_noticed(tmp_path):
    text = (ROOT / "README.md").read_text()
    assert "<!-- results/" in text
    start = text.index("| wavtokenizer-mini")
    digit = next(i for i in range(start, len(text)) if text[i].isdigit())
    changed = text[:digit] + str((int(text[digit]) + 1) % 10) + text[digit + 1 :]
    (tmp_path / "README.md").write_text(changed)
    command = [sys.executable, ROOT / "benchmarks/report.py", "--check", tmp_path / "README.md"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "not what results/ say" in done.stdout


def test_the_leaderboard_is_what_was_measured():
    from audiotok.report import leaderboard

    assert leaderboard.check(ROOT / "results", ROOT) == []


def test_the_site_can_be_built_of_what_was_measured():
    pytest.importorskip("jinja2")
    from audiotok.report import site

    pages = site.build(ROOT / "results")
    assert {"index.html", "speed.html"} <= pages.keys()


def test_links_between_documents_lead_somewhere():
    import re

    for document in DOCUMENTS:
        for target in re.findall(r"\]\((?!http)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_tables_of_scale_are_what_was_measured(tmp_path):
    command = [sys.executable, ROOT / "benchmarks/scale.py", ROOT / "docs/scale.md", "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    changed = (ROOT / "docs/scale.md").read_text().replace("| not measured |", "| 7 days |", 1)
    (tmp_path / "scale.md").write_text(changed)
    command[2] = tmp_path / "scale.md"
    assert subprocess.run(command, capture_output=True).returncode == 1
