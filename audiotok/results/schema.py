"""The schema of summary.json, run.json and the rows of a result, checked when they are read.

Results may come from other people. Files that pass these checks have the keys, types and bounds
that tables and pages rely on; additional keys of later versions are accepted.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError, with_config
from pydantic_core import from_json
from typing_extensions import TypedDict

from audiotok.errors import ResultsError

SCHEMA = 1
ROLES = ("ceiling", "given", "neural", "baseline", "floor")  # the order of every table
MAX_BYTES = 2**26  # of a JSON file; the largest committed one has 0.3 MB
MAX_CELLS = 10**8  # rows times columns of a parquet file
MAX_DEPTH = 20  # of nested JSON
LARGEST = 1e100  # larger numbers are not measurements
TEXTS = ("codec", "clip")  # columns that all rows have
CLUSTERS = ("speaker", "session")  # columns of text that rows have if the corpus has them

Name = Annotated[str, Field(min_length=1, max_length=1000)]
Text = Annotated[str, Field(max_length=10_000)]
Count = Annotated[int, Field(ge=0, le=10**12)]
Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


_OPEN = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


@with_config(_OPEN)
class _Score(TypedDict):
    mean: Number | None
    ci95: Annotated[tuple[Number, Number], Field(strict=False)] | None
    interval: NotRequired[Text | None]
    n: Count
    failed: Count
    unit: Text
    digits: Annotated[int, Field(ge=0, le=12)]
    higher_is_better: bool | None
    description: Text
    task: Name


@with_config(_OPEN)
class _Taxonomy(TypedDict):
    quantizer: NotRequired[Text | None]
    target_domain: NotRequired[Text | None]


@with_config(_OPEN)
class _Weights(TypedDict):
    repository: NotRequired[Text | None]
    revision: NotRequired[Text | None]


@with_config(_OPEN)
class _Codec(TypedDict):
    name: Name
    role: Literal[ROLES]
    stand_in: NotRequired[Text]  # the codec whose sound was taken as the reference
    family: NotRequired[Name | None]
    options: NotRequired[dict[str, str | int | list[int] | list[str]]]
    licence_code: NotRequired[Text | None]
    licence_weights: NotRequired[Text | None]
    training_data: NotRequired[list[Text]]
    taxonomy: NotRequired[_Taxonomy | None]
    weights: NotRequired[_Weights | None]
    verified: NotRequired[Text | None]
    fingerprint: NotRequired[Text | None]
    network_sha256: NotRequired[Text | None]
    num_codebooks: NotRequired[Count | None]
    sample_rate_in: NotRequired[Count | None]
    sample_rate_out: NotRequired[Count | None]
    channels: NotRequired[Count | None]
    codebook_sizes: NotRequired[list[Count]]
    strides: NotRequired[list[Count]]
    frame_rate: NotRequired[Number | None]
    token_rate: NotRequired[Number | None]
    bitrate: NotRequired[Number | None]
    causal: NotRequired[bool | None]
    streamable: NotRequired[bool | None]


def _check_family(codec: _Codec) -> _Codec:
    if codec["role"] not in ("ceiling", "given") and codec.get("family") is None:
        raise ValueError(f"a codec of role {codec['role']} has a family")
    return codec


@with_config(_OPEN)
class _SuiteName(TypedDict):
    name: Name
    version: Count


class _Suite(_SuiteName):
    tasks: list[Name]
    headline: NotRequired[list[Name]]


@with_config(_OPEN)
class _Data(TypedDict):
    name: Name
    sha256: Sha256
    clips: Annotated[Count, Field(ge=1)]
    limit: Annotated[Count, Field(ge=1)] | None


@with_config(_OPEN)
class _Planned(TypedDict):
    name: Name


@with_config(_OPEN)
class _Plan(TypedDict):
    audiotok: Name
    seed: Count
    suite: _SuiteName
    data: _Data
    tasks: dict[Name, dict[Name, Count | Text]]
    codec: _Planned


@with_config(_OPEN)
class _Failure(TypedDict):
    clip: Name
    message: Text
    stage: NotRequired[Text | None]
    task: NotRequired[Text | None]
    column: NotRequired[Text | None]
    transient: NotRequired[bool]


@with_config(_OPEN)
class _Summary(TypedDict):
    schema: Literal[SCHEMA]
    plan: _Plan
    suite: _Suite
    data: _Data
    codec: Annotated[_Codec, AfterValidator(_check_family)]
    scores: dict[Name, _Score]
    failures: list[_Failure]
    not_measured: dict[Name, Text]
    packages: dict[Name, Text]
    rows_sha256: Sha256


@with_config(_OPEN)
class _Git(TypedDict):
    commit: NotRequired[Text | None]
    dirty: NotRequired[bool | None]


@with_config(_OPEN)
class _Run(TypedDict):
    schema: Literal[SCHEMA]
    times: dict[Name, _Score]
    seconds: Number
    finished: Text
    command: Text
    git: _Git | None
    device: Text
    hardware: Text
    workers: NotRequired[Count | None]
    summary_sha256: NotRequired[Sha256 | None]


_FILES = {"summary.json": TypeAdapter(_Summary), "run.json": TypeAdapter(_Run)}


def read_json(path: Path) -> dict[str, Any]:
    """The content of summary.json or run.json, checked.

    Raises:
        FileNotFoundError, NotADirectoryError: there is no such file.
        ResultsError: it cannot be read, or does not match the schema.
    """
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode) or info.st_size > MAX_BYTES:
            raise ResultsError(
                f"{path} is no regular file, or has more than {MAX_BYTES / 2**20:.0f} MiB: it was "
                "not written by `audiotok bench`"
            )
        content = from_json(path.read_bytes(), allow_inf_nan=False)
        _check_depth(content)
        _FILES[path.name].validate_python(content)
        return content
    except (FileNotFoundError, NotADirectoryError):
        raise
    except ValidationError as reason:
        first = reason.errors(include_url=False)[0]
        if first["loc"] == ("schema",) and first["type"] == "literal_error":
            raise ResultsError(
                f"{path} is of schema {_shown(first['input'])}, this audiotok reads {SCHEMA}: use "
                "the version that wrote it, or move the folder away"
            ) from reason
        location = _shown(".".join(map(str, first["loc"])) or "the file")
        raise ResultsError(
            f"{path}: {location}: {first['msg']}, not {_shown(first['input'])}: restore the file, "
            "or remove the folder and measure again"
        ) from reason
    except (OSError, ValueError) as reason:
        raise ResultsError(
            f"{path} cannot be read ({_shown(reason)}): restore the file, or remove the folder and "
            "measure again"
        ) from reason


def _check_depth(value: Any, depth: int = 0) -> None:
    """Raises ValueError if it is nested too deeply, or has a number beyond LARGEST."""
    if isinstance(value, dict | list):
        if depth > MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} deep")
        for item in value.values() if isinstance(value, dict) else value:
            if type(item) is not str:
                _check_depth(item, depth + 1)
    elif isinstance(value, int | float) and not abs(value) <= LARGEST:
        raise ValueError(f"a number beyond {LARGEST:g}")


def read_rows(path: Path, columns: Collection[str]) -> pd.DataFrame:
    """The rows of rows.parquet or times.parquet, one for each clip.

    Args:
        columns: those that must be numbers if they are present.

    Raises ResultsError: it cannot be read, or its columns are not the strings `codec` and `clip`
    (unique), the optional strings `speaker` and `session`, and finite float64 numbers or strings.
    """

    def failure(reason: str) -> ResultsError:
        return ResultsError(f"{path}: {reason}: restore the file, or measure again")

    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise failure("is no file")
        # pyarrow does not accept a path that is not UTF-8, but an open file
        with open(path, "rb") as raw, pyarrow.parquet.ParquetFile(raw) as file:
            metadata, schema = file.metadata, file.schema_arrow
            if not 0 <= metadata.num_rows * metadata.num_columns <= MAX_CELLS:
                raise failure(
                    f"declares {metadata.num_rows} rows of {metadata.num_columns} columns"
                )
            if error := next(filter(None, map(_type_error(columns), schema)), None):
                raise failure(error)
            if sorted(set(schema.names)) != sorted(schema.names):
                raise failure("has two columns of one name")
            if missing := set(TEXTS) - set(schema.names):
                raise failure(f"has no column {min(missing)}")
            rows = file.read().to_pandas()
        if list(rows.columns) != schema.names:
            raise failure("has an index")
    except ResultsError:
        raise
    except Exception as reason:  # the reader may raise anything for bytes that are not parquet
        raise failure(f"cannot be read ({_shown(reason)})") from reason
    if rows["codec"].isna().any() or rows["clip"].isna().any():
        raise failure("a row has no codec or no clip")
    if (duplicate := rows["clip"].duplicated()).any():
        raise failure(f"the clip {_shown(rows['clip'][duplicate].iloc[0])} is there twice")
    if (infinite := np.isinf(rows.select_dtypes("float64"))).to_numpy().any():
        raise failure(f"{_shown(infinite.columns[infinite.any()][0])} has an infinite number")
    return rows


def _type_error(numbers: Collection[str]) -> Callable[[pyarrow.Field], str | None]:
    """A function that returns the error of a column with the wrong type, or None."""

    def error(field: pyarrow.Field) -> str | None:
        is_text = pyarrow.types.is_string(field.type) or pyarrow.types.is_large_string(field.type)
        is_number, is_null = pyarrow.types.is_float64(field.type), pyarrow.types.is_null(field.type)
        fits = is_text if field.name in TEXTS else is_number or is_null
        if field.name in CLUSTERS and field.name not in numbers:
            fits = is_text or is_null
        if fits or (is_text and field.name not in numbers):
            return None
        return f"the column {_shown(field.name)} is of {_shown(field.type)}, expected " + (
            "strings" if field.name in (*TEXTS, *CLUSTERS) else "float64"
        )

    return error


def _shown(value: object) -> str:
    """A value from a file in a message: short, in one line, printable."""
    try:
        text = " ".join(str(value)[:200].split())[:80]
    except ValueError:  # an integer of too many digits
        text = "a very large number"
    return text if text.isprintable() else ascii(text)
