from __future__ import annotations

import ast
import importlib.util
import json
import sys
from pathlib import Path

import pytest
from support import bench_kit

import audiotok
from audiotok import tasks
from audiotok.codec import families
from audiotok.codecs.classical import MuLaw, Opus
from audiotok.harness import harness
from audiotok.harness.plan import Observer
from audiotok.harness.settings import BenchSettings
from audiotok.results import identity, results
from audiotok.results.identity import changes, code_sha256

HELD = {
    "audiotok": "0.1.0",
    "data": {"sha256": "a" * 64},
    "tasks": {"level": {"task": 1}},
    "codec": {"name": "x", "fingerprint": "f" * 64, "configuration": "c" * 64},
    "code": {"codec": "1" * 64, "tasks": {"level": "2" * 64}},
    "packages": {"torch": "2.10.0", "pesq": "0.0.4"},
}


def changed(**parts):
    return json.loads(json.dumps(HELD)) | parts


def test_what_changed_is_said_in_words():
    assert changes(HELD, changed()) == ""
    now = changed(
        code={"codec": "3" * 64, "tasks": {"level": "4" * 64}},
        packages={"torch": "2.11.0", "pesq": "0.0.4"},
        tasks={"level": {"task": 2}},
        codec=HELD["codec"] | {"configuration": "d" * 64},
    )
    assert changes(HELD, now) == (
        "code of the codec, code of the task level, configuration of the codec, "
        "torch 2.10.0 -> 2.11.0, tasks.level.task 1 -> 2"
    )


def test_what_older_results_do_not_hold_is_not_compared():
    old = {key: HELD[key] for key in ("audiotok", "data", "tasks")} | {"codec": {"name": "x"}}
    old["codec"]["fingerprint"] = "f" * 64
    assert changes(old, HELD) == ""
    assert changes(old, changed(audiotok="0.2.0")) == "audiotok 0.1.0 -> 0.2.0"
    more = changed(packages=HELD["packages"] | {"jiwer": "4.0"})
    assert changes(HELD, more) == "" == changes(more, HELD)


def test_a_build_of_a_package_and_python_are_no_other_version():
    versions = identity.packages({"python": "3.11.7", "torch": "2.11.0+cpu"})
    assert versions == {"torch": "2.11.0"}
    assert "libsndfile" in identity.packages() and "torch" in identity.packages()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package in the place of audiotok, of few files."""
    root = tmp_path / "audiotok"
    files = {
        "codec.py": "from audiotok.errors import X\n",
        "errors.py": "",
        "codecs/classical.py": "import numpy\nfrom audiotok.codec import Codec\n"
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from audiotok.cli.show import Y\n"
        "def late():\n    from audiotok.kernels import search\n",
        "codecs/other.py": "",
        "kernels/__init__.py": "",
        "kernels/found.cpp": "",
        "metrics/__init__.py": "",
        "metrics/pesq.py": "from audiotok import errors\n",
        "metrics/stoi.py": "",
        "show.py": "",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.setattr(identity, "_PACKAGE", root)
    monkeypatch.setattr(
        identity.inspect, "getsourcefile", lambda kind: root / "codecs/classical.py"
    )

    def now(metrics=()):
        code_sha256.cache_clear()
        identity._imported.cache_clear()
        return code_sha256(Opus, metrics)

    yield root, now
    code_sha256.cache_clear()
    identity._imported.cache_clear()


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("codecs/classical.py", True),
        ("codec.py", True),
        ("errors.py", True),
        ("kernels/found.cpp", True),
        ("codecs/other.py", False),
        ("show.py", False),
        ("metrics/stoi.py", False),
    ],
)
def test_code_is_what_a_class_is_written_in_and_what_that_imports(package, name, counts):
    root, now = package
    before = now()
    (root / name).write_text((root / name).read_text() + "# changed")
    assert (now() != before) == counts


def test_metrics_that_a_task_gets_by_name_count(package):
    root, now = package
    before, other = now(("pesq",)), now(("stoi",))
    (root / "metrics/pesq.py").write_text("changed = 1")
    assert now(("pesq",)) != before and now(("stoi",)) == other


def test_tasks_name_their_metrics():
    task = tasks.get("reconstruction")
    assert set(task.chosen) > {"pesq", "stoi"}
    assert tasks.get("robustness").computes == ("mel_distance", "stoi")


def test_modules_of_the_user_count_and_installed_ones_do_not(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    Path(tmp_path / "nets.py").write_text("scale = 1\n")
    Path(tmp_path / "mine.py").write_text(bench_kit.CODEC + "\nimport numpy\nimport nets\n")

    def now():
        code_sha256.cache_clear()
        identity._imported.cache_clear()
        spec = importlib.util.spec_from_file_location("mine", tmp_path / "mine.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "mine", module)
        spec.loader.exec_module(module)
        return code_sha256(module.Shy)

    before = now()
    assert now() == before
    Path(tmp_path / "nets.py").write_text("scale = 2\n")
    assert now() != before
    code_sha256.cache_clear()
    identity._imported.cache_clear()


def test_a_class_without_source_is_never_the_same():
    kinds = [type("Made", (), {"__module__": "nowhere"}) for _ in range(2)]
    assert code_sha256(kinds[0]) != code_sha256(kinds[1])


def test_a_configuration_beside_the_weights_counts(tmp_path):
    codec = MuLaw(MuLaw.CARDS[0], "cpu", None)
    codec.checkpoint = tmp_path / "model.safetensors"
    codec.checkpoint.write_bytes(b"x")
    before = identity.of_codec(codec)
    (tmp_path / "config.json").write_text('{"eps": 1}')
    after = identity.of_codec(codec)
    assert changes({"codec": before}, {"codec": after}) == "configuration of the codec"
    codec.checkpoint.write_bytes(b"y")
    assert identity.of_codec(codec)["checkpoint_sha256"] != after["checkpoint_sha256"]


# --- in a run --------------------------------------------------------------------------------


class Notes(Observer):
    def __init__(self):
        self.notes: list[str] = []

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def kit(tmp_path, monkeypatch):
    bench_kit.install(monkeypatch.setattr)
    monkeypatch.chdir(tmp_path)
    Path("shy.py").write_text(bench_kit.CODEC)
    bench_kit.write_suite(Path("tiny.yaml"), tasks=["level"])
    bench_kit.write_clips(Path("clips"), ["a", "b", "c"])


def run(tokenizer="shy.py", **options):
    families._imported.cache_clear()  # as in a new process
    code_sha256.cache_clear()
    observer = Notes()
    about = {"data": "clips", "suite": "tiny.yaml", "workers": 0} | options
    results = harness.run(BenchSettings(tokenizer=tokenizer, **about), observer)
    return {result.codec: result for result in results}, observer.notes


LOUDER = bench_kit.CODEC.replace("(codes - 128) / 128", "(codes - 128) / 64")


def test_an_edited_codec_is_measured_again(kit):
    first, _ = run()
    assert any("shy: measured before" in note for note in run()[1])
    Path("shy.py").write_text(LOUDER)
    second, notes = run()
    assert "shy: measured again, because this changed: code of the codec" in notes
    assert any("mulaw: measured before" in note for note in notes)
    old, new = (results["shy"].scores["level_error"]["mean"] for results in (first, second))
    assert new != old
    truth, _ = run(reuse="fresh", out="truth")
    assert truth["shy"].rows.equals(second["shy"].rows)


def test_a_stopped_run_does_not_go_on_with_other_code(kit, monkeypatch):
    body = bench_kit.Level.score
    with monkeypatch.context() as patch:

        def stopped(self, item):
            if item.clip.id == "c" and item.tokens is not None:
                raise KeyboardInterrupt
            return body(self, item)

        patch.setattr(bench_kit.Level, "score", stopped)
        with pytest.raises(KeyboardInterrupt):
            run()
    Path("shy.py").write_text(LOUDER)
    results, notes = run()
    message = "shy: 2 clips of a stopped run are measured again: code of the codec"
    assert message in notes and not any("goes on" in note for note in notes if "shy" in note)
    truth, _ = run(reuse="fresh", out="truth")
    assert truth["shy"].rows.equals(results["shy"].rows)
    assert not list(Path("results").rglob("run-*"))


def test_results_of_other_packages_are_measured_again(kit):
    measured, _ = run("mulaw")
    result = measured["mulaw"]
    content = result.summary | {"packages": result.summary["packages"] | {"torch": "2.4.0"}}
    sealed = result.run | {"summary_sha256": results.content_sha256(content)}
    results.write_json(result.folder / "summary.json", content)
    results.write_json(result.folder / "run.json", sealed)
    again, notes = run("mulaw")
    assert any("mulaw: measured again, because this changed: torch 2.4.0 -> " in n for n in notes)
    assert again["mulaw"].summary["packages"]["torch"] != "2.4.0"


def test_results_of_older_versions_are_decided_by_what_they_hold(kit):
    measured, _ = run("mulaw")
    result = measured["mulaw"]
    plan = {key: value for key, value in result.summary["plan"].items() if key != "code"}
    plan["codec"] = {k: v for k, v in plan["codec"].items() if k != "configuration"}
    results.write_json(result.folder / "summary.json", result.summary | {"plan": plan})
    assert any("mulaw: measured before" in note for note in run("mulaw")[1])
    plan["seed"] = 7
    results.write_json(result.folder / "summary.json", result.summary | {"plan": plan})
    assert any("this changed: seed 7 -> 0" in note for note in run("mulaw")[1])


def test_import_statements_are_found_without_parsing_whole_modules():
    """Of each module of audiotok, exactly the imports that a full parse finds."""
    package = Path(audiotok.__file__).parent
    for path in package.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        whole = identity._imported_names(ast.parse(source).body)
        found = identity._imported_names(ast.parse(identity._import_statements(source)).body)
        own = [name for name in whole if name.partition(".")[0] == "audiotok"]
        assert sorted(found) == sorted(own), path


def test_code_of_a_user_may_declare_its_encoding(tmp_path):
    path = tmp_path / "mine.py"
    path.write_bytes(
        "# -*- coding: latin-1 -*-\nfrom audiotok import errors\nname = 'é'\n".encode("latin-1")
    )
    assert "errors.py" in [file.name for file in identity._imported(path)]
