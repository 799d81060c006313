"""Escapes text from files (names, descriptions, addresses) for Markdown, CSV and links.

HTML is escaped by Jinja2, and YAML by its writer.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

_ALSO = "＝＋－＠"  # full-width = + - @, which spreadsheets treat like = + - @
# Brackets that are no link: an interval after its mean, an extra after a package's name.
_PLAIN = r"(?<=\d )\[-?[\d.]+, -?[\d.]+\](?![(\[:])|(?<=\w)\[[^\W_]+\](?![(\[:])"
_SIGNS = re.compile(rf"{_PLAIN}|[\\`*\[\]|~<>]|(?<![^\W_])_|_(?![^\W_])|&(?=#|\w)")
_HTML = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def one_line(value: object) -> str:
    """Text in one line: line breaks become spaces; control characters and invisible characters
    (such as those that change the direction of text) become �."""
    text = " ".join(str(value).split())
    hidden = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    return "".join("�" if unicodedata.category(one) in hidden else one for one in text)


def markdown(value: object) -> str:
    """Text escaped so that Markdown shows it unchanged, in one line, also in a cell of a table."""
    return _SIGNS.sub(lambda sign: _escaped(sign.group()), one_line(value))


def _escaped(sign: str) -> str:
    return _HTML.get(sign) or (sign if len(sign) > 1 else f"\\{sign}")


def markdown_table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    """A GitHub Markdown table, with the first column left-aligned; ends with a line break."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    lines = [[markdown(cell) for cell in row] for row in (head, *rows)]
    lines.insert(1, rule)
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def spreadsheet(value: Any) -> Any:
    """The cell of a CSV file: numbers are unchanged; text that a spreadsheet would evaluate as a
    formula gets an apostrophe before it."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    text = one_line(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", *_ALSO)) else text


def web_link(address: object) -> str | None:
    """The address if it is an http or https URL, else None (as for `javascript:` and files)."""
    text = str(address)
    fits = re.fullmatch(r"https?://[^\s/?#\\@]+([/?#][^\s\\]*)?", text, re.ASCII | re.I)
    return text if fits and text.isprintable() else None
