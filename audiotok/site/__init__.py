"""The leaderboard as a static site: one folder, no server, no network, no torch.

    audiotok leaderboard --site site/       # then open site/index.html

Equal results give equal bytes. Pages are Jinja2 templates; tables and pictures are complete without
JavaScript, which sorts, filters and compares.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from audiotok.errors import ResultsError
from audiotok.files import replacing
from audiotok.results import by_setting, read_all, refuse_mixed
from audiotok.site import speed
from audiotok.site.codecs import codec_pages, taxonomy
from audiotok.site.pairs import pair_script
from audiotok.site.published import published_rows
from audiotok.site.suites import suite_page

HERE = Path(__file__).parent
MARKER = ".audiotok-site"  # a folder that holds it is ours to write anew


def write(results: str | Path, out: str | Path, listen: str | Path | None = None) -> Path:
    """Writes the site into the folder `out`; returns its first page.

    Args:
        listen: folder of a page to listen with, which `audiotok report` wrote; the site takes it
            along and leads to it.

    Raises:
        ResultsError: results that are damaged, or of mixed versions; a folder that holds other
            things.
    """
    root, out = Path(results), Path(out)
    if out.is_dir() and any(out.iterdir()) and not (out / MARKER).is_file():
        raise ResultsError(f"{out} holds other files: name an empty folder for the site")
    files = build(root, None if listen is None else Path(listen))
    shutil.rmtree(out, ignore_errors=True)
    for name, content in {**files, MARKER: b""}.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, ResultsError) as file:
            file.write(content)
    return out / "index.html"


def build(results: Path, listen: Path | None = None) -> dict[str, bytes]:
    """The content of every file, by its path in the site."""
    if listen is not None and not (listen / "listen.js").is_file():
        raise ResultsError(f"{listen} is no page to listen with: make one by `audiotok report`")
    found = read_all(results)
    suites = []
    files: dict[str, bytes] = {}
    for _, group in by_setting(found):
        refuse_mixed(group)
        suites.append(suite_page(group))
    codecs = codec_pages(found, suites, results / "checks")
    pictures, tables = speed.found(results)
    published = published_rows(results)
    shared = {"suites": suites, "codecs": codecs, "has_speed": bool(tables),
              "has_published": bool(published), "has_listen": listen is not None}  # fmt: skip
    files["index.html"] = _page("index.html", "", shared)
    for suite in suites:
        name = f"suite/{suite['slug']}"
        files[f"{name}.html"] = _page("suite.html", "../", shared | {"suite": suite})
        files[f"data/{suite['slug']}.js"] = pair_script(suite)
        files[f"compare/{suite['slug']}.html"] = _page(
            "compare.html", "../", shared | {"suite": suite}
        )
    for codec in codecs:
        files[f"codec/{codec['slug']}.html"] = _page("codec.html", "../", shared | {"codec": codec})
    files["taxonomy.html"] = _page("taxonomy.html", "", shared | {"rows": taxonomy(codecs)})
    if tables:
        files["speed.html"] = _page("speed.html", "", shared | {"tables": tables})
        files |= {f"speed/{path.name}": path.read_bytes() for path in pictures}
    if published:
        files["published.html"] = _page("published.html", "", shared | {"rows": published})
    if listen is not None:
        heard = (path for path in sorted(listen.rglob("*")) if path.is_file())
        files |= {f"listen/{path.relative_to(listen)}": path.read_bytes() for path in heard}
    for path in sorted((HERE / "static").iterdir()):
        files[f"static/{path.name}"] = path.read_bytes()
    return files


def _page(template: str, root: str, content: dict[str, Any]) -> bytes:
    """A page; `root` leads from it to the site's first folder."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(template).render(root=root, **content).encode()
