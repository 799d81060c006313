"""The folder of a run: its files, its lock, and moving the folder of an earlier run aside."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock

from audiotok.errors import RecipeError
from audiotok.results import provenance
from audiotok.system.files import replacing, temporaries
from audiotok.training.processes import ProcessGroup
from audiotok.training.reading import load_recipe
from audiotok.training.recipe import Recipe

_PACKAGES = (*provenance.PACKAGES, "accelerate", "tensorboard", "datasets")


class Folder:
    """The files of a run, and the lock of their folder."""

    def __init__(self, path: Path, load: Callable[[Path], Any] = load_recipe):
        self.path, self._load = path, load
        self.recipe = path / "recipe.yaml"  # resolved: axes chosen, overrides applied
        self.environment = path / "environment.json"
        self.index = path / "index.json"
        self.state = path / "state.pt"
        self.best = path / "model.safetensors"
        self.last = path / "last.safetensors"
        self.card = path / "README.md"
        self._lock_file = path / ".lock"
        self._lock = filelock.FileLock(self._lock_file)

    def claim(
        self, recipe: Recipe, fresh: bool, must_resume: bool, note: Callable[[str], None]
    ) -> None:
        """Take the folder for this recipe, under a lock that one run at a time holds.

        Args:
            fresh: an existing folder is moved aside, never deleted.
            must_resume: fail if there is no state to resume.
            note: called with the new path of a folder that was moved aside.

        Raises:
            RecipeError: it belongs to another recipe or to a running process, has no state to
                resume, or has files that no run wrote.
        """
        self._refuse_foreign_files()
        if must_resume and not self.state.exists():
            raise RecipeError(
                f"{self.path} holds no state to resume: leave out --resume to start, or name the "
                "folder with --out"
            )
        self._take()
        if fresh and any(path != self._lock_file for path in self.path.iterdir()):
            self._lock.release()
            note(f"what was in {self.path} is now in {self._move_aside()}")
            self._take()
        if self.state.exists() and (recorded := self._load(self.recipe)) != recipe:
            raise RecipeError(
                f"{self.recipe} is another recipe ({_difference(recorded, recipe)}): a run "
                "never goes on with other settings; choose another folder with --out, or --fresh"
            )
        for temporary in temporaries(self.path):  # of a run that was killed while it wrote
            with suppress(OSError):
                temporary.unlink()
        self.write(self.recipe, recipe.to_yaml())

    def release(self) -> None:
        self._lock.release()

    def _refuse_foreign_files(self) -> None:
        """Raises RecipeError if the folder has files and is not that of a run."""
        expected = {self._lock_file, *temporaries(self.path)}
        foreign = set(self.path.iterdir()) - expected if self.path.is_dir() else set()
        is_run = self.recipe.is_file() and (self.state.is_file() or self._lock_file.is_file())
        if foreign and not is_run:
            raise RecipeError(
                f"{self.path} holds files that no run of audiotok wrote, e.g. {min(foreign).name}: "
                "name a new folder with --out"
            )

    def _take(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout as error:
            raise RecipeError(
                f"another process trains in {self.path}: wait, or name another with --out"
            ) from error

    def _move_aside(self) -> Path:
        number = 1
        while (target := self.path.with_name(f"{self.path.name}.old-{number}")).exists():
            number += 1
        return self.path.rename(target)

    def write(self, path: Path, text: str) -> None:
        with replacing(path, RecipeError) as file:
            file.write(text.encode())


def environment(group: ProcessGroup, threads: int) -> dict[str, Any]:
    """Machine, packages and command of a run."""
    from audiotok.tasks.speed import hardware

    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": hardware(str(group.device)),
        "processes": group.count,
        "threads": threads,
        "packages": provenance.packages(_PACKAGES),
        "git": provenance.git(),
        "command": provenance.command(),
    }


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; {} if there is none."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def cut_log(path: Path, step: int) -> None:
    """Removes from a log.jsonl the lines after `step`, and torn ones: they are of a killed run."""
    if not path.exists():
        return
    lines = []
    for line in path.read_bytes().splitlines():
        with suppress(ValueError, KeyError, TypeError, RecursionError):
            if json.loads(line)["step"] <= step:
                lines.append(line + b"\n")
    with replacing(path, RecipeError) as file:
        file.writelines(lines)


def _difference(recorded: Recipe, requested: Recipe) -> str:
    """The first key, or position in a list, that differs, with both values."""
    first, second = recorded.model_dump(mode="json"), requested.model_dump(mode="json")
    path = []
    while type(first) is type(second) and isinstance(first, dict | list):
        if isinstance(first, list):
            first, second = dict(enumerate(first)), dict(enumerate(second))
        keys = dict.fromkeys([*first, *second])
        key = next(key for key in keys if first.get(key) != second.get(key))
        path.append(key)
        first, second = first.get(key), second.get(key)
    return f"{'.'.join(map(str, path))} {str(first)[:60]} there, {str(second)[:60]} here"
