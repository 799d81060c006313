"""Imports point one way, as docs/design.md draws it. Read from the source, nothing is imported."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "audiotok"

# Nothing reaches what stands to its right.
CHAINS = (
    "errors files audio tokens card codec checkpoints registry codecs",
    "errors kernels nn codecs",
    "kernels nn training cli",
    "errors audio data tasks harness cli",
    "errors audio metrics tasks harness cli",
    "statistics results comparison ranking leaderboard cli",
    "results ranking site cli",
)

# These import no other part than those.
ONLY = {
    "errors": set(),
    "files": {"errors"},
    "dependencies": {"errors"},
    "resampling": {"dependencies"},
    "audio": {"errors", "files", "containers", "resampling"},
    "names": set(),
    "tokens": {"errors", "files", "names", "audio", "atok", "entropy", "patterns"},
    "patterns": {"errors", "atok"},
    "entropy": set(),
    "ngrams": set(),
    "shared_settings": set(),
    "defaults": {"shared_settings"},
    "inference": {"defaults", "shared_settings"},
    "tensor_level": {"errors", "batches", "card", "inference", "tokens"},
    "portable": {"errors", "card", "inference"},
    "windows": {"errors", "card"},
    "streaming": {"errors", "audio", "defaults", "inference", "windows"},
    "codec": {
        "errors",
        "audio",
        "card",
        "defaults",
        "inference",
        "batches",
        "portable",
        "streaming",
        "tensor_level",
        "tokens",
        "windows",
    },
    "batches": {"audio", "card", "tokens"},
    "kernels": {"errors"},
    "nn": {"dependencies", "errors", "kernels"},
    "data": {"errors", "files", "audio", "assets", "names"},
    "metrics": {"dependencies", "errors", "audio"},
    "results": {"errors", "failures", "files", "licences", "contamination"},
    "comparison": {"errors", "results", "statistics", "tasks"},
    "ranking": {"comparison", "results", "statistics"},
    "published": {"assets", "comparison", "errors"},
    "leaderboard": {"errors", "files", "results", "ranking", "assets", "licences", "contamination"},
    "site": {
        "errors",
        "files",
        "results",
        "comparison",
        "contamination",
        "licences",
        "published",
        "ranking",
        "rates",
        "validating",
    },
    "hub": {"comparison", "errors", "results"},
    "licences": set(),
    "contamination": set(),
    "statistics": set(),
}


def part_of(path):
    """The name of a part: a module at the top of the package, or a folder there."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


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
    edges = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        part = part_of(path)
        if part != "__init__":
            found = {name for name in imports_of(path) if is_part(name)} - {part}
            edges.setdefault(part, set()).update(found)
    return edges


def is_part(name):
    return (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()


def reached_from(part):
    reached, todo = set(), [part]
    while todo:
        new = graph()[todo.pop()] - reached
        reached |= new
        todo += new
    return reached


def test_there_is_no_circle():
    assert list(TopologicalSorter(graph()).static_order())


@pytest.mark.parametrize("chain", CHAINS)
def test_imports_point_one_way(chain):
    parts = chain.split()
    for position, part in enumerate(parts):
        behind = reached_from(part) & set(parts[position + 1 :])
        assert not behind, f"{part} imports {sorted(behind)}, directly or through others"


@pytest.mark.parametrize("part", ONLY)
def test_leaves_stay_leaves(part):
    assert graph()[part] <= ONLY[part]


@pytest.mark.parametrize("part", ["data", "metrics", "nn", "kernels", "statistics", "results"])
def test_reaches_no_codec(part):
    assert not reached_from(part) & {"codec", "codecs", "registry"}


@pytest.mark.parametrize(
    "module", ["leaderboard", "results", "comparison", "published", "errors", "files"]
)
def test_needs_no_torch(module):
    if not (PACKAGE / f"{module}.py").is_file():
        pytest.skip(f"there is no {module}")
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
