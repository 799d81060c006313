"""From a recipe to speech: training, files of models, `say`, from Python and the command line."""

import inspect
import json
from types import SimpleNamespace

import pytest
import soundfile
import torch
import yaml
from safetensors.torch import load_file
from support import tts_kit

from audiotok import data
from audiotok.cli import speech as cli
from audiotok.codec import registry
from audiotok.errors import CheckpointError, CorpusError, RecipeError, SpeechError
from audiotok.sound import comments
from audiotok.sound.audio import Audio, read, write
from audiotok.system import assets
from audiotok.tts import corpus, durations, trained, training
from audiotok.tts import recipe as recipes
from audiotok.tts import say as speech
from audiotok.tts.base import Codes

CODEC = "rvq-small:merge=2"
TEXT = "robert found a german building"
MODEL = {"dimension": 16, "heads": 2, "layers": 1}


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Untrained models of rvq-small: with alignment, without, and the other codebooks."""
    folder = tmp_path_factory.mktemp("models")
    sizes = (1024,) * 12
    import audiotok

    codec = audiotok.load(CODEC)
    codes = Codes(CODEC, codec.fingerprint, sizes, tuple(codec.card.strides), 50.0)
    torch.manual_seed(0)
    configs = {
        "ar": recipes.ARConfig(**MODEL),
        "plain": recipes.ARConfig(**MODEL, align=False),
        "nar": recipes.NARConfig(**MODEL),
    }
    for name, config in configs.items():
        path = folder / f"{name}.safetensors"
        path.write_bytes(trained.content(config.kind, config.build(codes), {"step": 0}))
    return folder


@pytest.fixture
def speaker(parts, monkeypatch, tmp_path):
    monkeypatch.setenv("AUDIOTOK_HOME", str(tmp_path / "home"))
    return speech.Speaker(parts / "ar.safetensors", parts / "nar.safetensors")


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    clip = next(clip for clip in data.load("bundled") if clip.text)
    path = tmp_path_factory.mktemp("voice") / "voice.wav"
    write(path, clip.read())
    return path, clip.text


def test_speech_is_marked_repeatable_and_as_long_as_was_asked(speaker, voice, tmp_path, caplog):
    path, said = voice
    asked = speaker.say(TEXT, path, prompt_text=said, seed=1)
    again = speaker.say(TEXT, path, prompt_text=said, seed=1)
    assert torch.equal(asked.codes, again.codes)
    assert sum(asked.seconds_of_phones) == pytest.approx(asked.audio.duration, abs=1e-6)
    speech.write(tmp_path / "out.wav", asked)
    about = json.loads(comments.read(tmp_path / "out.wav"))
    assert about["synthetic"] is True and about["model"] == "ar+nar" and about["codec"] == CODEC
    assert read(tmp_path / "out.wav").num_samples == asked.audio.num_samples
    lasting = durations.Durations(asked.phones, tuple(0.08 for _ in asked.phones))
    made = speaker.say(TEXT, path, durations=lasting)
    assert made.seconds_of_phones == tuple(0.08 for _ in asked.phones)
    with pytest.raises(SpeechError, match="cannot mark speech as synthetic"):
        speech.write(tmp_path / "out.mp3", asked)


def test_the_note_on_consent_is_shown_once(parts, monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("AUDIOTOK_HOME", str(tmp_path / "home"))
    files = parts / "ar.safetensors", parts / "nar.safetensors"
    speech.Speaker(*files), speech.Speaker(*files)
    assert sum("consent" in record.message for record in caplog.records) == 1


@pytest.mark.parametrize(
    "sound, message",
    [
        (Audio(torch.zeros(1, 32000), 16000), "is silent"),
        (Audio(torch.rand(1, 4000), 16000), "lasts 0.25 s"),
    ],
)
def test_prompts_that_hold_no_voice_are_refused(speaker, sound, message):
    with pytest.raises(SpeechError, match=message):
        speaker.say(TEXT, sound)


def test_texts_that_cannot_be_spoken_are_refused(speaker, voice):
    for words in ("", "  ", "!", "слово", "word " * 300):
        with pytest.raises(SpeechError):
            speaker.say(words, voice[0])
    with pytest.raises(SpeechError, match="does not fit its sound"):
        speaker.say(TEXT, voice[0], prompt_text="слово")


def test_the_command_line_speaks_and_overwrites_nothing(
    audiotok, parts, voice, tmp_path, monkeypatch, caplog
):
    monkeypatch.setenv("AUDIOTOK_HOME", str(tmp_path / "home"))
    out, saved = tmp_path / "out.flac", tmp_path / "durations.tsv"
    models = [f"--model={parts / name}.safetensors" for name in ("ar", "nar")]
    words = ["say", TEXT, "--prompt", str(voice[0]), "-o", str(out), *models]
    code, said, _ = audiotok(*words, "--save-durations", str(saved))
    assert code == 0 and "steps" in said and "consent" in caplog.text
    first = soundfile.read(out)[0]
    code, _, error = audiotok(*words)
    assert code == 2 and "exists already" in error
    code, _, _ = audiotok(*words, "--durations", str(saved), "--overwrite", "--seed", "5")
    assert code == 0 and len(soundfile.read(out)[0]) == len(first)
    code, _, error = audiotok("say", TEXT, "--prompt", str(voice[0]), "-o", str(voice[0]), *models)
    assert code == 2 and "is the input" in error
    code, _, error = audiotok(*words[:-1], "--overwrite")
    assert code == 2 and "give --model twice" in error
    code, _, error = audiotok("say", " ", *words[2:])
    assert code == 2 and "the text is empty" in error


def test_a_model_without_alignment_speaks_but_knows_no_durations(
    parts, voice, tmp_path, monkeypatch
):
    monkeypatch.setenv("AUDIOTOK_HOME", str(tmp_path / "home"))
    made = speech.Speaker(parts / "plain.safetensors", parts / "nar.safetensors").say(
        "no", voice[0]
    )
    assert made.seconds_of_phones is None and made.audio.num_samples > 0


def test_speech_arrives_in_pieces():
    speaker = speech.Speaker.__new__(speech.Speaker)
    speaker.model = tts_kit.whole()
    decoded = []

    class Decoder:
        __enter__ = lambda self: self  # noqa: E731
        __exit__ = lambda self, *error: None  # noqa: E731

        def decode(self, codes, last=False):
            decoded.append((codes, last))
            return torch.zeros(1, 0 if codes is None else codes.shape[2])

    speaker.codec = SimpleNamespace(stream=Decoder, card=SimpleNamespace(sample_rate_out=16000))
    pieces = list(speaker.stream(tts_kit.request(40), speech.Generation(most_units=4)))
    assert len(pieces) + 1 == len(decoded) > 2 and decoded[-1] == (None, True)
    assert all(codes.shape[:2] == (1, 6) for codes, _ in decoded[:-1])


def test_files_of_parts_can_be_joined_and_others_are_refused(parts, tmp_path):
    whole = tmp_path / "whole.safetensors"
    trained.join([parts / "ar.safetensors", parts / "nar.safetensors"], whole)
    model = trained.load(whole)
    apart = trained.load(parts / "ar.safetensors", parts / "nar.safetensors")
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, apart.state_dict()[name])
    with pytest.raises(
        CheckpointError, match="neither a file of a speech model nor one that ships"
    ):
        trained.load("no-such-model")
    (tmp_path / "x.safetensors").write_bytes(b"no")
    with pytest.raises(CheckpointError, match="cannot be read"):
        trained.load(tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match="VALL-E R needs valle-ar and valle-nar"):
        trained.load(parts / "nar.safetensors")


@pytest.fixture
def manifest(tmp_path):
    """Two voices of the bundled corpus with four clips each."""
    clips = [clip for clip in data.load("bundled") if clip.text]
    clips = [
        clip for voice in ("rms", "slt") for clip in [c for c in clips if c.speaker == voice][:4]
    ]
    rows = [f"{clip.path.name}\t{clip.text}\t{clip.speaker}\n" for clip in clips]
    for clip in clips:
        (tmp_path / clip.path.name).write_bytes(clip.path.read_bytes())
    (tmp_path / "manifest.tsv").write_text("".join(["audio\ttext\tspeaker\n", *rows]))
    return tmp_path / "manifest.tsv"


@pytest.fixture
def tiny(manifest, tmp_path):
    """A recipe of three steps."""
    content = {
        "name": "tiny", "corpus": str(manifest), "tokens": str(tmp_path / "tokens"),
        "codecs": [CODEC], "model": {"kind": "valle-ar", **MODEL}, "validation_every": 2,
        "prompt_seconds": [0.3, 0.5], "batch": 2, "steps": 3, "validate_every": 1, "log_every": 1,
        "optimizer": {"learning_rate": 1e-3},
    }  # fmt: skip
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_training_can_start_from_other_weights(parts, tiny, tmp_path):
    source = parts / "ar.safetensors"
    still = ["steps=1", "optimizer.learning_rate=1e-12"]
    weights = training.train(tiny, [*still, f"start_from={source}"], tmp_path / "same", cpu=True)
    expected, found = load_file(source), load_file(weights)
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[name], weight) for name, weight in expected.items())
    with pytest.raises(CheckpointError, match="has the parts valle-nar: expected one of kind"):
        training.train(tiny, [f"start_from={parts / 'nar.safetensors'}"], tmp_path / "x", cpu=True)
    missing = ["start_from=no-such-model", f"tokens={tmp_path / 'none'}"]
    with pytest.raises(CheckpointError, match="neither a file of a speech model nor one that"):
        training.train(tiny, missing, tmp_path / "z", cpu=True)
    assert not (tmp_path / "none").exists(), "nothing is encoded for a recipe that cannot start"
    other = [f"start_from={source}", "model.dimension=32"]
    with pytest.raises(CheckpointError, match="shape"):
        training.train(tiny, other, tmp_path / "y", cpu=True)
    codes = Codes("another", "0" * 64, (1024,) * 12, tuple([2, *[1] * 11]), 50.0)
    model = recipes.ARConfig(**MODEL).build(codes)
    with pytest.raises(CheckpointError, match="trained on codes of rvq-small.*expected those of"):
        trained.start(model, "valle-ar", source)


def test_a_recipe_trains_and_goes_on_where_it_stopped(manifest, tiny, tmp_path):
    path, noted = tiny, []
    weights = training.train(path, out=tmp_path / "whole", cpu=True, note=noted.append)
    assert trained.read(weights)["valle-ar"]["training"]["recipe"] == "tiny"
    assert any("codes of" in line for line in noted)
    phones = tmp_path / "tokens" / corpus.PHONES
    complete = phones.read_bytes()
    torn = complete + b'{"id": "to'  # as when the process is killed
    phones.write_bytes(torn)
    assert corpus.is_prepared(manifest, tmp_path / "tokens", CODEC)
    assert phones.read_bytes() == torn  # only who writes may cut
    corpus.prepare(manifest, tmp_path / "tokens", CODEC)
    assert phones.read_bytes() == complete

    def stop(step, steps, numbers):
        if step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.train(path, out=tmp_path / "parts", cpu=True, report=stop)
    training.train(path, out=tmp_path / "parts", cpu=True)
    logs = [
        [json.loads(line) for line in (tmp_path / run / "log.jsonl").read_text().splitlines()]
        for run in ("whole", "parts")
    ]
    assert [line["step"] for line in logs[1]] == [1, 2, 3]
    for one, other in zip(*logs, strict=True):
        assert one["loss"] == other["loss"]
        assert one["validation_loss"] == other["validation_loss"]
    with pytest.raises(RecipeError, match="another recipe"):
        training.train(path, ["seed=1"], tmp_path / "parts", cpu=True)


def test_a_corpus_without_texts_is_refused(tmp_path, manifest):
    lines = [line.rsplit("\t", 1)[0] for line in manifest.read_text().splitlines()]
    manifest.write_text("\n".join(lines) + "\n")
    with pytest.raises(CorpusError, match="has no speaker"):
        corpus.prepare(manifest, tmp_path / "tokens", CODEC)


@pytest.mark.parametrize(
    "path", sorted(assets.folder(recipes.KIND).glob("valle*.yaml")), ids=lambda p: p.stem
)
def test_shipped_recipes_are_of_the_size_that_they_say(path):
    recipe = recipes.load(path)
    assert recipe.name == path.stem
    card = registry.find_card(recipe.codecs[0])
    with torch.device("meta"):
        model = recipe.model.build(Codes("c", "f", card.codebook_sizes, card.strides, 50.0))
    count = sum(weight.numel() for weight in model.parameters())
    limit = 12.0e6 if path.stem == "valle-nar" else 8.0e6
    assert 2 * count <= limit, "the two parts together are at most 20 MB in float16"


@pytest.mark.parametrize("name", trained.names())
def test_the_models_that_ship_speak(name, voice, monkeypatch, tmp_path):
    monkeypatch.setenv("AUDIOTOK_HOME", str(tmp_path / "home"))
    assert trained.find(name).stat().st_size <= 20e6
    speaker = speech.Speaker(*([] if name == trained.DEFAULT else [name]))
    spoken = speaker.say(TEXT, voice[0])
    assert speaker.name == spoken.metadata["model"] == name
    assert len(spoken.phones) == len(spoken.seconds_of_phones)
    assert 0.06 <= spoken.audio.duration / len(spoken.phones) <= 0.25
    level = float(spoken.audio.waveform.square().mean().sqrt())
    assert level > 0.01


def test_the_help_names_the_default_model():
    annotation = inspect.signature(cli.say, eval_str=True).parameters["model"].annotation
    assert f"default: {trained.DEFAULT};" in annotation.__metadata__[0].help


def test_a_model_that_does_not_ship_is_refused():
    with pytest.raises(CheckpointError, match=r"neither a file .* that ships \(vall-e-.*\)"):
        speech.Speaker("vall-e-r")
