"""Recipes from YAML: axes, overrides, and mistakes explained in one line."""

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

MOST, MOST_LAYERS = 2**24, 4096  # the largest numbers in `model`, and of layers and codebooks
Validated = TypeVar("Validated", bound=BaseModel)


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply overrides such as `data.batch_size=4` or `axes.quantizer=fsq`.

    A recipe may have `axes`, {axis: value}, and `choices`, {axis: {value: keys}}: the keys of each
    axis' value are laid over those of the recipe, and `{axis}` in its name becomes the value. One
    that starts from a checkpoint may leave out `model`, which is then the checkpoint's. Overrides
    are typed: they may name code and what is on the Hub, a recipe that does not ship may not.
    Where `data.clips` names a file, the recipe that comes back holds the ids in it.

    Raises:
        RecipeError: unreadable, not YAML, an unknown key, a value that does not fit.
    """
    content = _content(path)
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
    """`check_network`; an error of any kind in it becomes a RecipeError."""
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
    """Read a recipe that is of one schema and has no axes; overrides and errors as above."""
    content = _content(path)
    try:
        for text in overrides:
            apply_override(content, text)
        return schema.model_validate(content)
    except ValidationError as error:
        raise RecipeError(f"recipe {path}: {explain(error, schema)}") from error
    except RecipeError as error:
        raise RecipeError(f"recipe {path}: {error}") from error


def _content(path: str | Path) -> dict[str, Any]:
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
    """Axes are chosen first, so that other overrides change what was chosen."""
    chosen = [override for override in overrides if override.startswith("axes.")]
    for override in chosen:
        apply_override(content, override)
    axes, choices = (_mapping(content.pop(key, None), key) for key in ("axes", "choices"))
    for axis, value in axes.items():
        if axis not in choices:
            raise RecipeError(f"unknown axis {axis!r}{_hint(axis, choices)}")
        known = _mapping(choices[axis], f"choices.{axis}")
        if not isinstance(value, str | int | float) or value not in known:
            listed = ", ".join(map(_word, known))
            raise RecipeError(f"axes.{axis} = {_word(value)!r:.80}: expected one of {listed}")
        _lay_over(content, _mapping(known[value], f"choices.{axis}.{_word(value)}"))
    for axis, value in axes.items() if isinstance(content.get("name"), str) else ():
        content["name"] = content["name"].replace(f"{{{axis}}}", _word(value))
    for override in overrides:
        if override not in chosen:
            apply_override(content, override)
    return content


def _mapping(value: Any, key: str) -> dict[Any, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RecipeError(f"{key} holds no mapping: expected keys and values, not {value!r:.80}")
    return value


def _word(value: Any) -> str:
    """As one writes it in YAML 1.1, where `on` is true."""
    return (
        {True: "on", False: "off"}.get(value, str(value)) if value in (True, False) else str(value)
    )


def _lay_over(content: dict[str, Any], keys: dict[str, Any]) -> None:
    for key, value in keys.items():
        if isinstance(value, dict) and isinstance(content.get(key), dict):
            _lay_over(content[key], value)
        else:
            content[key] = value


def apply_override(content: dict[str, Any], override: str) -> None:
    key, separator, value = override.partition("=")
    if not separator:
        raise RecipeError(f"override {override!r} has no '=': expected key=value, as in steps=100")
    *parents, last = key.split(".")
    place: Any = content
    for parent in parents:
        place = _inside(place, parent, override)
    try:
        parsed = yaml_files.parse(value)
    except ValueError as error:
        raise RecipeError(f"override {override!r}: the value is not YAML: {error}") from error
    if isinstance(place, list):
        place[_position(place, last, override)] = parsed
    elif isinstance(place, dict):
        place[last] = parsed
    else:
        raise RecipeError(f"override {override!r}: {parents[-1]!r} is a value, it holds no keys")


def _inside(place: Any, key: str, override: str) -> Any:
    if isinstance(place, list):
        return place[_position(place, key, override)]
    if isinstance(place, dict):
        if place.get(key) is None:
            place[key] = {}
        return place[key]
    raise RecipeError(f"override {override!r}: what holds {key!r} is a value, it holds no keys")


def _position(place: list, key: str, override: str) -> int:
    if not key.isdecimal() or int(key) >= len(place):
        raise RecipeError(
            f"override {override!r}: {key!r} is no position in a list of {len(place)}, from 0 on"
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


def _check_numbers(value: Any, where: str) -> None:
    """Refuses sizes of a network that would take for ever to build."""
    if isinstance(value, dict):
        for key, one in value.items():
            _check_numbers(one, f"{where}.{key}")
    elif isinstance(value, list):
        for number, one in enumerate(value):
            _check_numbers(one, f"{where}.{number}")
    elif isinstance(value, int | float) and not -MOST <= value <= (
        MOST_LAYERS if re.search("layers|blocks|codebooks|quantizers", where) else MOST
    ):
        raise RecipeError(f"{where:.120} = {value!r:.40} is larger than any network here is")


def explain(error: ValidationError, schema: type[BaseModel], above: tuple[str, ...] = ()) -> str:
    """The first complaint, in one line, with the nearest known key for an unknown one."""
    errors = error.errors()  # a key of another name is missing, too: its own line says more
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    where = ".".join(map(str, (*above, *first["loc"])))[:120]
    if first["type"] == "extra_forbidden":
        *path, last = first["loc"]
        return f"unknown key {where!r}{_hint(str(last), _schema_at(schema, path).model_fields)}"
    if first["type"] == "missing":
        return f"key {where!r} is missing"
    message = first["msg"].removeprefix("Value error, ")[:300]
    if first["type"] == "value_error" and not isinstance(first["input"], (str, int, float)):
        return f"{where}: {message}" if where else message
    return f"{where} = {first['input']!r:.120}: {message}" if where else message


def _hint(word: str, known: typing.Iterable[str]) -> str:
    near = difflib.get_close_matches(str(word), list(map(str, known)), n=1, cutoff=0)
    return f"; did you mean {near[0]!r}?" if near else ""


def _schema_at(schema: type[BaseModel], path: Sequence[str | int]) -> type[BaseModel]:
    """The schema of what lies there; positions in lists and alternatives are stepped over."""
    for part in path:
        if isinstance(part, str) and part in schema.model_fields:
            schema = _model_in(schema.model_fields[part].annotation) or schema
    return schema


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    return next(filter(None, map(_model_in, typing.get_args(annotation))), None)
