"""The check of CI that versions which pip chooses together fit (.ci/resolve.py)."""

import importlib.util
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
spec = importlib.util.spec_from_file_location("resolve", ROOT / ".ci/resolve.py")
resolve = importlib.util.module_from_spec(spec)
spec.loader.exec_module(resolve)

FIT = [("2.12.0", "2.11.1"), ("2.14.1+cu130", "2.11.1+cu132"), ("2.11.0", "2.11.0")]
BROKEN = [("2.11.0", "2.11.1"), ("2.10.0", "2.11.0"), ("2.12.0", "2.11.0"), ("2.14.1", "2.10.0")]


def package(name, version, *requires, extras=()):
    """As pip's report describes it."""
    found = {"name": name, "version": version, "provides_extra": list(extras)}
    return found | {"requires_dist": list(requires)}


@pytest.mark.parametrize(("torch", "torchaudio"), FIT + BROKEN)
def test_torch_and_torchaudio(torch, torchaudio):
    found = resolve.misfits([package("torch", torch), package("torchaudio", torchaudio)])
    if (torch, torchaudio) in FIT:
        assert found == []
    else:
        assert found == [f"torchaudio {torchaudio} does not work with torch {torch}"]


def test_no_broken_pair_is_in_the_declared_ranges():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {one.name: one.specifier for one in map(Requirement, project["dependencies"])}
    for torch, torchaudio in BROKEN:
        assert torch not in declared["torch"] or torchaudio not in declared["torchaudio"]
    assert "2.14.1" in declared["torch"] and "2.11.1" in declared["torchaudio"]


def test_what_packages_say_of_each_other_in_extras():
    """The extra that nobody asked for tells which version works, unless it is an exact pin."""
    wanted = 'torch>=2.4; extra == "torch"'
    for torch, wrong in (
        ("2.3.1", ["transformers 5.24.0 needs torch>=2.4, not 2.3.1"]),
        ("2.4", []),
    ):
        chosen = [package("transformers", "5.24.0", wanted, extras=["torch"])]
        assert resolve.misfits([*chosen, package("torch", torch)]) == wrong
    pinned = package("datasets", "5.2.0", 'torch==2.0.1; extra == "tests"', extras=["tests"])
    assert resolve.misfits([pinned, package("torch", "2.14.1")]) == []
    elsewhere = package("x", "1", 'torch<2; sys_platform == "plan9"')
    assert resolve.misfits([elsewhere, package("torch", "2.14.1")]) == []


def test_every_extra_is_resolved_and_a_misfit_fails(tmp_path, monkeypatch, capsys):
    wheel = tmp_path / "audiotok-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("audiotok-1.dist-info/METADATA", "Provides-Extra: a\nProvides-Extra: b\n")
    asked, torchaudio = [], {"": "2.11.1", "a": "2.11.1", "b": "2.11.0"}

    def resolved(path, extra):
        asked.append(extra)
        return [package("torch", "2.14.1"), package("torchaudio", torchaudio[extra])]

    monkeypatch.setattr(resolve, "resolved", resolved)
    assert resolve.main(wheel) == 1 and asked == ["", "a", "b"]
    out = capsys.readouterr().out
    assert out.count("does not work") == 1 and out.rstrip().endswith("with torch 2.14.1")
    torchaudio["b"] = "2.11.1"
    assert resolve.main(wheel) == 0
