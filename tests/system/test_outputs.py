"""No command destroys a file: not its input, and no other one that it was not told to replace."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from support import bench_kit

from audiotok import corpora
from audiotok.codec import registry
from audiotok.errors import AudiotokError, CorpusError, RecipeError, ResultsError, TokensError
from audiotok.report import leaderboard
from audiotok.system import outputs
from audiotok.testing import record
from audiotok.training.folder import Folder


def contents(folder="."):
    return {
        path: path.read_bytes()
        for path in Path(folder).rglob("*")
        if path.is_file() and not path.name.startswith(".") and "cache" not in path.parts
    }


@pytest.fixture
def refused(audiotok):
    """Runs a command that must be one line and exit code 2, and change no file."""

    def run(command: str, message: str) -> None:
        before = contents()
        code, _, err = audiotok(*command.split())
        lines = [line for line in err.splitlines() if line.startswith("audiotok: ")]
        assert code == 2 and len(lines) == 1, err
        assert message in lines[0]
        assert contents() == before

    return run


@pytest.mark.parametrize("verb", ["reconstruct", "encode"])
@pytest.mark.parametrize("flag", ["", " --overwrite"])
def test_the_input_is_never_written(refused, verb, flag):
    os.symlink("a.wav", "clips/link.wav")
    os.link("clips/a.wav", "hard.wav")
    os.symlink("clips", "folder")
    same = ["clips/a.wav", "clips/../clips/a.wav", "clips/link.wav", "hard.wav", "folder/a.wav"]
    same += [str(Path("clips/a.wav").absolute()), "folder", "clips/"]
    for out in same:
        message = "is the input" if verb == "reconstruct" else "ends in .atok"
        if Path(out).is_dir() and verb == "encode":
            continue
        refused(f"{verb} clips/a.wav -t mulaw -o {out}{flag}", message)


def test_the_input_is_never_written_where_names_ignore_case(refused, monkeypatch):
    """As on a file system that ignores case: both names are one file."""
    stat = os.stat
    fold = {"CLIPS/A.wav": "clips/a.wav"}
    monkeypatch.setattr(os, "stat", lambda path, **k: stat(fold.get(str(path), path), **k))
    refused("reconstruct clips/a.wav -t mulaw -o CLIPS/A.wav --overwrite", "is the input")


def test_folders_of_input(refused, audiotok):
    for out in ("clips", "clips/../clips"):
        for flag in ("", " --overwrite"):
            refused(f"reconstruct clips -t mulaw -o {out}{flag}", "is the input")
    assert audiotok("encode", "clips", "-t", "mulaw", "-o", "clips", "-f", "atok")[0] == 0
    names = sorted(path.name for path in Path("clips").iterdir())
    assert names == ["a.atok", "a.wav", "b.atok", "b.wav"]  # tokens beside sound destroy nothing
    assert audiotok("decode", "clips", "-o", "back")[0] == 0
    refused("decode clips -o clips", "clips/a.wav exists already (2 of 2 outputs do)")


def test_what_exists_is_replaced_on_request_alone(refused, audiotok):
    shutil.copy("clips/a.wav", "talk.wav")
    for command, out in (
        ("encode clips/a.wav -t mulaw -o a.atok", "a.atok"),
        ("decode a.atok -o talk.wav", "talk.wav"),
        ("reconstruct clips/a.wav -t mulaw -o talk.wav", "talk.wav"),
        ("encode clips -t mulaw -f atok -o tokens", "tokens/b.atok"),
        ("decode tokens -o sound", "sound/b.wav"),
        ("reconstruct clips -t mulaw -o again", "again/b.wav"),
    ):
        if not Path(out).exists():
            Path(out).parent.mkdir(exist_ok=True)
            Path(out).write_bytes(b"mine")
        refused(command, f"{out} exists already")
        code, _, err = audiotok(*command.split(), "--overwrite")
        assert code == 0, err
        assert Path(out).read_bytes() != b"mine"


def test_shards_to_sound(refused, audiotok):
    words = ["encode", "clips", "-t", "mulaw", "-o", "tokens", "--workers", "0"]
    assert audiotok(*words)[0] == 0
    assert audiotok(*words)[0] == 0  # goes on
    Path("sound").mkdir()
    Path("sound/b.wav").write_bytes(b"mine")
    refused("decode tokens -o sound", "sound/b.wav exists already (1 of 2 outputs do)")
    refused("decode tokens -o sound.wav", "names a file")
    assert audiotok("decode", "tokens", "-o", "sound", "--overwrite")[0] == 0


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("encode clips/a.wav -t mulaw -o new.wav", "ends in .atok"),
        ("encode clips/a.wav -t mulaw -o new", "ends in .atok"),
        ("encode clips/a.wav clips/b.wav -t mulaw -o new.atok", "names a file"),
        ("encode clips -t mulaw -o new.atok", "names a file"),
        ("encode clips -t mulaw -o new.wav", "names a file"),
        ("decode a.atok -o b.atok", "ends in .wav or .flac"),
        ("decode a.atok -o b.txt", "ends in .wav or .flac"),
        ("reconstruct clips/a.wav -t mulaw -o b.atok", "ends in .wav or .flac"),
        ("reconstruct clips -t mulaw -o b.wav", "names a file"),
        ("convert mulaw shy.py -o x.wav", "ends in .safetensors"),
        ("encode clips -t mulaw -o new --overwrite", "--overwrite is for --format atok"),
        ("leaderboard --check --overwrite", "--check writes nothing"),
    ],
)
def test_tokens_and_sound_keep_their_names(refused, command, message):
    Path("a.atok").write_bytes(b"tokens")
    refused(command, message)


def test_tokens_are_not_saved_as_sound(tmp_path):
    path = tmp_path / "talk.wav"
    path.write_bytes(b"mine")
    tokens = registry.load("mulaw").encode((np.zeros(160, np.float32), 16_000))
    with pytest.raises(TokensError, match="expected a name that ends in .atok"):
        tokens.save(path)
    assert path.read_bytes() == b"mine"


def test_a_slash_makes_a_folder(audiotok):
    assert audiotok("encode", "clips/a.wav", "-t", "mulaw", "-o", "new/")[0] == 0
    assert audiotok("decode", "new/a.atok", "-o", "deep/er/")[0] == 0
    assert audiotok("reconstruct", "clips/a.wav", "-t", "mulaw", "-o", "new.wav/")[0] == 0
    assert Path("deep/er/a.wav").is_file() and Path("new.wav/a.wav").is_file()


def test_nothing_is_written_where_one_output_exists(refused):
    bench_kit.write_clips(Path("clips/deeper"), ["c"])
    Path("out/deeper").mkdir(parents=True)
    Path("out/deeper/c.wav").write_bytes(b"mine")
    refused("reconstruct clips -t mulaw -o out", "out/deeper/c.wav exists already (1 of 3")


def test_outputs_that_are_one_file(refused):
    bench_kit.write_clips(Path("other"), ["c"])
    Path("out").mkdir()
    os.symlink("a.wav", "out/b.wav")
    refused("reconstruct clips -t mulaw -o out --overwrite", "out/a.wav and out/b.wav are one file")


def test_a_file_that_appears_meanwhile(tmp_path):
    out = tmp_path / "new" / "a.wav"
    outputs.check([out], [])
    out.parent.mkdir()
    out.write_bytes(b"mine")
    with pytest.raises(AudiotokError, match="exists already"):
        outputs.prepare(out)
    outputs.prepare(out, overwrite=True)


def test_weights_are_not_converted_onto_themselves(refused, tmp_path):
    for name in ("w.safetensors", "other.safetensors"):
        Path(name).write_bytes(b"weights")
    refused("convert rvq-small w.safetensors -o w.safetensors --overwrite", "is the input")
    refused("convert w.safetensors w.safetensors -o ./w.safetensors", "is the input")
    refused("convert rvq-small w.safetensors -o other.safetensors", "exists already")


@pytest.mark.parametrize("name", ["mine.txt", "a.wav", ".hidden", "corpus.json", "other.parquet"])
def test_a_corpus_goes_into_a_folder_of_its_own(kit, name):
    Path("mine").mkdir()
    (Path("mine") / name).write_bytes(b"mine")
    before = sorted(Path("mine").iterdir())
    with pytest.raises(
        CorpusError, match="mine (contains other files and no corpus|is no folder) of tokens"
    ):
        corpora.encode("clips", "mulaw", "mine", workers=0)
    assert sorted(Path("mine").iterdir()) == before  # not even a lock
    with pytest.raises(CorpusError, match="clips contains other files and no corpus of tokens"):
        corpora.encode("clips", "mulaw", "clips", workers=0)
    with pytest.raises(AudiotokError, match="names a file"):
        corpora.encode("clips", "mulaw", "tokens.wav", workers=0)


def test_a_leaderboard_of_somebody_else(kit):
    Path("results").mkdir()
    leaderboard.write("results", ".")
    leaderboard.write("results", ".")
    Path("leaderboard.csv").write_text("my,own,table\n")
    before = contents()
    with pytest.raises(ResultsError, match="leaderboard.csv is not a file that `audiotok"):
        leaderboard.write("results", ".")
    assert contents() == before
    leaderboard.write("results", ".", overwrite=True)
    assert leaderboard.check("results", ".") == []


def test_results_of_check(refused):
    Path("results/checks").mkdir(parents=True)
    Path("results/checks/mulaw.json").write_text('{"mine": 1}')
    refused("check mulaw", "is no result of `audiotok check`")
    content = record.record(registry.load("mulaw"), [])
    for _ in range(2):
        assert record.write(content, "found") == Path("found/checks/mulaw.json")


def test_a_report_over_other_files(refused, audiotok):
    words = ["report", "clips", "-t", "mulaw", "-o"]
    refused(" ".join([*words, "clips"]), "clips holds other files than a page of ours")
    refused(" ".join([*words, "clips", "--overwrite"]), "clips holds other files")
    refused(" ".join([*words, "tiny.yaml"]), "tiny.yaml is a file")
    assert audiotok(*words, "page")[0] == 0
    refused(" ".join([*words, "page"]), "page holds a page already")
    assert audiotok(*words, "page", "--overwrite")[0] == 0
    own = "report page/sounds/a/0.wav -t mulaw -o page --overwrite"
    os.rename("page/sounds/a", "page/sounds/0")  # the folder of the clip named 0
    refused(own.replace("/a/", "/0/"), "is the input")


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("name", ["README.md", "recipe.yaml"])
def test_a_run_in_a_folder_of_somebody_else(tmp_path, fresh, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(RecipeError, match=f"no run of audiotok wrote, e.g. {name}"):
        Folder(tmp_path).claim(None, fresh=fresh, must_resume=False, note=print)
    assert list(tmp_path.iterdir()) == [tmp_path / name]
