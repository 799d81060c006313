"""Where a number came from: versions, commit, machine, command. Imports no heavy package."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from audiotok.system.dependencies import version_of
from audiotok.system.files import readable

# Packages whose version may change a score.
PACKAGES = (
    "torch", "torchaudio", "numpy", "scipy", "librosa", "soundfile", "soxr", "pesq", "swift-f0",
    "visqol-python", "ai-edge-litert", "speechmos", "onnxruntime", "jiwer", "pocketsphinx",
    "Resemblyzer", "transformers", "ctranslate2", "whisper-normalizer", "distillmos", "pandas",
    "pyarrow", "encodec", "s3tokenizer", "pycodec2",
)  # fmt: skip


def packages(names: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """{package: version} of installed packages, of Python, and of libsndfile, which codes Opus and
    reads files; it is part of the package soundfile or of the system."""
    versions = {name: installed for name in names if (installed := version_of(name)) is not None}
    with suppress(ImportError, OSError):
        import soundfile

        versions["libsndfile"] = soundfile.__libsndfile_version__
    return {"python": platform.python_version()} | versions


def git() -> dict[str, str | bool] | None:
    """Commit of this checkout, and whether the package differs from it; None outside of one."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None

    def run(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        dirty = bool(run("status", "--porcelain", "--", "audiotok", "benchmarks"))
        return {"commit": run("rev-parse", "HEAD"), "dirty": dirty}
    except (OSError, subprocess.CalledProcessError):
        return None


def command() -> str:
    """The command line of this process."""
    return readable(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]))
