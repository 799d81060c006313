"""YAML files (recipes, suites), read as data with size limits; strings in them are `Recorded`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from audiotok.system import assets
from audiotok.system.names import Recorded

Typed = Callable[[tuple[str, ...]], str]
BYTES = 2**20  # most bytes of a file
DEPTH = 100  # most nested brackets
NODES = 100_000  # most values of a file with its aliases expanded


def read(path: str | Path, typed: Typed) -> Any:
    """The content of a YAML file. Every string in it is a `Recorded`, unless the file ships with
    audiotok.

    Args:
        typed: function from the keys of a name ("data", "corpus") to what the user can type to
            allow it, with `{}` for the name.

    Raises:
        ValueError: it cannot be read, is no YAML, or exceeds BYTES or NODES.
    """
    try:
        with open(path, "rb") as file:
            text = file.read(BYTES + 1)
        if len(text) > BYTES:
            raise ValueError(f"it has more than {BYTES} bytes")
        content = parse(text.decode("utf-8"))
    except OSError as reason:
        raise ValueError(reason.strerror or str(reason)) from reason
    return content if _ships(Path(path)) else _recorded(content, str(path), typed, ())


def parse(text: str) -> Any:
    """The content of YAML text; ValueError if it is invalid, or expands to more than NODES."""
    signs = (1 if sign in "[{" else -1 for sign in re.findall(r"[][{}]", text))
    if max(itertools.accumulate(signs), default=0) > DEPTH:  # PyYAML would take very long
        raise ValueError("it is nested too deeply")
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            if _size(node, {}) > NODES:
                raise ValueError(f"its aliases expand to more than {NODES} values")
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as reason:
        raise ValueError(" ".join(str(reason).split())) from reason
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (TypeError, OverflowError, AttributeError, KeyError) as reason:  # odd tags and keys
        raise ValueError(f"a value in it cannot be read: {reason}") from reason


def _size(node: yaml.Node, sizes: dict[int, float]) -> float:
    """Number of values in a node with aliases expanded; infinite if it contains itself."""
    if id(node) not in sizes:
        sizes[id(node)] = float("inf")
        children: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            children = node.value
        elif isinstance(node, yaml.MappingNode):
            children = [one for pair in node.value for one in pair]
        sizes[id(node)] = 1 + sum(_size(child, sizes) for child in children)
    return sizes[id(node)]


def _ships(path: Path) -> bool:
    folders = (assets.folder(kind).resolve() for kind in ("recipes", "benchmarks"))
    return any(path.resolve().is_relative_to(folder) for folder in folders)


def _recorded(content: Any, source: str, typed: Typed, keys: tuple[str, ...]) -> Any:
    if isinstance(content, str):
        return Recorded(content, source, typed(keys))
    if isinstance(content, list):
        return [_recorded(one, source, typed, (*keys, str(n))) for n, one in enumerate(content)]
    if isinstance(content, dict):
        return {
            key: _recorded(one, source, typed, (*keys, str(key))) for key, one in content.items()
        }
    return content
