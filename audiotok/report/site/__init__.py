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

from audiotok.errors import ResultsError
from audiotok.report.site import codecs, published, settings, speed
from audiotok.report.site.pages import Pages
from audiotok.results.results import by_setting, read_all, refuse_mixed
from audiotok.results.validating import untrue
from audiotok.system.files import replacing

HEARD = "bundled"  # the corpus whose licence lets anybody pass its clips on
_OWN = "site.css"  # what tells a folder of ours from any other


def build(results: str | Path, heard: Sequence[str] = ()) -> dict[str, bytes]:
    """The content of all files of the site, by their path in it.

    Args:
        results: folder of all results; "published" and "speed" in it are shown where they exist.
        heard: codecs on the page that `audiotok report` wrote into "listening" of the site.

    Raises ResultsError for results that are torn or edited, or whose versions are mixed.
    """
    found = read_all(results)
    for result in found:
        if (reason := untrue(result)) is not None:
            raise ResultsError(f"{result.folder}: {reason}; `audiotok validate` says more")
    whole = [result for result in found if result.is_whole]
    groups = [group for _, group in by_setting(whole)]
    for group in groups:
        refuse_mixed(group)
    theirs = published.read(Path(results))
    pages = Pages(heard=heard, heard_corpus=HEARD)
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
    """Writes the site into the folder `out`, and removes the pages there that are no more."""
    root, content = Path(out), build(results, _heard(Path(out)))
    if (
        root.is_dir()
        and any(path.name != "listening" for path in root.iterdir())
        and not (root / _OWN).is_file()
    ):
        raise ResultsError(f"{root} holds something else than this site: name an empty folder")
    for path in _others(root, content):
        path.unlink()
    for name, page in content.items():
        path = root / name
        if path.is_file() and path.read_bytes() == page:
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as reason:
            raise ResultsError(f"cannot write {path}: {reason.strerror}") from reason
        with replacing(path, ResultsError) as file:
            file.write(page)
    return [root / name for name in content]


def check(results: str | Path, out: str | Path) -> list[Path]:
    """The files of the site in `out` that are not what `results` give, or are too many."""
    root, content = Path(out), build(results, _heard(Path(out)))
    wrong = [
        root / name
        for name, page in content.items()
        if not (root / name).is_file() or (root / name).read_bytes() != page
    ]
    return wrong + _others(root, content)


def _heard(root: Path) -> list[str]:
    """The codecs of the listening page in the site; none where it is of clips that may not be
    passed on."""
    try:
        about = json.loads((root / "listening" / "about.json").read_bytes())
        return list(about["codecs"]) if about["corpus"] == HEARD else []
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _others(root: Path, content: dict[str, bytes]) -> list[Path]:
    """Pages in the folders of this site that it does not have."""
    kinds = ("*.html", "codecs/*.html", "data/*.js")
    there = [path for kind in kinds for path in sorted(root.glob(kind))]
    return [path for path in there if path.relative_to(root).as_posix() not in content]
