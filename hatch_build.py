"""Compiles audiotok/kernels/csrc into a library when audiotok is installed or a wheel is built.

Where no C++ compiler is found, or it fails, one line says so and the installation goes on: the
kernels then run in PyTorch, with the same results. `python hatch_build.py` compiles in place.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by hand
    BuildHookInterface = object

KERNELS = Path(__file__).resolve().parent / "audiotok" / "kernels"
SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
LIBRARY = KERNELS / f"_search{SUFFIX}"

FLAGS = ["-O3", "-std=c++17", "-fPIC", "-fno-math-errno", "-fno-trapping-math"]
X86 = {
    "scalar": ["-DAUDIOTOK_LANES=1"],
    "avx2": ["-DAUDIOTOK_LANES=8", "-mavx2", "-mfma"],
    "avx512": ["-DAUDIOTOK_LANES=16", "-mfma"]
    + [f"-mavx512{part}" for part in ("f", "vl", "dq", "bw")],
}
ARM = {"scalar": ["-DAUDIOTOK_LANES=1"], "neon": ["-DAUDIOTOK_LANES=4"]}
INSTRUCTION_SETS = {"x86_64": X86, "amd64": X86, "aarch64": ARM, "arm64": ARM}


class BuildHook(BuildHookInterface):
    """Adds the library to the wheel, which then has a platform tag; without, the wheel is pure."""

    def initialize(self, version: str, build_data: dict) -> None:
        problem = compile_library()
        if problem:
            message = f"audiotok's compiled kernels were left out ({problem}); PyTorch stands in"
            self.app.display_warning(message)
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{wheel_platform()}"
        build_data["artifacts"].append(f"audiotok/kernels/{LIBRARY.name}")


def wheel_platform() -> str:
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")


def compile_library() -> str | None:
    """Compile csrc into LIBRARY; None, or in a few words why there is none."""
    LIBRARY.unlink(missing_ok=True)  # one of other sources would be worse than none
    compiler = find_compiler()
    if compiler is None:
        return "no C++ compiler found"
    sets = INSTRUCTION_SETS.get(platform.machine().lower(), {"scalar": X86["scalar"]})
    with tempfile.TemporaryDirectory() as folder:
        jobs = [(f"{name}.cpp", f"{name}.o", ["-ffp-contract=off"]) for name in ("search", "sums")]
        for name, flags in sets.items():
            named = [*flags, f"-DAUDIOTOK_KERNELS=kernels_{name}", "-ffp-contract=fast"]
            jobs.append(("tile.cpp", f"{name}.o", named))
        objects = [str(Path(folder, target)) for _, target, _ in jobs]
        commands = [
            [*compiler, *FLAGS, *flags, "-c", str(KERNELS / "csrc" / source), "-o", target]
            for (source, _, flags), target in zip(jobs, objects, strict=True)
        ]
        built = str(Path(folder, LIBRARY.name))
        commands.append([*compiler, "-shared", *objects, "-o", built, "-pthread"])
        for command in commands:
            try:
                done = subprocess.run(command, capture_output=True, text=True)
            except OSError as error:
                return f"{compiler[0]} cannot be run: {error.strerror}"
            if done.returncode:
                reason = next((x for x in done.stderr.splitlines() if "error" in x), "")
                return f"{compiler[0]} failed: {reason.strip()}"
        beside = LIBRARY.with_suffix(".tmp")
        shutil.copyfile(built, beside)
        os.replace(beside, LIBRARY)  # not in place: a running program may have the old one open
    return None


def find_compiler() -> list[str] | None:
    """$CXX where it is set, else the first of c++, g++, clang++ that is there."""
    if os.environ.get("CXX"):
        return shlex.split(os.environ["CXX"])
    return next(([name] for name in ("c++", "g++", "clang++") if shutil.which(name)), None)


if __name__ == "__main__":
    problem = compile_library()
    sys.exit(f"not compiled: {problem}" if problem else None)
