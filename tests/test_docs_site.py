"""docs/ as a site: MkDocs builds it without a warning, and every link in it leads somewhere."""

import html.parser
import subprocess
import sys
import urllib.parse
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


class Page(html.parser.HTMLParser):
    """Targets of links and pictures, and the ids that links can lead to."""

    def __init__(self, path):
        super().__init__()
        self.links, self.ids = [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.links += [found[key] for key in ("href", "src") if found.get(key)]
        self.ids |= {found[key] for key in ("id", "name") if found.get(key)}


@pytest.mark.skipif(find_spec("material") is None, reason="mkdocs-material is not installed")
def test_docs_are_a_site_whose_links_hold(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q"]
    command += ["-f", ROOT / ".ci/mkdocs.yml", "-d", tmp_path / "docs"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {path: Page(path) for path in (tmp_path / "docs").rglob("*.html")}
    named = {path.relative_to(tmp_path / "docs").as_posix() for path in pages}
    assert {"index.html", "claims.html", "repository/index.html", "dev/design.html"} <= named
    broken = []
    for path, page in pages.items():
        if path.name == "404.html":  # its links are absolute: they begin at the root of a host
            continue
        for link in page.links:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / urllib.parse.unquote(parts.path)).resolve()
            target = target if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            known = not parts.fragment or target not in pages
            if not target.exists() or not (known or parts.fragment in pages[target].ids):
                broken.append(f"{path.name}: {link}")
    assert not broken
