"""Lists of clips that recipes name: text files with one id a line, read into the recipe."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from audiotok.errors import RecipeError
from audiotok.system import assets, names

MAX_BYTES, MAX_LINES = 2**18, 2**16  # small, since the recipe of a run contains the ids


def resolve(content: dict[str, Any], recipe: str | Path, typed: bool) -> None:
    """Replace the name of a file in `data.clips` by the ids in that file.

    Args:
        content: of the recipe.
        recipe: its path; a list is searched in its folder, then among those that ship.
        typed: whether the user typed the name; then it may be the path of any file.

    Raises:
        RecipeError: there is no such file, a recipe names one elsewhere, or it is not a list of
        ids.
    """
    section = content.get("data")
    if isinstance(section, dict) and isinstance(section.get("clips"), str):
        section["clips"] = read(_find(section["clips"], Path(recipe).parent, typed))


def _find(name: str, folder_of_recipe: Path, typed: bool) -> Path:
    subject = f"data.clips names the file {ascii(name[:200])}"
    folders = [folder_of_recipe, assets.folder("recipes") / "clips"]
    if typed and os.path.isfile(name):
        return Path(name)
    if problem := names.problem(name):
        raise RecipeError(
            f"{subject}, which does not exist: give ids in brackets, or a file with one id a line"
            if typed
            else f"{subject}, but {problem}: a recipe may name only a file in its own folder or "
            "one that ships; to allow another, type data.clips=FILE behind the recipe"
        )
    for folder in folders:
        if os.path.isfile(path := folder / name):
            if names.leads_out(path, folder):
                raise RecipeError(
                    f"{subject}, a link that leads out of {folder}: type data.clips=FILE behind "
                    "the recipe to allow it"
                )
            return path
    raise RecipeError(
        f"{subject}, which is neither in {folder_of_recipe} nor one that ships: put it there, type "
        "data.clips=FILE behind the recipe, or data.clips=null to take all clips"
    )


def read(path: Path) -> list[str]:
    """Ids of a list, one a line; empty lines, and lines that start with `#`, are ignored.

    Raises:
        RecipeError: unreadable, not UTF-8, without ids, or larger than MAX_BYTES or MAX_LINES.
    """
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise RecipeError(f"cannot read the clips {path}: {error.strerror or error}") from error
    if len(raw) > MAX_BYTES or raw.count(b"\n") > MAX_LINES:
        raise RecipeError(
            f"the clips {path} are more than {MAX_BYTES} bytes or {MAX_LINES} lines: write a "
            "manifest of them and name it as data.corpus"
        )
    try:
        lines = [line.strip() for line in raw.decode("utf-8-sig").split("\n")]
    except UnicodeDecodeError as error:
        raise RecipeError(f"the clips {path} are no UTF-8 text: expected one id a line") from error
    ids = [line for line in lines if line and not line.startswith("#")]
    if not ids:
        raise RecipeError(f"the clips {path} hold no id: expected one a line")
    if unprintable := next((name for name in ids if not name.isprintable()), None):
        raise RecipeError(
            f"the clips {path} hold {ascii(unprintable[:80])}: expected ids, one a line"
        )
    return ids
