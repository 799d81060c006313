"""Resolves the base installation and every extra of a wheel, and names pairs that do not fit.

    python .ci/resolve.py audiotok-1.0.0rc1-py3-none-linux_x86_64.whl

pip chooses the versions, without constraints, and installs nothing. Then each chosen package is
compared with what the others say of it, in their extras too: transformers does not require torch,
but its extra names the oldest torch that it works with.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from email.parser import HeaderParser
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PAIRED = ("torch", "torchaudio", "transformers")  # whose versions must fit beyond what pip checks


def misfits(packages: Sequence[dict[str, Any]]) -> list[str]:
    """One line for each pair that does not fit.

    Args:
        packages: what pip's report says of each in "metadata": name, version, and where it has
            them requires_dist and provides_extra.
    """
    versions = {canonicalize_name(one["name"]): Version(one["version"]) for one in packages}
    found = []
    for one in packages:
        for requirement in map(Requirement, one.get("requires_dist", ())):
            version = versions.get(canonicalize_name(requirement.name))
            if requirement.name not in PAIRED or version is None:
                continue
            extras, marker = ["", *one.get("provides_extra", ())], requirement.marker
            applies = marker is None or any(marker.evaluate({"extra": name}) for name in extras)
            if any(part.operator == "==" for part in requirement.specifier):
                continue  # what its developers test with, or a pin that pip has checked
            if applies and not requirement.specifier.contains(version, prereleases=True):
                said = f"{requirement.name}{requirement.specifier}"
                found.append(f"{one['name']} {one['version']} needs {said}, not {version}")
    if {"torch", "torchaudio"} <= versions.keys():
        torch, torchaudio = versions["torch"], versions["torchaudio"]
        newer = torchaudio >= Version("2.11.1")  # older ones need their own torch and do not say so
        if not (torch >= Version("2.12") if newer else torch.release == torchaudio.release):
            found.append(f"torchaudio {torchaudio} does not work with torch {torch}")
    return found


def resolved(wheel: Path, extra: str) -> list[dict[str, Any]]:
    """The metadata of all that pip would install."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run"]
        command += ["--ignore-installed", "--report", str(report)]
        subprocess.run([*command, f"{wheel}[{extra}]" if extra else str(wheel)], check=True)
        return [one["metadata"] for one in json.loads(report.read_text())["install"]]


def extras_of(wheel: Path) -> list[str]:
    """The extras that the metadata of a wheel names."""
    with ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        text = archive.read(name).decode()
    return HeaderParser().parsestr(text).get_all("Provides-Extra", [])


def main(wheel: Path) -> int:
    """0 where all that resolves fits, else 1."""
    wrong = 0
    for extra in ["", *extras_of(wheel)]:
        packages = resolved(wheel, extra)
        paired = [f"{one['name']} {one['version']}" for one in packages if one["name"] in PAIRED]
        print(f"{extra or 'base'}: {len(packages)} packages, {', '.join(paired)}", flush=True)
        for line in misfits(packages):
            print(f"  {line}", flush=True)
            wrong = 1
    return wrong


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
