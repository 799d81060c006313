"""The other commands: encode, decode, reconstruct, list, info, verify, check; one-line mistakes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support import bench_kit

from audiotok.codec import checkpoints
from audiotok.system import names


def test_help_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['audiotok', '--help']\n"
        "from audiotok import cli\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'pandas', 'librosa', 'transformers', 'scipy', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "leaderboard" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_sound_to_tokens_and_back(audiotok):
    code, out, err = audiotok("encode", "clips/a.wav", "-t", "mulaw", "-o", "a.atok")
    assert code == 0, err
    assert "4000 codes of mulaw, 128000 bit/s" in out
    assert audiotok("decode", "a.atok", "-o", "back.wav")[0] == 0
    assert audiotok("reconstruct", "clips/a.wav", "-t", "mulaw", "-o", "at_once.wav")[0] == 0
    original, rate = soundfile.read("clips/a.wav")
    for name in ("back.wav", "at_once.wav"):
        decoded, decoded_rate = soundfile.read(name)
        assert (decoded_rate, decoded.shape) == (rate, original.shape)
        assert np.abs(decoded - original).max() < 0.02


def test_folders_keep_their_shape(audiotok):
    bench_kit.write_clips(Path("clips/deeper"), ["c"])
    assert audiotok("encode", "clips", "-t", "mulaw", "-o", "tokens", "-f", "atok")[0] == 0
    assert audiotok("decode", "tokens", "-o", "sound", "-r", "8000")[0] == 0
    names = sorted(str(p.relative_to("sound")) for p in Path("sound").rglob("*.wav"))
    assert names == ["a.wav", "b.wav", "deeper/c.wav"]
    assert soundfile.info("sound/a.wav").samplerate == 8000


def test_a_corpus_to_shards_and_back(audiotok):
    Path("clips/c.wav").write_bytes(b"RIFF")
    words = ["encode", "clips", "-t", "mulaw", "-o", "tokens", "--workers", "0"]
    code, out, err = audiotok(*words)
    assert code == 1, err  # not all of it could be encoded
    assert "tokens: 2 clips, 0.00 h" in out
    assert "c left out:" in err and "1 clips could not be encoded: tokens/_failed.tsv" in err
    code, again, err = audiotok(*words)
    assert (code, again) == (1, out) and "3 of 3 clips were already encoded" in err
    assert audiotok("decode", "tokens", "-o", "sound")[0] == 0
    for name in ("a", "b"):
        original, rate = soundfile.read(f"clips/{name}.wav")
        decoded, decoded_rate = soundfile.read(f"sound/{name}.wav")
        assert (decoded_rate, decoded.shape) == (rate, original.shape)
        assert np.abs(decoded - original).max() < 0.02
    code, out, err = audiotok("export", "tokens", "--webdataset", "tar")
    assert code == 0, err
    assert out.splitlines() == ["tar/tokens-000000.tar"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("encode clips -t mulaw -o tokens -f zip", "'atok' or 'parquet', not 'zip'"),
        ("encode clips clips -t mulaw -o tokens -f parquet", "2 inputs for one corpus"),
        ("encode clips/a.wav -t mulaw -o a.atok --limit 3", "--limit is for --format parquet"),
        ("encode clips -t mulaw -o tokens --batch ragged --workers 0", "knows no batch 'ragged'"),
        ("encode clips -t mulaw -o tokens --address auto", "is for --executor ray"),
        ("export clips --webdataset tar", "clips is no folder of tokens"),
        ("encode clips/a.wav -t mulow -o x.atok", "mulaw"),
        ("encode no.wav -t mulaw -o x.atok", "no.wav"),
        ("encode clips no.wav -t mulaw -o x", "no.wav does not exist"),
        ("encode clips clips/a.wav -t mulaw -o x", "would both become"),
        ("encode clips -t mulaw -o clips/a.wav", "expected a folder"),
        ("encode tiny.yaml -t mulaw -o x.atok", "tiny.yaml"),
        ("decode clips -o x", "holds no .atok files"),
        ("decode clips/a.wav -o x.wav", "atok"),
        ("info wavtokenizr", "wavtokenizer"),
        ("bench -t mulaw --data nowhere -s tiny.yaml", "nowhere"),
        ("bench -t mulaw --data clips -s tiny.yaml -o tiny.yaml", "cannot write into tiny.yaml"),
        ("bench -t mulaw -s tiny.yml", "tiny.yml is neither a file nor"),
        ("leaderboard -r nowhere", "nowhere is not a folder"),
        ("train no-such-recipe", "no-such-recipe is neither a file nor one of the recipes"),
        ("verify wavtokenizer-small-40 -c no.ckpt", "no.ckpt is not a file"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(audiotok, words, message):
    code, _, err = audiotok(*words.split())
    assert code == 2
    lines = [line for line in err.splitlines() if line.startswith("audiotok: ")]
    assert len(lines) == 1 and err.splitlines()[-1] == lines[0]
    assert message in lines[0]


def test_list_and_info(audiotok):
    code, out, _ = audiotok("list", "--json")
    cards = {card["name"]: card for card in json.loads(out)}
    assert cards["mulaw"]["bitrate"] == 128_000
    assert audiotok("list")[0] == 0
    code, out, _ = audiotok("info", "mulaw")
    assert "bitrate = 16000 Hz x 8 bit = 128000 bit/s" in out
    assert json.loads(audiotok("info", "mulaw", "--json")[1])["name"] == "mulaw"


@pytest.mark.usefixtures("forked_processes")
def test_verify_and_doctor(audiotok):
    code, out, err = audiotok("verify", "mulaw")
    assert code == 0, err
    assert "keeps every promise" in out
    code, out, err = audiotok("doctor")
    assert code == 0, err
    assert "torch 2." in out and "suite smoke" in out and "task tokens: ready" in out


# --- check and licences ----------------------------------------------------------------------

STRANGER = Path(__file__).parents[1] / "support" / "stranger_codec.py"


@pytest.fixture
def stranger(kit):
    Path("stranger.py").write_text(STRANGER.read_text())


def test_check_a_good_codec_by_its_path_with_options(audiotok, stranger):
    words = ["check", "stranger.py:codebooks=2,merge=2/3", "--out", "found"]
    code, out, err = audiotok(*words)
    assert code == 0, out + err
    rows = {line.split("  ")[0]: line for line in out.splitlines()}
    assert "kept" in rows["processes"] and "kept" in rows["merge"]
    assert "lookahead on the card, samples 240" in rows["lookahead"]
    assert "stranger-8k:codebooks=2,merge=2/3 keeps every promise" in out
    path = Path(f"found/checks/{names.part('stranger-8k:codebooks=2,merge=2/3')}.json")
    assert f"Written: {path}" in err
    assert "The weights of stranger-8k:codebooks=2,merge=2/3 are under CC-BY-NC-4.0" in err
    content = json.loads(path.read_bytes())
    assert content["codec"] == "stranger-8k:codebooks=2,merge=2/3"
    assert (content["broken"], content["not_checked"]) == (0, 1)  # "no decoder" does not apply
    assert content["kept"] == len(content["promises"]) - 1 > 15
    assert len(content["fingerprint"]) == 64 and content["packages"]["torch"].startswith("2.")
    assert content["date"].startswith("20") and content["hardware"] and content["device"] == "cpu"
    assert not list(Path("found/checks").glob(".*"))


@pytest.mark.usefixtures("forked_processes")
def test_check_a_codec_that_breaks_promises(audiotok):
    code, out, err = audiotok("check", "shy.py", "--json")
    assert code == 1
    content = json.loads(out)
    broken = {p["promise"]: p["why"] for p in content["promises"] if p["state"] == "broken"}
    assert broken["codes"] == "encoding full scale raises RuntimeError: too loud"
    assert content["broken"] == len(broken) and content["kept"] > 10
    assert Path("results/checks/shy.json").is_file()
    code, out, err = audiotok("check", "shy.py")
    assert code == 1
    assert "encoding full scale raises RuntimeError: too loud" in out
    assert f"shy breaks {len(broken)} of " in out


def test_check_what_cannot_be_checked(audiotok):
    Path("rude.py").write_text(bench_kit.CODEC.replace("pass\n", "raise KeyError('x')\n", 1))
    for words, message in (
        ("check mulow", "did you mean mulaw"),
        ("check nowhere.py", "nowhere.py does not exist"),
        ("check rude.py", "rude.py cannot be loaded: it raises KeyError: 'x'"),
        ("check mulaw --checkpoint none.ckpt", "none.ckpt is not a file"),
        ("check mulaw --device abacus", "no device 'abacus'"),
        ("check mulaw --out tiny.yaml", "cannot write into tiny.yaml"),
    ):
        code, _, err = audiotok(*words.split())
        assert code == 2
        assert err.splitlines()[-1].startswith("audiotok: ") and message in err, err


@pytest.mark.usefixtures("forked_processes")
def test_verify_says_what_is_broken(audiotok):
    code, out, _ = audiotok("verify", "shy.py")
    assert code == 1 and "shy breaks" in out


def test_weights_that_restrict_their_use_are_marked(audiotok, stranger, monkeypatch):
    warning = "The weights of stranger-8k are under CC-BY-NC-4.0: see its terms."
    code, out, err = audiotok("info", "stranger.py")
    assert code == 0, err
    assert "§ CC-BY-NC-4.0, the licence of the weights restricts their use" in out
    assert json.loads(audiotok("info", "stranger.py", "--json")[1])["restricted"] is True
    assert json.loads(audiotok("info", "mulaw", "--json")[1])["restricted"] is False
    free = [line for line in audiotok("list")[1].splitlines() if line.startswith("wavtokenizer")]
    assert free and not any("§" in line for line in free)
    from audiotok.codec import registry

    card, cards = registry.find_card("stranger.py"), registry.list_codecs()
    monkeypatch.setattr(registry, "list_codecs", lambda: [*cards, card])
    out = audiotok("list")[1]
    assert any(line.startswith("stranger-8k § ") for line in out.splitlines())
    assert out.count("§ the licence of the weights restricts their use") == 1
    assert (
        audiotok("encode", "clips/a.wav", "-t", "stranger.py", "-o", "a.atok")[2].count(warning)
        == 1
    )
    words = ["bench", "-t", "stranger.py", "--data", "clips", "-s", "tiny.yaml", "--workers", "0"]
    _, out, err = audiotok(*words)
    assert warning in err
    assert any(line.startswith("stranger-8k § ") for line in out.splitlines())
    assert "§ the licence of the weights restricts their use" in out
    assert audiotok("leaderboard")[0] == 0
    assert "| stranger-8k § ? |" in Path("LEADERBOARD.md").read_text()


def test_merging_through_the_command_line(audiotok):
    name = "wavtokenizer:merge=2"
    if not (checkpoints.BUNDLED / "wavtokenizer-mini.safetensors").is_file():
        pytest.skip("the bundled weights are not there")
    code, out, err = audiotok("encode", "clips/a.wav", "-t", name, "-o", "a.atok")
    assert code == 0, err
    assert "a.atok: 10 codes of wavtokenizer-mini:merge=2, 480 bit/s" in out
    assert audiotok("decode", "a.atok", "-o", "a.wav", "-r", "16000")[0] == 0
    assert soundfile.info("a.wav").frames == soundfile.info("clips/a.wav").frames
    words = ["bench", "-t", name, "--data", "clips", "-s", "tiny.yaml", "--workers", "0"]
    code, out, err = audiotok(*words)
    assert code == 0, err
    assert any(line.startswith("wavtokenizer-mini:merge=2 ") for line in out.splitlines())


def test_one_file_of_several_that_cannot_be_used(audiotok):
    Path("clips/c.wav").write_bytes(b"RIFF")
    Path("clips/d.txt").write_bytes(b"")
    code, out, err = audiotok("encode", "clips", "-t", "mulaw", "-o", "tokens", "-f", "atok")
    assert code == 1 and out.count("codes of mulaw") == 2
    assert "clips/c.wav left out: " in err and "1 of 3 files could not be used" in err
    assert sorted(path.name for path in Path("tokens").iterdir()) == ["a.atok", "b.atok"]
    Path("tokens/c.atok").write_bytes(b"damaged")
    code, out, err = audiotok("decode", "tokens", "-o", "sound")
    assert code == 1 and len(out.splitlines()) == 2 and "tokens/c.atok left out: " in err


def test_cut_files_are_read_where_that_is_allowed(audiotok, caplog):
    """By each command that reads sound; the next command refuses them again."""
    data = Path("clips/a.wav").read_bytes()
    Path("clips/a.wav").write_bytes(data[: len(data) // 2])
    for words in (
        ["encode", "clips/a.wav", "-t", "mulaw", "-o", "a.atok"],
        ["reconstruct", "clips/a.wav", "-t", "mulaw", "-o", "a.wav"],
    ):
        code, _, err = audiotok(*words)
        assert code == 2 and "cut short" in err and "--allow-truncated" in err
        assert audiotok(*words, "--allow-truncated")[0] == 0
        assert "clips/a.wav is cut short: only its" in caplog.text
    assert soundfile.info("a.wav").frames == soundfile.info("clips/a.wav").frames
    for workers in ("0", "1"):  # in this process, and in another one
        words = ["encode", "clips", "-t", "mulaw", "--workers", workers, "-o"]
        assert "1 clips could not be encoded" in audiotok(*words, f"few{workers}")[2]
        code, out, _ = audiotok(*words, f"all{workers}", "--allow-truncated")
        assert code == 0 and f"all{workers}: 2 clips" in out
        code, _, err = audiotok(*words, f"few{workers}", "--allow-truncated")
        assert code == 2 and "holds other tokens" in err  # the same folder would mix both
    words = ["bench", "-t", "shy.py", "--data", "clips", "-s", "tiny.yaml", "--workers", "0"]
    assert "1 failed" in "".join(audiotok(*words, "--no-baselines")[1:])
    result = "".join(audiotok(*words, "--no-baselines", "--allow-truncated")[1:])
    assert "1 failed" not in result


def test_a_folder_says_what_it_leaves_out(audiotok, caplog):
    Path("clips/notes.txt").write_text("no sound")
    for words in (["-o", "tokens", "--workers", "0"], ["-o", "files/", "-f", "atok"]):
        code, _, err = audiotok("encode", "clips", "-t", "mulaw", *words)
        assert code == 0, err
    assert caplog.messages == ["clips: 1 file is left out, no sound: notes.txt"] * 2


def test_clipped_samples_are_counted(audiotok, caplog):
    loud = np.sign(np.sin(np.arange(8000) / 7)) * 1.5
    soundfile.write("clips/loud.wav", loud, 16_000, subtype="FLOAT")
    code, _, err = audiotok("reconstruct", "clips/loud.wav", "-t", "resample-24k", "-o", "b.wav")
    assert code == 0 and "b.wav: " in caplog.text and "are beyond [-1, 1]" in caplog.text, err
