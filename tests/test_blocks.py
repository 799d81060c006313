"""Every code block of README.md and docs/ runs, on small inputs.

A block that is not run has `<!-- not run: REASON -->` above it; SKIPPED repeats all of these, so
that none is added by accident. What is changed to keep the test small stands in SMALLER.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiotok import cli, data
from audiotok.cli import show

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
DATA = ("tsv", "csv", "json", "")  # languages of fences that hold data: tests/data/test_formats.py

SKIPPED = {
    "README.md": ["installs packages from the network", "trains for hours"],
    "docs/dev/conformance.md": ["takes minutes; the checks have tests of their own"],
    "docs/dev/design.md": ["trains for hours", "a drawing", "a drawing"],
    "docs/compression.md": [
        "needs the times of words",
        "trains probes and language models, hours",
    ],
    "docs/tts.md": [
        "needs trained models",
        "needs trained models",
        "trains for hours",
        "needs trained models",
    ],
    "docs/hub.md": ["writes to the Hub", "reads from the Hub"],
    "docs/lyra.md": ["downloads official weights"],
    "docs/qwen3-tts.md": ["downloads official weights"],
    "docs/units.md": [
        "downloads official weights",
        "needs a file of centroids",
        "takes minutes",
    ],
    "docs/lm-spt.md": ["downloads the weights of LM-SPT", "trains for days"],
    "docs/lm.md": [
        "trains a language model, minutes",
        "needs pairs that are downloaded",
        "needs pairs that are downloaded",
        "trains for days",
    ],
    "docs/samples.md": ["needs the published sounds"],
    "docs/verify.md": ["needs a network", "writes into the package"],
    "docs/tensors.md": ["needs a GPU", "part of a training loop", "downloads the weights of Mimi"],
    "docs/scale.md": [
        "needs the package datasets",
        "needs a Ray cluster",
    ],
    "docs/site.md": ["tests/test_docs_site.py runs it"],
    "docs/tokens.md": ["trains probes, minutes"],
    "docs/training.md": ["trains for hours", "trains for hours", "trains for hours"],
    "docs/downstream.md": [
        "trains models, minutes per codec",
        "needs a corpus",
        "needs a trained model",
    ],
}
SMALLER = {  # pattern: replacement, in every line that runs
    r"^(audiotok bench .*)": r"\1 --limit 1 --no-baselines --workers 0",
    r"^(audiotok bench (?!.*-s tokens).*)": r"\1 --tasks reconstruction",
    r"^(audiotok bench .*-s tokens.*)": r"\1 --tasks tokens --data bundled",
    r"^(audiotok report .*)": r"\1 --clips awb_0",
    r"^(audiotok encode \S+/ .*)": r"\1 --workers 0",
    r"^(audiotok compare --published)": rf"\1 --results {ROOT / 'results'}",
    r"^(audiotok check .*)": r"\1 --help",  # test_testing.py runs the checks
    r"^(audiotok model-index) my-codec > README.md$": r"\1 wavtokenizer-mini --results committed",
    r"^(audiotok \w+ .*)wavtokenizer-mini,rvq-small": r"\1rvq-small",
    r'(audiotok\.bench\(.*"path/to/recordings")': r'\1, limit=1, tasks=["reconstruction"], '
    "baselines=False, workers=0",
    r"^check_codec\(codec\)": "check_codec",
    r"in examine\(codec\)": "in ()",
}
NEEDS = {"docs/onnx.md": "onnx"}  # a package that is not installed everywhere
BEFORE = {  # what a document takes for granted
    "docs/dev/kernels.md": "import torch\n"
    "latents, codebooks = torch.rand(9, 4), torch.rand(2, 8, 4)\n"
    "codebook = codebooks[0]",
}


def name(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


def blocks(document: Path) -> list[tuple[int, str, str, str | None]]:
    """(line, language, text, reason not to run it) of each block, fenced or indented."""
    found, lines, reason, i = [], document.read_text().splitlines(), None, 0
    while i < len(lines):
        fence = re.match(r"```(\w*)", lines[i])
        indented = lines[i].startswith("    ") and (i == 0 or not lines[i - 1].strip())
        if comment := re.fullmatch(r"<!-- (?:not run: (.+)|run) -->", lines[i]):
            reason = comment[1]
        elif fence or indented:
            start, i = i, i + 1
            while i < len(lines) and not (
                lines[i].startswith("```")
                if fence
                else lines[i].strip() and not lines[i].startswith("    ")
            ):
                i += 1
            text = [line.removeprefix("    ") if indented else line for line in lines[start:i]]
            text = "\n".join(text[1:] if fence else text).strip()
            language = fence[1] if fence else "sh" if text.startswith("audiotok ") else "python"
            found.append((start + 1, language, text, reason))
            reason = None
            i += not indented
            continue
        elif lines[i].strip():
            reason = None
        i += 1
    return found


def smaller(line: str) -> str:
    for pattern, replacement in SMALLER.items():
        line = re.sub(pattern, replacement, line)
    return line


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """What the documents name: recordings, a codec, results; copied for each document."""
    folder = tmp_path_factory.mktemp("files")
    speech = data.load("bundled").clips[0].read().waveform[0, :16_000].numpy()
    for path in ("talk", "path/to/recordings/one", "LibriSpeech/one", "LibriSpeech/two"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"{path}.wav", speech, 16_000)
    soundfile.write(folder / "stereo.wav", np.stack([speech, speech], 1), 16_000)
    shutil.copy(ROOT / "tests/support/tiny_codec.py", folder / "my_codec.py")
    setting = next((ROOT / "results/smoke-v2").glob("bundled-*"))
    for codec in ("reference", "wavtokenizer-mini", "opus-6k", "random"):
        for results in ("committed", "results"):
            shutil.copytree(setting / codec, folder / results / "smoke-v2" / setting.name / codec)
    return folder


def test_blocks_that_are_not_run_are_these():
    marked = {name(path): [b[3] for b in blocks(path) if b[3]] for path in DOCUMENTS}
    assert {path: reasons for path, reasons in marked.items() if reasons} == SKIPPED


def test_blocks_are_found(tmp_path):
    document = tmp_path / "d.md"
    document.write_text(
        "text\n\n    audiotok a\n\n    audiotok b\n\n<!-- not run: why -->\n\n    import c\n\n"
        "text\n    no block\n\n<!-- not run: other -->\n```python\nd\n```\n\n```csv\ne\n```\n"
    )
    assert blocks(document) == [
        (3, "sh", "audiotok a\n\naudiotok b", None),
        (9, "python", "import c", "why"),
        (15, "python", "d", "other"),
        (19, "csv", "e", None),
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_blocks_run(document, files, tmp_path, monkeypatch, capsys):
    if needed := NEEDS.get(name(document)):
        pytest.importorskip(needed, reason=f"{needed} is not installed")
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("audiotok.report.site.browser.make", lambda root: None)  # test_try.py
    scope: dict = {}
    exec(BEFORE.get(name(document), ""), scope)
    for line, language, text, reason in blocks(document):
        if reason or language in DATA:
            continue
        where = f"{name(document)}, line {line}"
        if language == "python":
            text = "\n".join(map(smaller, text.splitlines()))
            exec(compile(text, where, "exec"), scope)
            continue
        for command in filter(None, text.splitlines()):
            words = shlex.split(smaller(re.sub(r"\s+#.*", "", command)))
            assert words[0] == "audiotok", f"{where}: {command}"
            monkeypatch.setattr(sys, "argv", words)
            monkeypatch.setattr(show.out, "_file", None)
            with pytest.raises(SystemExit) as ended:
                cli.main()
                raise SystemExit(0)
            assert not ended.value.code, f"{where}: {command}\n{capsys.readouterr().err}"
