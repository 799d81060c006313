"""The static site: a folder of pages, a pure function of results/. No torch, no network, no server.

    audiotok leaderboard --site site        # then open site/index.html

Pages are complete without JavaScript, except the players, the chart of any two columns and the
comparison; site.js sorts and filters, and keeps its state behind the # of the address. The sounds
of the players and the codec of try.html are written separately (`sounds.make`, `browser.make`) and
are not checked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from audiotok.report import headline
from audiotok.report.site import browser, codecs, folder, fronts, published, settings, sounds, speed
from audiotok.report.site.pages import Pages
from audiotok.results.results import by_setting, refuse_mixed
from audiotok.results.validating import read_checked


def build(
    results: str | Path,
    listening: Mapping[str, Any] | None = None,
    cards: Sequence[Mapping[str, Any]] = (),
    *,
    in_browser: Mapping[str, Any] | None = None,
    documentation: bool = False,
) -> dict[str, bytes]:
    """The content of all files of the site, by their path in it.

    Args:
        results: folder of all results; "published", "speed", "checks" and "verified" in it are
            shown if they exist.
        listening: the sounds in the folder "listening" of the site, see `sounds.read`.
        cards: of codecs that can be loaded, see `codecs.loadable`; they are listed with the
            measured ones.
        in_browser: the codec in the folder "try" of the site, see `browser.read`; it gets a page.
        documentation: whether the folder "docs" of the site has the documentation.

    Raises ResultsError for results that are damaged or edited, or whose versions are mixed.
    """
    measured = read_checked(results)
    complete = [result for result in measured if result.is_complete]
    groups = [group for _, group in by_setting(complete)]
    for group in groups:
        refuse_mixed(group)
    published_cells = published.read(Path(results))
    extras = {"in_browser": in_browser, "documentation": documentation}
    pages = Pages(listening=listening or {"codecs": [], "clips": []}, **extras)
    del pages.files["listening.js"]  # of the page that `audiotok report` writes
    if in_browser is None:
        del pages.files["try.js"]
    else:
        pages.put("try.html", "try.html", codec=in_browser)
    shown_settings = [settings.describe(group, published_cells) for group in groups]
    tables = headline.tables(complete, Path(results) / "published")
    domains = [(table, fronts.headline_figures(table)) for table in tables]
    partial = len(measured) - len(complete)
    pages.put("index.html", "index.html", domains=domains, settings=shown_settings, partial=partial)
    for setting in shown_settings:
        pages.put(setting.page, "setting.html", setting=setting)
        pages.put(setting.compare, "compare.html", setting=setting)
        pages.add(setting.data, setting.payload)
    codecs.put(pages, shown_settings, tables, results=Path(results), cards=cards)
    published.put(pages, published_cells, shown_settings, Path(results))
    speed.put(pages, Path(results) / "speed")
    return pages.finished()


def write(
    results: str | Path, out: str | Path, cards: Sequence[Mapping[str, Any]] = ()
) -> list[Path]:
    """Writes the site into the folder `out`, and removes its pages that are no longer part of it.

    Args:
        results, cards: as for `build`.
    """
    return folder.write(Path(out), _build_in(Path(out), results, cards))


def check(
    results: str | Path, out: str | Path, cards: Sequence[Mapping[str, Any]] = ()
) -> list[Path]:
    """The files of the site in `out` that differ from those of `build`, or are not among them."""
    return folder.check(Path(out), _build_in(Path(out), results, cards))


def _build_in(
    root: Path, results: str | Path, cards: Sequence[Mapping[str, Any]]
) -> dict[str, bytes]:
    """`build`, with the listening page, codec and documentation in the folder of the site."""
    return build(
        results,
        sounds.read(root),
        cards,
        in_browser=browser.read(root),
        documentation=(root / folder.DOCS / "index.html").is_file(),
    )
