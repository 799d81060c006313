"""A hook of MkDocs: files of the repository that pages of docs/ link to become part of the site.

They are under repository/, Markdown as pages and others as they are, and the links lead there. A
link to a folder leads to its README.md; without one it becomes plain text. What does not exist
stays as it is: MkDocs reports it.
"""

import os
import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
_LINK = re.compile(r"\[([^\]]*)\]\(((?![a-z]+:|#)[^)#\s]+)(#[^)]*)?\)")
_ALWAYS = ("README.md", "CONTRIBUTING.md")


def on_files(files, config):
    todo = [ROOT / name for name in _ALWAYS]
    todo += [ROOT / "docs" / file.src_uri for file in files if file.src_uri.endswith(".md")]
    seen = set()
    while todo:
        path = todo.pop()
        if path in seen or not path.is_file():
            continue
        seen.add(path)
        if not path.is_relative_to(ROOT / "docs"):
            files.append(File.generated(config, _place(path), abs_src_path=str(path)))
        if path.suffix == ".md" and "CHANGELOG" not in path.name:
            found = _LINK.findall(path.read_text(encoding="utf-8"))
            todo += [target for _, link, _ in found if (target := _target(path.parent, link))]
    return files


def on_page_markdown(markdown, page, config, files):
    here = posixpath.dirname(page.file.src_uri)
    source = page.file.src_uri.removeprefix("repository/")
    folder = (ROOT if source != page.file.src_uri else ROOT / "docs") / posixpath.dirname(source)

    def moved(match):
        text, link, anchor = match.groups()
        if target := _target(folder, link):
            return f"[{text}]({posixpath.relpath(_place(target), here or '.')}{anchor or ''})"
        return text if (folder / link).is_dir() else match.group()

    return _LINK.sub(moved, markdown)


def _target(folder, link):
    """The file of the repository that a link leads to; None where there is none."""
    path = Path(os.path.normpath(folder / link))
    path = path / "README.md" if path.is_dir() else path
    return path if path.is_file() and path.is_relative_to(ROOT) else None


def _place(path):
    """The place of a file in the site."""
    if path.is_relative_to(ROOT / "docs"):
        return path.relative_to(ROOT / "docs").as_posix()
    return f"repository/{path.relative_to(ROOT).as_posix()}"
