"""Recipes from YAML: axes, overrides, and one-line messages about mistakes."""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from audiotok.errors import RecipeError
from audiotok.system import yaml_files
from audiotok.training import clip_lists, families, start
from audiotok.training.recipe import Recipe, check_network

MAX_SIZE, MAX_LAYERS = 2**24, 4096  # largest numbers in `model`; of layers and codebooks
Validated = TypeVar("Validated", bound=BaseModel)


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply overrides such as `data.batch_size=4` or `axes.quantizer=fsq`.

    A recipe may have `axes`, {axis: value}, and `choices`, {axis: {value: keys}}: the keys of the
    value of each axis replace those of the recipe, and `{axis}` in its name becomes the value. A
    recipe that starts from a checkpoint may omit `model`, which is then that of the checkpoint.
    Overrides are typed by the user, so they may name code and repositories of the Hub; a recipe
    that does not ship may not. If `data.clips` names a file, it is replaced by the ids in the file.

    Raises:
        RecipeError: unreadable, not YAML, an unknown key, a value that does not fit.
    """
    content = _read(path)
    try:
        content = _with_axes(content, overrides)
        keys = {override.partition("=")[0] for override in overrides}
        clip_lists.resolve(content, path, typed=not keys.isdisjoint({"data", "data.clips"}))
        recipe = _validated(content)
        _check_network(recipe)
    except RecipeError as error:
        raise RecipeError(f"recipe {path}: {str(error)[:1000]}") from error
    return recipe


def _check_network(recipe: Recipe) -> None:
    """`check_network`; converts any error in it to a RecipeError."""
    try:
        check_network(recipe)
    except RecipeError:
        raise
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as reason:
        text = " ".join(str(reason).split())[:200]
        raise RecipeError(
            f"the sizes of `model` give no network ({type(reason).__name__}: {text}): compare them "
            "with a recipe that ships"
        ) from reason


def read_plain(path: str | Path, overrides: Sequence[str], schema: type[Validated]) -> Validated:
    """Read a recipe of one schema, without axes; overrides and errors as for `load_recipe`."""
    content = _read(path)
    try:
        for text in overrides:
            apply_override(content, text)
        return schema.model_validate(content)
    except ValidationError as error:
        raise RecipeError(f"recipe {path}: {explain(error, schema)}") from error
    except RecipeError as error:
        raise RecipeError(f"recipe {path}: {error}") from error


def _read(path: str | Path) -> dict[str, Any]:
    try:
        content = yaml_files.read(path, _typed)
    except ValueError as error:
        raise RecipeError(f"cannot read recipe {path}: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise RecipeError(f"recipe {path} holds no mapping: expected keys such as 'name', 'steps'")
    return content


def _typed(keys: tuple[str, ...]) -> str:
    """The override that allows a name found under these keys; `choices.AXIS.VALUE` is left out."""
    return ".".join(keys[3:] if keys[:1] == ("choices",) else keys) + "={} behind the recipe"


def _with_axes(content: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Applies the axes, then the overrides of other keys, which may change keys of an axis."""
    axis_overrides = [override for override in overrides if override.startswith("axes.")]
    for override in axis_overrides:
        apply_override(content, override)
    axes, choices = (_mapping(content.pop(key, None), key) for key in ("axes", "choices"))
    for axis, value in axes.items():
        if axis not in choices:
            raise RecipeError(f"unknown axis {axis!r}{_hint(axis, choices)}")
        values = _mapping(choices[axis], f"choices.{axis}")
        if not isinstance(value, str | int | float) or value not in values:
            names = ", ".join(map(_yaml_text, values))
            raise RecipeError(f"axes.{axis} = {_yaml_text(value)!r:.80}: expected one of {names}")
        _merge(content, _mapping(values[value], f"choices.{axis}.{_yaml_text(value)}"))
    for axis, value in axes.items() if isinstance(content.get("name"), str) else ():
        content["name"] = content["name"].replace(f"{{{axis}}}", _yaml_text(value))
    for override in overrides:
        if override not in axis_overrides:
            apply_override(content, override)
    return content


def _mapping(value: Any, key: str) -> dict[Any, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RecipeError(f"{key} holds no mapping: expected keys and values, not {value!r:.80}")
    return value


def _yaml_text(value: Any) -> str:
    """A value as written in YAML 1.1, where `on` is true."""
    return (
        {True: "on", False: "off"}.get(value, str(value)) if value in (True, False) else str(value)
    )


def _merge(content: dict[str, Any], keys: dict[str, Any]) -> None:
    for key, value in keys.items():
        if isinstance(value, dict) and isinstance(content.get(key), dict):
            _merge(content[key], value)
        else:
            content[key] = value


def apply_override(content: dict[str, Any], override: str) -> None:
    key, separator, value = override.partition("=")
    if not separator:
        raise RecipeError(f"override {override!r} has no '=': expected key=value, as in steps=100")
    *parents, last = key.split(".")
    container: Any = content
    for parent in parents:
        container = _child(container, parent, override)
    try:
        parsed = yaml_files.parse(value)
    except ValueError as error:
        raise RecipeError(f"override {override!r}: the value is not YAML: {error}") from error
    if isinstance(container, list):
        container[_position(container, last, override)] = parsed
    elif isinstance(container, dict):
        container[last] = parsed
    else:
        raise RecipeError(f"override {override!r}: {parents[-1]!r} is a value, it holds no keys")


def _child(container: Any, key: str, override: str) -> Any:
    if isinstance(container, list):
        return container[_position(container, key, override)]
    if isinstance(container, dict):
        if container.get(key) is None:
            container[key] = {}
        return container[key]
    raise RecipeError(f"override {override!r}: what holds {key!r} is a value, it holds no keys")


def _position(items: list, key: str, override: str) -> int:
    if not key.isdecimal() or int(key) >= len(items):
        raise RecipeError(
            f"override {override!r}: {key!r} is no position in a list of {len(items)}, from 0 on"
        )
    return int(key)


def _validated(content: dict[str, Any]) -> Recipe:
    if "family" not in content and "encoder" in content:
        raise RecipeError("this is a recogniser's: train it with `audiotok train-asr`")
    if "family" not in content and "codecs" in content:
        raise RecipeError("this is a speech model's: train it with `audiotok train-tts`")
    if "family" not in content and "start_from" not in content:
        raise RecipeError("key 'family' is missing")
    start.complete(content)
    schema = families.config_class(content["family"])
    for section in ("model", "discriminators"):
        _check_numbers(content.get(section), section)
    try:
        content["model"] = schema.model_validate(content.get("model", {}))
    except ValidationError as error:
        raise RecipeError(explain(error, schema, ("model",))) from error
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(explain(error, Recipe)) from error


def _check_numbers(value: Any, key_path: str) -> None:
    """Refuses sizes of a network that are too large to build."""
    if isinstance(value, dict):
        for key, item in value.items():
            _check_numbers(item, f"{key_path}.{key}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _check_numbers(item, f"{key_path}.{number}")
    elif isinstance(value, int | float) and not -MAX_SIZE <= value <= (
        MAX_LAYERS if re.search("layers|blocks|codebooks|quantizers", key_path) else MAX_SIZE
    ):
        raise RecipeError(f"{key_path:.120} = {value!r:.40} is larger than any network here is")


def explain(error: ValidationError, schema: type[BaseModel], parents: tuple[str, ...] = ()) -> str:
    """The message of the first error, in one line, with the most similar key for an unknown one."""
    errors = error.errors()  # an unknown key also causes a missing one; its message is clearer
    first = next((entry for entry in errors if entry["type"] == "extra_forbidden"), errors[0])
    key_path = ".".join(map(str, (*parents, *first["loc"])))[:120]
    if first["type"] == "extra_forbidden":
        *path, last = first["loc"]
        return f"unknown key {key_path!r}{_hint(str(last), _schema_at(schema, path).model_fields)}"
    if first["type"] == "missing":
        return f"key {key_path!r} is missing"
    message = first["msg"].removeprefix("Value error, ")[:300]
    if first["type"] == "value_error" and not isinstance(first["input"], (str, int, float)):
        return f"{key_path}: {message}" if key_path else message
    return f"{key_path} = {first['input']!r:.120}: {message}" if key_path else message


def _hint(word: str, candidates: typing.Iterable[str]) -> str:
    similar = difflib.get_close_matches(str(word), list(map(str, candidates)), n=1, cutoff=0)
    return f"; did you mean {similar[0]!r}?" if similar else ""


def _schema_at(schema: type[BaseModel], path: Sequence[str | int]) -> type[BaseModel]:
    """The schema at this path; positions in lists and alternatives are skipped."""
    for part in path:
        if isinstance(part, str) and part in schema.model_fields:
            schema = _model_in(schema.model_fields[part].annotation) or schema
    return schema


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    return next(filter(None, map(_model_in, typing.get_args(annotation))), None)
