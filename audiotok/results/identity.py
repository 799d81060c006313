"""What a result depends on: data, tasks, weights, configuration, code and packages.

The identity decides whether a finished result is reused, whether the journal of a stopped run is
continued, and which cache entry is valid. Messages name what changed.

Code is the source of the files that define a codec or a task and of all their imports from audiotok
or the user; installed packages count by their version.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import re
import secrets
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiotok.codec import checkpoints
from audiotok.results import provenance

if TYPE_CHECKING:
    from audiotok.codec.codec import Codec
    from audiotok.tasks import Task

_PACKAGE = Path(__file__).parents[1]
_FOUND_BY_NAME = ("kernels", "mos")  # folders whose modules are imported at run time
_SOURCES = (".py", ".c", ".cpp", ".h")
_CONFIGURATIONS = ("config.json", "preprocessor_config.json")
_NOT_RUN = re.compile(r'"{3}.*?"{3}|^if TYPE_CHECKING:(?-s:.*\n(?:[ \t]+.*\n|\n)+)', re.M | re.S)
_OWN_IMPORTS = re.compile(
    r"^[ \t]*(from audiotok\S* import (?:\([^)]*\)|[^(\n]*)|import audiotok.*)", re.M
)
_INSTALLED = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
# Keys that older results do not have; they are compared only if both identities have them.
_NEW_KEYS = ("code.", "packages.", "codec.configuration", "codec.checkpoint_sha256")
_DESCRIPTIONS = {
    "code.codec": "code of the codec",
    "codec.configuration": "configuration of the codec",
}


def digest(content: Any) -> str:
    """Hex sha256 of a value as JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


# --- what changed ----------------------------------------------------------------------------


def changes(stored: Mapping[str, Any], current: Mapping[str, Any]) -> str:
    """The differences of two identities in one line; "" if there are none."""
    old, new = _flat(stored), _flat(current)
    changed = []
    for key in sorted(old.keys() | new.keys()):
        if key.startswith(_NEW_KEYS) and (key not in old or key not in new):
            continue
        if old.get(key) != new.get(key):
            changed.append(_description(key, old.get(key), new.get(key)))
    return ", ".join(changed)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Every key in which two mappings differ, with both values, for one line of text."""
    old, new = _flat(old), _flat(new)
    keys = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    return ", ".join(f"{key} {_short(old.get(key))} -> {_short(new.get(key))}" for key in keys)


def _description(key: str, old: Any, new: Any) -> str:
    if key in _DESCRIPTIONS:
        return _DESCRIPTIONS[key]
    if key.startswith("code.tasks."):
        return f"code of the task {key.removeprefix('code.tasks.')}"
    return f"{key.removeprefix('packages.')} {_short(old)} -> {_short(new)}"


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in content.items():
        nested = isinstance(value, Mapping)
        flat |= _flat(value, f"{prefix}{key}.") if nested else {prefix + key: value}
    return flat


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 20 else text[:12] + "…"


# --- parts of an identity --------------------------------------------------------------------


def packages(versions: Mapping[str, str] | None = None) -> dict[str, str]:
    """{package: version} of packages that affect scores, here or in `versions` of a result.

    Without the version of Python; 2.11.0+cpu is 2.11.0, since the device is stored separately.
    """
    versions = provenance.packages() if versions is None else versions
    return {name: text.partition("+")[0] for name, text in versions.items() if name != "python"}


def of_codec(codec: Codec) -> dict[str, str | None]:
    """The weights and the configuration of a codec: they distinguish codecs of one name."""
    card, network = codec.card, codec.network
    identity = {
        "fingerprint": codec.fingerprint,
        "network_sha256": network and checkpoints.network_sha256(network),
        "revision": card.weights and card.weights.revision,
        "configuration": _configuration(codec),
    }
    if network is None and codec.checkpoint:  # else network_sha256 covers it
        identity["checkpoint_sha256"] = checkpoints.sha256(codec.checkpoint)
    return identity


def _configuration(codec: Codec) -> str:
    """Digest of the card, and of the configurations in the folder of the weights."""
    location = Path(codec.card.base_name.removeprefix("hf:"))  # hf:FOLDER
    folder = codec.checkpoint.parent if codec.checkpoint else location
    paths = [folder / name for name in _CONFIGURATIONS if (folder / name).is_file()]
    files = {path.name: checkpoints.sha256(path) for path in paths}
    return digest({"card": codec.card.model_dump(mode="json"), "files": files})


# Packages that networks, resampling and the reading of sound use.
_ENCODING = ("torch", "torchaudio", "numpy", "scipy", "soundfile", "libsndfile", "soxr")
_ENCODING += ("transformers", "encodec", "ai-edge-litert", "s3tokenizer", "pycodec2")


def of_encoder(codec: Codec) -> dict[str, str]:
    """Equal identities give equal codes of equal sound, on the same kind of device.

    The fingerprint covers only the codebooks, which define the meaning of codes for the decoder.

    Returns:
        name: with options.
        fingerprint: of the codebooks.
        weights: digest of the numbers and of the configuration.
        code: sha256 of the source, as `code_sha256` says.
        packages: name and version of each that matters, as text.
    """
    inner = getattr(codec, "_codec", codec)  # of a codec that wraps another one
    outer_weights = of_codec(codec)
    weights = [outer_weights, outer_weights if inner is codec else of_codec(inner)]
    versions = packages()
    return {
        "name": codec.card.name,
        "fingerprint": codec.fingerprint,
        "weights": digest(weights),
        "code": code_sha256(type(codec)),
        "packages": ", ".join(f"{name} {versions[name]}" for name in _ENCODING if name in versions),
    }


def code_of_task(task: Task) -> str:
    """Hex sha256 of the code of a task and of the metrics that it computes."""
    return code_sha256(type(task), tuple(getattr(task, "chosen", task.computes)))


@cache  # a loaded class does not change when its file does
def code_sha256(kind: type, metrics: tuple[str, ...] = ()) -> str:
    """Hex sha256 of the source of the class `kind`, of its imports and of these metrics; a random
    value if there is no source."""
    todo = [path for name in metrics for path in _package_files(["metrics", name])]
    top = kind.__module__.partition(".")[0]
    for base in kind.__mro__[:-1]:
        try:
            path = Path(inspect.getsourcefile(base))
        except (TypeError, OSError):
            return secrets.token_hex(32)
        if base.__module__.partition(".")[0] == top or not _is_installed(path):
            todo.append(path)
    if top != "audiotok":  # a third-party package
        for folder in getattr(sys.modules.get(top), "__path__", ()):
            todo += Path(folder).rglob("*.py")
    files: set[Path] = set()
    while todo:
        if (path := _resolved(todo.pop())) not in files:
            files.add(path)
            todo += _imported(path)
    return digest(sorted([_stored_path(path), checkpoints.sha256(path)] for path in files))


@cache  # an import of a file of the package is seen once per file that imports it
def _resolved(path: Path) -> Path:
    return path.resolve()


def _stored_path(path: Path) -> str:
    """The path of a file within audiotok; for a file of the user, its name alone."""
    inside = path.is_relative_to(_PACKAGE)
    return path.relative_to(_PACKAGE).as_posix() if inside else path.name


@cache
def _imported(path: Path) -> list[Path]:
    """The files of audiotok and of the user that this one imports."""
    if path.suffix != ".py":
        return []
    is_own = path.is_relative_to(_PACKAGE)
    source = _import_statements(path.read_text(encoding="utf-8")) if is_own else path.read_bytes()
    files = []
    for name in _imported_names(ast.parse(source).body):
        parts = name.split(".")
        if parts[0] == "audiotok":
            files += _package_files(parts[1:])
        else:
            module = sys.modules.get(name) or sys.modules.get(name.rpartition(".")[0])
            file = getattr(module, "__file__", None)
            if file and not _is_installed(Path(file)):
                files.append(Path(file))
    return files


@cache
def _is_installed(path: Path) -> bool:
    """Whether a file belongs to the standard library or to an installed package."""
    return any(map(path.resolve().is_relative_to, _INSTALLED))


def _package_files(parts: list[str]) -> Iterator[Path]:
    """The files of audiotok that an import of this dotted name runs."""
    folder = _PACKAGE
    for part in parts:
        if (folder / f"{part}.py").is_file():
            yield folder / f"{part}.py"
        if not (folder := folder / part).is_dir():
            return
        if part in _FOUND_BY_NAME:
            yield from (path for path in folder.rglob("*") if path.suffix in _SOURCES)
        yield folder / "__init__.py"


def _import_statements(source: str) -> str:
    """The imports from audiotok in the source of one of its modules.

    Parsing whole modules took .2 s of each command. The patterns rely on the style of this package.
    """
    return "\n".join(_OWN_IMPORTS.findall(_NOT_RUN.sub("", source)))


def _imported_names(body: Iterable[ast.AST]) -> Iterator[str]:
    """Full names of the imports of these statements at run time; `from a import b` gives a.b."""
    for node in body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and getattr(node.test, "id", None) == "TYPE_CHECKING":
            continue
        else:
            for part in ("body", "orelse", "handlers", "finalbody", "cases"):
                yield from _imported_names(getattr(node, part, ()))
