"""Imports point one way, as docs/dev/design.md says. Only the source is read, nothing imported."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "audiotok"

# A folder (or a module at the top) imports only what stands before it.
LEVELS = (
    "errors system",
    "kernels nn",
    "sound tokens",
    "codec codecs",
    "metrics data judges probes lm enhancement",
    "tasks results",
    "harness testing training",
    "corpora recogniser speech_lm tts",
    "report cli",
)
ORDER = [part for level in LEVELS for part in level.split()]

# These import nothing else.
ONLY = {
    "system": {"errors"},
    "kernels": {"errors", "system"},
    "nn": {"errors", "system", "kernels"},
    "sound": {"errors", "system"},
    "tokens": {"errors", "system", "sound"},
    "codec": {"errors", "system", "nn", "sound", "tokens"},
    "codecs": {"errors", "system", "nn", "sound", "codec"},
    "metrics": {"errors", "system", "sound"},
    "data": {"errors", "system", "sound"},
}


def parts():
    """The parts of the package: its folders, and the modules at the top."""
    paths = [path for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))]
    paths += [path for path in PACKAGE.glob("*.py") if not path.stem.startswith("_")]
    return {path.stem for path in paths}


def running(tree):
    """All nodes but those under `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield node
            yield from running(node)


def imports_of(path):
    """The parts that a file imports when it runs, also inside of functions."""
    for node in running(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports by a relative name"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            root, *rest = name.split(".")
            if root == "audiotok" and rest:
                yield rest[0]


@cache
def graph():
    edges = {part: set() for part in parts()}
    for path in sorted(PACKAGE.rglob("*.py")):
        part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if part in edges:
            edges[part] |= set(imports_of(path)) & edges.keys() - {part}
    return edges


def reached_from(part):
    reached, todo = set(), [part]
    while todo:
        new = graph()[todo.pop()] - reached
        reached |= new
        todo += new
    return reached


def test_every_part_has_its_place():
    assert parts() == set(ORDER)


@pytest.mark.parametrize("part", ORDER)
def test_imports_point_one_way(part):
    behind = graph()[part] & set(ORDER[ORDER.index(part) + 1 :])
    assert not behind, f"{part} imports {sorted(behind)}, which stand after it"


@pytest.mark.parametrize("part", ONLY)
def test_leaves_stay_leaves(part):
    assert graph()[part] <= ONLY[part]


@pytest.mark.parametrize("part", ["data", "metrics", "nn", "kernels"])
def test_reaches_no_codec(part):
    assert not reached_from(part) & {"codec", "codecs"}


@pytest.mark.parametrize(
    "module",
    [
        "report.leaderboard", "results.results", "results.comparison", "results.published",
        "harness.summary", "errors",
    ],
)  # fmt: skip
def test_needs_no_torch(module):
    program = f"import sys, audiotok.{module}; print('torch' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "False"


def test_every_module_says_its_job():
    for path in PACKAGE.rglob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text())), f"{path} has no docstring"


def test_no_file_is_too_long():
    for path in PACKAGE.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 400, f"{path} has more than 400 lines"
