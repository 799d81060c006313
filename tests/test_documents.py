"""What the documents say is what results/ hold."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def script(name):
    """A script of benchmarks/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"benchmarks/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tables_and_pictures_are_what_was_measured(tmp_path):
    """A typed number and an old picture beside the documents are all that is noticed."""
    text = (ROOT / "README.md").read_text()
    assert "<!-- results/" in text
    start = text.index("| lyra-v2 |")
    digit = next(i for i in range(start + 12, len(text)) if text[i].isdigit())
    changed = text[:digit] + str((int(text[digit]) + 1) % 10) + text[digit + 1 :]
    (tmp_path / "number.md").write_text(changed)
    (tmp_path / "picture.md").write_text(text.replace(" pesq stoi ", " stoi pesq "))
    changed = [tmp_path / "number.md", tmp_path / "picture.md"]
    command = [sys.executable, ROOT / "benchmarks/report.py", "--check", *DOCUMENTS, *changed]
    done = subprocess.run(command, capture_output=True, text=True)  # reads the results once
    outdated = done.stdout.partition("outdated: ")[2].partition(";")[0]
    names = sorted(Path(path).name for path in outdated.split(", "))
    assert done.returncode == 1, done.stdout + done.stderr
    assert names == ["number.md", "picture.md", "quality.svg"], done.stdout


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_reference_pages_are_what_the_code_says(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["reference.py", "--check"])
    assert script("reference").main() == 0, capsys.readouterr().out


def test_an_old_reference_page_is_noticed(monkeypatch, tmp_path, capsys):
    reference = script("reference")
    page = tmp_path / "docs/environment.md"
    page.parent.mkdir()
    page.write_text("<!-- generated: environment -->\n| old |\n<!-- end -->\n")
    monkeypatch.setattr(reference, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["reference.py", "--check"])
    assert reference.main() == 1 and "environment.md" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["reference.py"])
    assert reference.main() == 0 and "`AUDIOTOK_CACHE`" in page.read_text()


def test_every_environment_variable_is_described():
    from audiotok.system.environment import VARIABLES

    sources = [path.read_text() for path in (ROOT / "audiotok").rglob("*.py")]
    used = set().union(*(re.findall(r"\bAUDIOTOK_[A-Z_]+\b", text) for text in sources))
    assert used == set(VARIABLES)
    outside = [p for p in (ROOT / "audiotok").rglob("*.py") if p.name != "environment.py"]
    assert all(any(name in path.read_text() for path in outside) for name in VARIABLES)


def test_the_leaderboard_is_what_was_measured():
    from audiotok.report import leaderboard

    assert leaderboard.check(ROOT / "results", ROOT) == []


def test_the_site_can_be_built_of_what_was_measured():
    pytest.importorskip("jinja2")
    from audiotok.report import site

    pages = site.build(ROOT / "results")
    assert {"index.html", "speed.html"} <= pages.keys()


def anchors(document):
    """The anchors of its headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_links_between_documents_lead_somewhere():
    names = ("CHANGELOG.md", "CONTRIBUTING.md", "LEADERBOARD.md", "SECURITY.md")
    more = [ROOT / name for name in names]
    for document in [*DOCUMENTS, *more]:
        for target in re.findall(r"\]\((?!http)([^)]+)", document.read_text()):
            path, _, anchor = target.partition("#")
            found = document.parent / path if path else document
            assert found.exists(), f"{document.name}: {target}"
            assert not anchor or anchor in anchors(found), f"{document.name}: {target}"


def test_files_that_are_named_in_the_code_are_there():
    """References such as docs/dev/design.md in docstrings, comments and suites."""
    files = [p for d in ("audiotok", "tests", "benchmarks") for p in (ROOT / d).rglob("*.py")]
    files += [*(ROOT / "benchmarks").glob("*.yaml"), *(ROOT / "recipes").rglob("*.yaml")]
    files += [ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *DOCUMENTS]
    for path in files:
        for name in re.findall(r"\bdocs/[\w/-]+\.(?:md|svg)\b", path.read_text()):
            assert (ROOT / name).exists() or name == "docs/smoke.svg", f"{path}: {name}"


def test_every_page_is_in_the_index():
    index = (ROOT / "docs/README.md").read_text()
    for path in (ROOT / "docs").rglob("*.md"):
        name = path.relative_to(ROOT / "docs").as_posix()
        assert name == "README.md" or f"({name})" in index, name


def test_the_tables_of_scale_are_what_was_measured(tmp_path, monkeypatch, capsys):
    scale, page = script("scale"), ROOT / "docs/scale.md"
    changed = page.read_text().replace("| not measured |", "| 7 days |", 1)
    (tmp_path / "scale.md").write_text(changed)
    current = [(ROOT / f"docs/{name}.md", 0) for name in ("scale", "lm", "onnx")]
    for path, code in (*current, (tmp_path / "scale.md", 1)):
        monkeypatch.setattr(sys, "argv", ["scale.py", str(path), "--check"])
        assert scale.main() == code, capsys.readouterr().out
