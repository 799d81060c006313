"""results/verified/NAME.json, the records of `audiotok verify`: path, writing, validation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from pydantic_core import from_json
from typing_extensions import TypedDict

from audiotok.errors import ResultsError
from audiotok.results import results
from audiotok.results.schema import MAX_BYTES, Count, Name, Number, Sha256, Text
from audiotok.system.files import regular_size
from audiotok.system.names import part

FOLDER = "verified"  # in the folder of results
_STRICT = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


@with_config(_STRICT)
class _Comparison(TypedDict):
    what: Name
    state: Literal["equal", "different", "unavailable"]
    why: Text | None
    numbers: dict[str, Number]


@with_config(_STRICT)
class _Promise(TypedDict):
    promise: Name
    state: Literal["kept", "broken", "not checked"]
    why: Text | None


@with_config(_STRICT)
class _Weights(TypedDict):
    file: Name
    bytes: Count
    sha256: Sha256
    sha256_on_card: Sha256 | None
    repository: Text | None
    revision: Text | None


@with_config(_STRICT)
class _Verified(TypedDict):
    schema: Literal[1]
    codec: Name
    fingerprint: Text | None
    network_sha256: Sha256 | None
    weights: _Weights | None
    comparisons: Annotated[list[_Comparison], Field(min_length=1)]
    promises: list[_Promise]
    equal: Count
    different: Count
    unavailable: Count
    kept: Count
    broken: Count
    not_checked: Count
    packages: dict[str, Text | None]
    date: Text
    command: Text


_ADAPTER = TypeAdapter(_Verified)


def write(content: dict[str, Any], out: str | Path = "results") -> Path:
    """Writes the record of a codec, replacing an earlier one; returns its path.

    Raises:
        ResultsError: the existing file is not such a record, or it cannot be written.
    """
    path = record_path(content["codec"], out)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as reason:
        raise ResultsError(
            f"cannot write into {path.parent}: {reason.strerror or reason}; give another folder "
            "with --out"
        ) from reason
    results.write_json(path, content)
    return path


def record_path(name: str, out: str | Path = "results") -> Path:
    """The path of the record of the codec `name`; ResultsError if another file is there."""
    path = Path(out) / FOLDER / f"{part(name)}.json"
    if path.exists() and invalid_reason(path) is not None:
        raise ResultsError(
            f"{path} exists and is not a record of `audiotok verify`: give another folder with "
            "--out"
        )
    return path


def records(root: str | Path) -> list[Path]:
    """The paths of all records in a folder of results."""
    return sorted((Path(root) / FOLDER).glob("*.json"))


def invalid_reason(path: Path) -> str | None:
    """Why a record is invalid, in one line; None if it is valid."""
    try:
        if regular_size(path) > MAX_BYTES:
            return f"it has more than {MAX_BYTES} bytes"
        content = _ADAPTER.validate_python(from_json(path.read_bytes(), allow_inf_nan=False))
    except OSError as reason:
        return f"it cannot be read: {reason.strerror or reason}"
    except ValidationError as reason:  # also a ValueError
        first = reason.errors()[0]
        location = ".".join(str(key) for key in first["loc"])
        return f"{location}: {first['msg']}"
    except ValueError as reason:
        return f"it is no JSON: {reason}"
    if path.stem != part(content["codec"]):
        return f"it is of {content['codec']}: expected the name {part(content['codec'])}.json"
    for entries, states in (
        ("comparisons", ("equal", "different", "unavailable")),
        ("promises", ("kept", "broken", "not checked")),
    ):
        for state in states:
            count = sum(entry["state"] == state for entry in content[entries])
            if content[state.replace(" ", "_")] != count:
                return f"{state} is {content[state.replace(' ', '_')]}, but {count} are"
    return None
