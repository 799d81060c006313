"""Without torchaudio almost everything works; what the package imports is declared."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from audiotok.errors import DependencyError
from audiotok.system import dependencies

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
UNDEFINED = "OSError('libtorchaudio.abi3.so: undefined symbol: torch_library_impl')"
BROKEN = f"raise {UNDEFINED}"
MISSING = "import sys; sys.modules['torchaudio'] = None"
MEND = "pip install -U 'torch>=2.12' 'torchaudio>=2.11.1'"


@pytest.fixture(params=["broken", "missing"])
def run(request, tmp_path):
    """Runs audiotok in a process whose torchaudio is broken, or not there."""
    if request.param == "broken":
        (tmp_path / "torchaudio").mkdir()
        (tmp_path / "torchaudio/__init__.py").write_text(BROKEN)
    else:
        (tmp_path / "sitecustomize.py").write_text(MISSING)
    paths = os.pathsep.join([str(tmp_path), str(ROOT), str(ROOT / "tests")])

    def run(*words):
        return subprocess.run(
            [sys.executable, *words], capture_output=True, text=True, cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": paths},
        )  # fmt: skip

    run.how = request.param
    return run


PROGRAM = """
import sys, warnings
from pathlib import Path
from unittest.mock import patch
import numpy as np, soundfile, torch
import audiotok
from audiotok import cli, metrics, tasks
from audiotok.codecs import _transformers
from audiotok.errors import DependencyError
from audiotok.judges.asr.bundles import Bundle
from audiotok.nn.log_mel import LogMel
from audiotok.nn.losses import MelSpectrogram
from support.training_kit import write_corpus, write_recipe

warnings.simplefilter("ignore")
torch.set_num_threads(1)
Path("corpus").mkdir()
corpus = write_corpus(Path("corpus"))
write_recipe(Path("tiny.yaml"), corpus)
soundfile.write("a.wav", np.sin(np.arange(8000) / 9), 16000)
COMMANDS = (
    "list", "info mimi-8", "doctor",
    "encode a.wav -t wavtokenizer-mini -o a.atok", "decode a.atok -o b.wav",
    "encode corpus -t mulaw -o tokens --workers 0",
    "bench -t mulaw -o results --limit 1 --workers 0 --no-baselines",
    "train tiny.yaml steps=4 --out run",
)
how = sys.argv[1]
for words in COMMANDS if how == "broken" else COMMANDS[:4]:  # all once, they take long
    with patch("sys.argv", ["audiotok", *words.split()]):
        try:
            cli.main()
        except SystemExit as stopped:
            assert not stopped.code, words
sound = audiotok.Audio(torch.randn(1, 8000).clamp(-1, 1), 8000)
metrics.compute(["loudness"], reference=sound, reconstruction=sound)
LogMel(), MelSpectrogram(16000, 400, 160, 80)
assert "torchaudio" in str(Bundle().missing())
assert "torchaudio" in str(tasks.get("asr_torchaudio").available())
try:
    _transformers.known_class("MimiModel", "mimi-8")
except DependencyError as error:
    print(error, file=sys.stderr)
"""


def test_all_but_two_judges_work_without_torchaudio(run, tmp_path):
    pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    done = run("-c", PROGRAM, run.how)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    doctor = "only asr_torchaudio and UTMOS need it"
    [line] = [line for line in done.stdout.splitlines() if doctor in line]
    assert MEND in line
    assert ("undefined symbol" if run.how == "broken" else "torchaudio is not installed") in line
    assert MEND in done.stderr  # its metadata are there, so transformers would import it and fail
    assert (tmp_path / "run/model.safetensors").exists() == (run.how == "broken")


def test_doctor_survives_a_broken_torch(tmp_path):
    (tmp_path / "torch.py").write_text("raise OSError('libcudart.so: cannot open')")
    paths = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", "audiotok", "doctor"], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "processors: unknown, OSError: libcudart.so: cannot open" in done.stdout
    assert "base: " in done.stdout


def test_a_working_torchaudio_is_given():
    assert dependencies.torchaudio_error() is None
    assert dependencies.torchaudio().functional.resample


def test_any_failure_of_the_import_is_explained(monkeypatch):
    def fail(name):
        raise RuntimeError("PyTorch has CUDA version 13.0\nwhereas torchaudio has 12.8")

    monkeypatch.setattr("importlib.import_module", fail)
    with pytest.raises(DependencyError) as caught:
        dependencies.torchaudio()
    assert "RuntimeError: PyTorch has CUDA version 13.0 whereas" in str(caught.value)
    assert "\n" not in str(caught.value) and MEND in str(caught.value)


def test_the_command_installs_what_the_package_asks_for():
    assert set(dependencies.FITTING) <= set(PROJECT["dependencies"])


def imported_at(path):
    """(package, line) of every import of a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module]
        yield from ((name.partition(".")[0], node.lineno) for name in names)


def test_torchaudio_is_imported_in_one_place():
    for path in (ROOT / "audiotok").rglob("*.py"):
        result = [line for name, line in imported_at(path) if name == "torchaudio"]
        assert not result, f"{path}:{result}: use audiotok.system.dependencies.torchaudio()"


def test_what_is_imported_is_declared_and_what_is_declared_is_imported():
    """What only comes along with another package can vanish with its next release."""
    renamed = {"yaml": "pyyaml", "visqol": "visqol-python", "sklearn": "scikit-learn"}
    used = {name for path in (ROOT / "audiotok").rglob("*.py") for name, _ in imported_at(path)}
    used -= {*sys.stdlib_module_names, "audiotok"}
    used -= {"triton", "IPython"}  # torch brings triton where it runs; a notebook has IPython
    used = {renamed.get(name, name).replace("_", "-").lower() for name in used}
    extras = PROJECT["optional-dependencies"]

    def plain(requirements):
        return {re.match(r"[\w.-]+", one)[0].lower().replace("_", "-") for one in requirements}

    base = plain(PROJECT["dependencies"])
    anywhere = base.union(*(plain(extras[name]) for name in extras if name != "dev"))
    # torchaudio by dependencies.torchaudio; the others are for users, and peers in tests
    assert base <= used | {"torchaudio", "librosa", "encodec"}
    assert used <= anywhere, "declare these in pyproject.toml"


def test_the_tested_versions_are_in_the_declared_ranges():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.lower().replace("_", "-").split("==") for line in lines if "==" in line)
    extras = PROJECT["optional-dependencies"]
    result = [Requirement(one) for one in sum(extras.values(), PROJECT["dependencies"])]
    result = [one for one in result if one.name.lower() != "audiotok"]
    outside = [
        f"{one} is not {pins.get(one.name.lower().replace('_', '-'))}"
        for one in result
        if pins.get(one.name.lower().replace("_", "-"), "nothing") not in one.specifier
    ]
    assert not outside
