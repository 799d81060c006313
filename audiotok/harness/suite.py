"""Suites: tasks, data and baselines of a benchmark; one YAML file each, in benchmarks/."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from audiotok.errors import ResultsError
from audiotok.system import assets, yaml_files
from audiotok.system.names import Name


class Suite(BaseModel):
    """What is measured on which data; a YAML file. If its meaning changes, raise `version`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    version: int
    description: str
    data: Name | None = "bundled"  # None: the user's own, --data
    tasks: tuple[str, ...]
    baselines: tuple[Name, ...] = ()  # codecs that every table shows for comparison
    headline: tuple[str, ...] = ()  # columns of the printed table
    given: bool = False  # measures the reconstructions of a manifest, and no codec
    seed: int = 0

    def source(self, data: str | Path | None) -> str | Path:
        """The corpus that the user named, else the suite's.

        Raises ResultsError if neither names one.
        """
        if (source := data or self.data) is None:
            raise ResultsError(
                f"the suite {self.name} brings no corpus: give yours with --data, a folder or a "
                "manifest (audio, text, speaker, label)"
            )
        return source


def _typed(keys: tuple[str, ...]) -> str:
    return "--data {}" if keys == ("data",) else "-t {}"


def load_suite(name: str | Path) -> Suite:
    """A suite by name or path."""
    path = assets.find("benchmarks", name, ResultsError)
    try:
        return Suite.model_validate(yaml_files.read(path, _typed))
    except ValueError as reason:
        errors = reason.errors() if isinstance(reason, ValidationError) else [{"msg": str(reason)}]
        first = errors[0]
        location = ".".join(map(str, first.get("loc", ())))
        text = " ".join(f"{location} {first['msg']}".split())
        raise ResultsError(f"{path} is not a suite: {text}") from reason
