"""The report of `audiotok doctor`: devices, packages, bundled files, available tasks."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re

import audiotok
from audiotok.results import provenance
from audiotok.system.dependencies import torchaudio_error


def lines() -> list[str]:
    """The lines of the report; an error in one section becomes a line of it."""
    report = [
        f"audiotok {audiotok.__version__}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}"
    ]
    sections = {
        "processors": _processors, "codebook search": _kernels, "torchaudio": _torchaudio,
        "packages": _packages, "files": _bundled, "tasks and metrics": _availability,
    }  # fmt: skip
    for name, section in sections.items():
        try:
            report += section()
        except Exception as reason:  # a broken installation may raise anything
            text = " ".join(str(reason).split())
            report.append(f"{name}: unknown, {type(reason).__name__}: {text}")
    return report


def _processors() -> list[str]:
    import torch

    from audiotok.tasks.speed import hardware

    gpu = "gpu: none that this torch can use"
    if torch.cuda.is_available():
        gpu = f"gpu: {hardware('cuda')}, CUDA {torch.version.cuda}: --device auto takes it"
    return [f"cpu: {hardware('cpu')}, {os.cpu_count()} cores", gpu]


def _kernels() -> list[str]:
    import torch

    from audiotok.kernels import dispatch

    if dispatch.path_for(torch.zeros(1)) == "compiled":
        return ["codebook search on the CPU: compiled"]
    return [
        "codebook search on the CPU: PyTorch, slower; install a C++ compiler, then audiotok again"
    ]


def _torchaudio() -> list[str]:
    """Whether torchaudio works with this torch."""
    if (error := torchaudio_error()) is not None:
        return [f"{error}; only asr_torchaudio and UTMOS need it"]
    versions = provenance.packages(("torch", "torchaudio"))
    return [f"torch {versions['torch']} and torchaudio {versions['torchaudio']} work together"]


def _packages() -> list[str]:
    """Base packages, then each extra: installed versions, missing packages, and how to get them."""
    required: dict[str, list[str]] = {}
    for requirement in importlib.metadata.requires("audiotok") or []:
        name = re.match(r"[\w.-]+", requirement)[0]
        extra = re.search(r"extra == ['\"]([\w-]+)", requirement)
        if extra is None or extra[1] != "all":
            required.setdefault(extra[1] if extra else "", []).append(name)
    report = [""]
    for extra, names in required.items():
        installed = provenance.packages(tuple(names))
        with_versions = ", ".join(f"{name} {installed.get(name, '(missing)')}" for name in names)
        report.append(f"{extra or 'base'}: {with_versions}")
        if missing := [name for name in names if name not in installed]:
            package = f"audiotok[{extra}]" if extra else "audiotok"
            report.append(f"  {', '.join(missing)} missing: pip install '{package}'")
    return report


def _bundled() -> list[str]:
    """Bundled weights, and whether they are intact; suites and recipes."""
    from audiotok.codec import checkpoints, registry
    from audiotok.system import assets

    report = [""]
    for card in registry.list_codecs():
        if card.weights is None or not card.weights.bundled or card.family == "random":
            continue
        try:
            size = checkpoints.resolve(card).stat().st_size
            report.append(f"bundled {card.name}: {size / 1e6:.1f} MB")
        except audiotok.errors.AudiotokError as error:
            report.append(f"bundled {card.name}: {error}")
    report += (f"suite {name}" for name in assets.names("benchmarks"))
    return report + [f"recipe {name}" for name in assets.names("recipes")]


def _availability() -> list[str]:
    """Tasks and metrics, and whether they can run on this machine."""
    from audiotok import metrics, tasks

    report = [""]
    for task in tasks.list_tasks():
        report.append(f"task {task.name}: {task.available() or 'ready'}")
        report += [f"  {column}: {reason}" for column, reason in task.left_out().items()]
    missing = {metric.name: metric.missing() for metric in metrics.list_metrics()}
    ready = ", ".join(name for name, error in missing.items() if error is None)
    return [*report, f"metrics ready: {ready}"]
