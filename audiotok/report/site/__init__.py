"""The static site: a folder of pages, a pure function of results/. No torch, no network, no server.

    audiotok leaderboard --site site        # then open site/index.html

Pages are whole without JavaScript, except the pictures and the comparison; site.js sorts, filters
and draws, and keeps its state behind the # of the address. Whatever results/ holds is shown: no
suite, task or metric is named here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from audiotok.report.site import codecs, folder, published, settings, speed
from audiotok.report.site.pages import Pages
from audiotok.results.results import by_setting, refuse_mixed
from audiotok.results.validating import read_true

LISTENING_CORPUS = "bundled"  # the corpus whose licence lets anybody pass its clips on


def build(results: str | Path, listening_codecs: Sequence[str] = ()) -> dict[str, bytes]:
    """The content of all files of the site, by their path in it.

    Args:
        results: folder of all results; "published" and "speed" in it are shown where they exist.
        listening_codecs: those on the page that `audiotok report` wrote into the folder
            "listening" of the site.

    Raises ResultsError for results that are torn or edited, or whose versions are mixed.
    """
    found = read_true(results)
    whole = [result for result in found if result.is_whole]
    groups = [group for _, group in by_setting(whole)]
    for group in groups:
        refuse_mixed(group)
    theirs = published.read(Path(results))
    pages = Pages(listening_codecs=listening_codecs, listening_corpus=LISTENING_CORPUS)
    del pages.files["listening.js"]  # of the page that `audiotok report` writes
    shown = [settings.describe(group, theirs) for group in groups]
    pages.put("index.html", "index.html", settings=shown, partial=len(found) - len(whole))
    for setting in shown:
        pages.put(setting.page, "setting.html", setting=setting)
        pages.put(setting.compare, "compare.html", setting=setting)
        pages.add(setting.data, setting.payload)
    codecs.put(pages, shown, theirs, Path(results))
    published.put(pages, theirs, shown, Path(results))
    speed.put(pages, Path(results) / "speed")
    return pages.finished()


def write(results: str | Path, out: str | Path) -> list[Path]:
    """Writes the site into the folder `out`, and removes the pages of ours that are no more."""
    return folder.write(Path(out), build(results, _listening_codecs(Path(out))))


def check(results: str | Path, out: str | Path) -> list[Path]:
    """The files of the site in `out` that are not what `results` give, or are too many."""
    return folder.check(Path(out), build(results, _listening_codecs(Path(out))))


def _listening_codecs(root: Path) -> list[str]:
    """The codecs of the listening page in the site; none where it is of clips that may not be
    passed on."""
    try:
        about = json.loads((root / folder.LISTENING / "about.json").read_bytes())
        return list(about["codecs"]) if about["corpus"] == LISTENING_CORPUS else []
    except (OSError, ValueError, KeyError, TypeError):
        return []
