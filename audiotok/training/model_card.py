"""The model card, README.md in the folder of the weights: network, data, validation,
environment."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from audiotok.system.escaping import markdown_table
from audiotok.training.recipe import Recipe

_CARD = """---
library_name: audiotok
tags: [audio, codec, tokenizer, {family}]
---

# {name}

A {family} trained with [audiotok](https://pypi.org/project/audiotok) by the recipe below.
`model.safetensors` is the best on validation{best}; `last.safetensors` is from step {step} of
{steps}.

    audiotok bench --tokenizer model.safetensors
    audiotok reconstruct talk.wav --tokenizer model.safetensors --out again.wav

## What it is

{facts}

## What it learned from

{data}

## How well it does, on validation

{numbers}

These are losses and code statistics. `audiotok bench` measures what one hears.

## Where

{where}

## Recipe

{recipe}
"""


def model_card(
    recipe: Recipe,
    *,
    step: int,
    best_step: int | None,
    facts: Mapping[str, Any],
    data: Mapping[str, Any],
    broken: Sequence[str],
    numbers: Mapping[str, float],
    environment: Mapping[str, Any],
) -> str:
    """The whole file.

    Args:
        facts: of the network: sizes and rates.
        data: of the corpus: hours and the like.
        broken: ids of recordings that could not be read.
        numbers: validation of the best weights so far.
        environment: as `environment.json` has it.
    """
    about_data = dict(data)
    if broken:
        about_data[f"{len(broken)} recordings that could not be read, left out"] = _some(broken)
    formatted = {name: f"{value:.4g}" for name, value in numbers.items()}
    git = environment.get("git")
    origin = {
        "Hardware": environment.get("hardware"),
        "Processes": environment.get("processes"),
        "Date": environment.get("date"),
        "Commit": f"{git['commit']}{' with changes' if git['dirty'] else ''}" if git else None,
        "Command": environment.get("command"),
        "Packages": ", ".join(
            f"{package} {version}" for package, version in environment.get("packages", {}).items()
        ),
    }
    return _CARD.format(
        family=recipe.family,
        name=recipe.name,
        best="" if best_step is None else f", at step {best_step}",
        step=step,
        steps=recipe.steps,
        facts=_table(facts),
        data=_table(about_data),
        numbers=_table(formatted) if formatted else "Not validated with its codebook yet.",
        where=_table({key: value for key, value in origin.items() if value is not None}),
        recipe=textwrap.indent(recipe.to_yaml(), "    "),
    )


def _table(rows: Mapping[str, Any]) -> str:
    body = [
        [key, value if isinstance(value, str) else json.dumps(value)] for key, value in rows.items()
    ]
    return markdown_table(["", ""], body)


def _some(names: Sequence[str], count: int = 20) -> str:
    names = sorted(names)
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")
