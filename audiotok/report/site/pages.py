"""Templates to pages, and how numbers are written in them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from audiotok.codec import licences
from audiotok.errors import ResultsError
from audiotok.report import headline
from audiotok.report.site.fronts import codec_page
from audiotok.report.site.settings import facts_of
from audiotok.report.titles import title
from audiotok.results import contamination
from audiotok.results.results import arrow
from audiotok.system.escaping import web_link
from audiotok.system.names import key

_HERE = Path(__file__).parent


class Pages:
    """The files of a site, by their path in it."""

    def __init__(self, **shared: Any) -> None:
        """`shared`: variables that every page gets."""
        self.files: dict[str, bytes] = {
            path.name: path.read_bytes() for path in sorted((_HERE / "static").iterdir())
        }
        shared = {"in_browser": None, "documentation": False} | shared
        self.listening = shared.setdefault("listening", {"codecs": [], "clips": []})
        self._shared = shared

    def put(self, name: str, template: str, **context: Any) -> None:
        """Renders a page; links in it start from the root of the site."""
        root = "../" * name.count("/")
        variables = {"root": root, "name": name} | self._shared | context
        self.add(name, _environment().get_template(template).render(variables).encode())

    def add(self, name: str, content: bytes) -> None:
        """Adds a file; ResultsError if two files would have the same name."""
        if key(name) in map(key, self.files):
            raise ResultsError(f"two pages would be named {name}: rename one of the codecs or data")
        self.files[name] = content

    def finished(self) -> dict[str, bytes]:
        return dict(sorted(self.files.items()))


@cache
def _environment() -> jinja2.Environment:
    """The Jinja environment; kept, since compiling templates takes most of the time."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"plain": plain, "number": number, "web": web_link}
    environment.globals |= {
        "arrow": arrow, "isnumber": is_number, "licence_note": licences.NOTE,
        "contamination_notes": contamination.NOTES, "codec_page": codec_page, "facts_of": facts_of,
        "title": title, "kbit": headline.kbit, "bands": headline.bands, "best": headline.best,
        "section_titles": headline.SECTION_TITLES, "short_name": headline.short_name,
    }  # fmt: skip
    return environment


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def plain(value: object) -> str:
    """A value of a card or a table as text; – if it is not known."""
    if value is None or value != value or value == "" or value == [] or value == {}:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        if len(value) > 3 and all(item == value[0] for item in value):
            return f"{len(value)} × {plain(value[0])}"
        return ", ".join(map(plain, value))
    if isinstance(value, dict):
        return ", ".join(f"{key} {plain(item)}" for key, item in value.items())
    return f"{value:g}" if isinstance(value, float) and abs(value) < 1e6 else str(value)


def number(value: object, digits: int) -> str:
    return f"{value:.{digits}f}" if is_number(value) else "–"
