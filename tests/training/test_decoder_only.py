"""A decoder that learns alone: codes stay equal bit for bit, at the same or a higher rate."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support import codec_files, tiny_codec
from support.training_kit import same_state

import audiotok
from audiotok.codec import checkpoints
from audiotok.codecs.decoder import decoder_weights
from audiotok.errors import AudiotokError, CheckpointError, CodecError
from audiotok.system import assets
from audiotok.training import load_recipe, train
from audiotok.training.decoder import DecoderOnly

OF_TRANSFORMERS = ("mimi", "dac-hf", "encodec-hf")
RATES = {  # by how much the rate of the sound is raised, for each codec
    "wavtokenizer": 1, "mini": 2, "encodec": 3, "dac": 1, "lm-spt": 1, "snac": 2,
    "mimi": 2, "dac-hf": 1, "encodec-hf": 1,
}  # fmt: skip
SHORT = (
    "steps=1", "validate_every=2", "trackers=[]", "discriminators=[]", "seed=3",
    "discriminator_optimizer=null", "optimizer.learning_rate=1e-3", "data.batch_size=2",
    "data.crop_seconds=0.3", "data.validation_fraction=0.34", "data.workers=0",
    "data.validation_clips=1", "data.validation_seconds=0.3",
    "losses.mel_bands={256: 20}",
)  # fmt: skip


@pytest.fixture(scope="module")
def write(tmp_path_factory):
    made = {}

    def written(kind):
        if kind in OF_TRANSFORMERS:
            pytest.importorskip("transformers", minversion="5.23")
        if kind not in made:
            made[kind] = codec_files.write(tmp_path_factory.mktemp(kind), kind)
        return made[kind]

    return written


def finetune(corpus, name, checkpoint, out, *changes, **how):
    overrides = ["axes.learns=decoder", f"start_from={name}", f"data.corpus={corpus}", *SHORT]
    if checkpoint is not None:
        overrides.append(f"start_checkpoint={checkpoint}")
    path = assets.find("recipes", "finetune", AudiotokError)
    return train(path, [*overrides, *changes], out, cpu=True, **how)


@pytest.mark.parametrize("kind", RATES)
def test_codes_stay_bit_for_bit_and_the_sound_changes(kind, write, corpus, tmp_path):
    name, checkpoint = write(kind)
    codec = audiotok.load(name, checkpoint=checkpoint)
    before = {key: tensor.clone() for key, tensor in codec.network.state_dict().items()}
    rate = RATES[kind] * codec.sample_rate
    weights = finetune(corpus, name, checkpoint, tmp_path / "run", f"model.sample_rate={rate}")
    changed = audiotok.load(weights)
    clip = corpus / "1.wav"
    tokens = codec.encode(clip)
    assert tokens.codes.unique().numel() > 4
    assert torch.equal(changed.encode(clip).codes, tokens.codes)
    assert changed.fingerprint == codec.fingerprint
    assert changed.card.sample_rate_in == codec.card.sample_rate_in
    assert (changed.card.family, changed.sample_rate) == ("decoder", rate)
    sound, old = changed.decode(tokens, 8000), codec.decode(changed.encode(clip), 8000)
    assert sound.num_samples == old.num_samples == 12000
    assert not torch.equal(sound.waveform, old.waveform)
    after, held = changed.base.network.state_dict(), load_file(weights)
    moved = {f"codec.{key}" for key in before if not torch.equal(before[key], after[key])}
    assert moved and moved <= held.keys()
    assert not any("encoder" in key.split(".")[1] for key in moved)
    assert not any("quantizer" in key for key in held)
    assert RATES[kind] == 1 or held["longer.synthesis.weight"].abs().max() > 0


def test_without_training_a_longer_decoder_interpolates(write, corpus):
    name, _ = write("mini")
    recipe = load_recipe(
        assets.find("recipes", "finetune", AudiotokError),
        ["family=decoder", f"start_from={name}", f"data.corpus={corpus}", *SHORT]
        + ["model.sample_rate=16000"],
    )
    network = DecoderOnly(recipe.model).eval()
    sound = audiotok.Audio(torch.randn(1, 16000) / 10, 16000)
    codec = audiotok.load(name)
    expected = codec.decode(codec.encode(sound)).resample(16000).waveform
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):  # as precision=bf16 runs it
        found = network(sound.waveform[None]).waveform[0, :, :16000]
    torch.testing.assert_close(found[:, :15900], expected[:, :15900], atol=1e-4, rtol=0)


def test_a_stopped_run_goes_on_bit_for_bit(write, corpus, tmp_path):
    changes = (
        "steps=6",
        "validate_every=2",
        "quantizer.errors={rate: 0.3}",
        "quantizer.dropout=0.5",
        "ema=0.9",
    )
    name, _ = write("mini")
    finetune(corpus, name, None, tmp_path / "whole", *changes)

    def stop(step, steps, numbers):
        if step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(corpus, name, None, tmp_path / "parts", *changes, report=stop)
    finetune(corpus, name, None, tmp_path / "parts", *changes)
    assert same_state(tmp_path / "whole/state.pt", tmp_path / "parts/state.pt")
    pair = (tmp_path / part / "model.safetensors" for part in ("whole", "parts"))
    one, other = map(load_file, pair)
    assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_it_goes_on_from_a_decoder_and_from_fewer_codebooks(write, corpus, tmp_path):
    name, _ = write("mini")
    first = finetune(corpus, f"{name}:codebooks=1", None, tmp_path / "1")
    second = finetune(corpus, first, None, tmp_path / "2", "name=again")
    codec = audiotok.load(second)
    assert codec.card.name.startswith("again@") and codec.codebook_sizes == (16,)
    assert codec.network.codec is codec.base.network
    config = json.loads(checkpoints.read_metadata(second)["config"])
    assert config["codec"] == f"{name}:codebooks=1" and config["weights"] is None
    assert not torch.equal(*(load_file(f)["codec.head.linear.weight"] for f in (first, second)))
    with pytest.raises(CodecError, match="option"):
        audiotok.load(f"{second}:codebooks=1")


def test_the_file_of_a_decoder_as_a_codec(write, corpus, tmp_path):
    name, _ = write("mini")
    weights = finetune(corpus, name, None, tmp_path / "run")
    codec = audiotok.load(weights)
    one = audiotok.load(f"{weights}:codebooks=1,merge=2")
    assert (one.base.card.num_codebooks, one.card.strides) == (1, (2,))
    sound = codec.reconstruct(corpus / "0.wav")
    assert one.decode(one.encode(corpus / "0.wav")).num_samples == sound.num_samples // 2
    codec.save(tmp_path / "half.safetensors", half=True)
    half = audiotok.load(tmp_path / "half.safetensors").reconstruct(corpus / "0.wav")
    torch.testing.assert_close(half.waveform, sound.waveform, atol=1e-2, rtol=0)
    assert (tmp_path / "half.safetensors").stat().st_size < 0.6 * weights.stat().st_size


def test_another_codec_under_the_recorded_name_is_refused(write, corpus, tmp_path):
    name, _ = write("mini")
    own = tmp_path / "own.safetensors"
    own.write_bytes((Path(name)).read_bytes())
    weights = finetune(corpus, own, None, tmp_path / "run")
    state, metadata = checkpoints.read_state(own)
    checkpoints.save(
        own, state | {"quantizer.codebooks": state["quantizer.codebooks"] + 1}, metadata
    )
    with pytest.raises(CheckpointError, match="its weights are others than those"):
        audiotok.load(weights)
    tensors, about = checkpoints.read_state(weights)
    path = tmp_path / "other.safetensors"
    config = json.loads(about["config"])
    for codec, message in (("x.py", "may not choose code"), (str(path), "is a decoder and no")):
        about["config"] = json.dumps(config | {"codec": codec})
        checkpoints.save(path, tensors, about)
        with pytest.raises(AudiotokError, match=message):
            audiotok.load(path)
    checkpoints.save(weights, tensors | {"codec.more": torch.zeros(1)}, metadata | about | {
        "config": json.dumps(config)})  # fmt: skip
    own.write_bytes((Path(name)).read_bytes())
    with pytest.raises(CheckpointError, match=r"codec\.more missing, extra"):
        audiotok.load(weights)


MISTAKES = [
    (["start_from=opus-6k"], "opus-6k has no decoder that could learn, it has no network"),
    (["start_from=mulaw"], "mulaw has no decoder that could learn, it has no network"),
    (["start_from=null"], "family decoder needs start_from"),
    (["model.sample_rate=12000"], "12000 is no multiple of 8000 Hz"),
    (["model.sample_rat=16000"], "did you mean 'sample_rate'"),
    (["quantizer.new=true"], "quantizer.new changes codes"),
    (["quantizer.start_step=1", "steps=2"], "quantizer.start_step changes codes"),
    (["quantizer.start_step=null"], "quantizer.start_step changes codes"),
    (["quantizer.errors={rate: 2}"], "quantizer.errors.rate = 2"),
    (["quantizer.errors={rat: 2}"], "did you mean 'rate'"),
    (["start_from={name}:merge=similarity-0.9", "quantizer.errors={rate: 0.1}"], "fixed rates"),
    (["start_from={name}:codebooks=1", "quantizer.dropout=0.5"], "decodes 1 only"),
    (["start_from=random"], "random has no latents"),
    (["start_from={code}"], "is a file of code"),
    (["family=mini", "quantizer.errors={rate: 0.1}"], "errors are for the family decoder"),
]


def test_another_runtime_than_pytorch_is_named(monkeypatch, write):
    codec = audiotok.load(write("mini")[0])
    monkeypatch.setattr(type(codec), "RUNTIME", "TFLite")
    with pytest.raises(CodecError, match="TFLite runs its network: take a codec whose"):
        decoder_weights(codec)


@pytest.mark.parametrize(("changes", "message"), MISTAKES)
def test_what_cannot_work_is_explained(changes, message, write, corpus, tmp_path):
    name, _ = write("mini")
    code = Path(tiny_codec.__file__)
    changes = [change.replace("{name}", name).replace("{code}", str(code)) for change in changes]
    with pytest.raises(AudiotokError) as caught:
        finetune(corpus, name, None, tmp_path / "run", *changes)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "run/state.pt").exists()
