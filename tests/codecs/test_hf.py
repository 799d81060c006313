"""hf:org/name and hf:FOLDER: any discrete tokenizer of transformers, from its configuration."""

import json
import logging
import shutil
import sys

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

import audiotok
from audiotok.codec import registry
from audiotok.codecs import hf
from audiotok.errors import AudiotokError, CheckpointError, CodecError, MissingPackageError
from audiotok.testing import check_codec, examine
from audiotok.tokens import Tokens

transformers = pytest.importorskip("transformers", minversion="5.23")
from support import tiny_transformers as tiny  # noqa: E402
from support.promises import OF_THE_CARD  # noqa: E402


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    makes = {"dac": tiny.dac, "higgs": tiny.higgs, "mimi": tiny.mimi, "neucodec": tiny.neucodec}
    changes = {"mimi": {"num_quantizers": 5, "codebook_size": 256}}  # as no card says
    return {
        name: tiny.write(make, tmp_path_factory.mktemp(name), **changes.get(name, {}))
        for name, make in makes.items()
    }


@torch.no_grad()
def test_a_dac(folders):
    codec = audiotok.load(f"hf:{folders['dac']}")
    card = codec.card
    assert (card.name, card.family) == (f"hf:{folders['dac']}", "hf")
    assert (card.sample_rate_in, card.hop_length, card.codebook_sizes) == (16_000, 320, (1024,) * 4)
    assert (card.bitrate, card.weights, card.mergeable) == (2000, None, False)
    model = transformers.AutoModelForAudioTokenization.from_pretrained(folders["dac"])
    for length in (1, 319, 320, 321, 40_000):
        waveform = tiny.sound(3, 16_000, seed=length)[..., :length]
        padded = F.pad(waveform, (0, -length % 320))
        tokens = codec.encode((waveform[0], 16_000))
        assert torch.equal(tokens.codes, model.encode(padded).audio_codes)
        sound = codec.decode(tokens).waveform
        official = model.decode(audio_codes=tokens.codes).audio_values
        assert torch.equal(sound[:, : official.shape[-1]], official[:, :length])
        assert sound.shape[-1] == length
    for codebook in tokens.codes[0]:
        assert codebook.unique().numel() >= 80
    two = audiotok.load(f"hf:{folders['dac']}:codebooks=2")
    assert two.card.name == f"hf:{folders['dac']}:codebooks=2"
    fewer = two.encode((waveform[0], 16_000))
    assert torch.equal(fewer.codes, model.encode(padded, n_quantizers=2).audio_codes)
    assert (two.card.bitrate, two.fingerprint) == (1000, codec.fingerprint)
    again = Tokens.from_bytes(fewer.to_bytes())
    assert torch.equal(codec.decode(again).waveform, two.decode(fewer).waveform)


def test_latents_of_a_dac_that_are_not_finite(folders):
    codec = audiotok.load(f"hf:{folders['dac']}")
    with torch.no_grad():
        codec.network.encoder.conv2.bias[0] = torch.nan
        assert (codec._encode(tiny.sound(1, 16_000)) == -1).all()


@torch.no_grad()
def test_a_higgs_audio_tokenizer(folders):
    codec = audiotok.load(f"hf:{folders['higgs']}")
    assert (codec.sample_rate, codec.hop_length, codec.num_codebooks) == (24_000, 960, 8)
    model = transformers.AutoModelForAudioTokenization.from_pretrained(folders["higgs"])
    for length in (1, 959, 960, 961, 48_000):
        waveform = tiny.sound(2, 24_000, seed=length)[..., :length]
        tokens = codec.encode((waveform[0], 24_000))
        official = model.encode(F.pad(waveform, (0, -length % 960))).audio_codes
        assert torch.equal(tokens.codes, official)
    assert torch.equal(
        codec.decode(tokens).waveform, model.decode(tokens.codes).audio_values[0, :, :48_000]
    )
    merged = audiotok.load(f"hf:{folders['higgs']}:codebooks=3,merge=2")
    codes = merged.encode((waveform[0], 24_000)).codes
    assert torch.equal(codes[:, 0, ::2], codes[:, 0, 1::2])
    assert merged.card.bitrate == 25 * 10 * 2.5


def test_a_key_that_official_weights_of_higgs_have_and_nobody_uses(folders, tmp_path):
    state = load_file(folders["higgs"] / "model.safetensors")
    shutil.copy(folders["higgs"] / "config.json", tmp_path)
    for key, refused in (("semantic_model.masked_spec_embed", False), ("fc3.weight", True)):
        save_file({**state, key: torch.ones(16)}, tmp_path / "model.safetensors")
        if refused:
            with pytest.raises(CheckpointError, match="1 extra: fc3.weight"):
                audiotok.load(f"hf:{tmp_path}")
        else:
            audiotok.load(f"hf:{tmp_path}")


@torch.no_grad()
def test_a_mimi_of_another_size(folders):
    codec = audiotok.load(f"hf:{folders['mimi']}:merge=2,precision=fast")
    assert codec.card.codebook_sizes == (256,) * 5
    assert codec.card.bitrate == 12.5 * 8 * 4.5
    plain = audiotok.load(f"hf:{folders['mimi']}")
    waveform = tiny.sound(2, 24_000, seed=1)
    model = transformers.MimiModel.from_pretrained(folders["mimi"])
    codes = plain.encode((waveform[0], 24_000)).codes
    assert torch.equal(codes, model.encode(waveform).audio_codes)
    with pytest.raises(CheckpointError, match="hf:FOLDER loads networks of other sizes"):
        audiotok.load("mimi-8", checkpoint=folders["mimi"])


def test_a_neucodec_is_the_family_of_that_name(folders):
    codec = audiotok.load(f"hf:{folders['neucodec']}")
    named = audiotok.load("neucodec", checkpoint=folders["neucodec"])
    assert codec.fingerprint == named.fingerprint
    tokens = named.encode((tiny.sound(1, 16_000)[0], 16_000))
    assert torch.equal(codec.decode(tokens).waveform, named.decode(tokens).waveform)


@torch.no_grad()
def test_a_wavtokenizer(tmp_path):
    if not hasattr(transformers, "WavTokenizerModel"):  # before 5.24
        with pytest.raises(CodecError, match="newer transformers .* has no WavTokenizerModel: pip"):
            audiotok.load(configured(tmp_path, model_type="wavtokenizer"))
        return
    codec = audiotok.load(f"hf:{tiny.write(tiny.wavtokenizer, tmp_path)}")
    card = codec.card
    assert (card.sample_rate_in, card.hop_length, card.codebook_sizes) == (24_000, 600, (256,))
    model = transformers.WavTokenizerModel.from_pretrained(tmp_path)
    for length in (1, 599, 600, 601, 48_000):
        waveform = tiny.sound(2, 24_000, seed=length)[..., :length]
        tokens = codec.encode((waveform[0], 24_000))
        assert torch.equal(tokens.codes, model.encode(waveform).audio_codes)
        official = model.decode(tokens.codes).audio_values
        assert torch.equal(codec.decode(tokens).waveform, official[0, :, :length])
    assert tokens.codes.unique().numel() >= 10
    merged = audiotok.load(f"hf:{tmp_path}:merge=2")
    codes = merged.encode((waveform[0], 24_000)).codes
    assert torch.equal(codes[..., ::2], codes[..., 1::2]) and merged.card.bitrate == 160
    with torch.no_grad():
        codec.network.encoder_model.encoder.layers[-1].conv.bias[0] = torch.nan
    assert (codec._encode(waveform) == -1).all()


# The audio tokenizers of transformers that cannot be opened here, each with the reason.
NOT_OPENED = {
    "pocket_tts_audio_tokenizer": "continuous latents: there are no tokens",
    "vibevoice_acoustic_tokenizer": "continuous latents: there are no tokens",
}
# Those that open here, though transformers lists them under other tasks.
NOT_LISTED = {"encodec", "mimi", "xcodec"}


def test_every_audio_tokenizer_that_transformers_lists():
    """A release with a new one fails here: support it, or write down why not."""
    from transformers.models.auto import modeling_auto

    listed = set(modeling_auto.MODEL_FOR_AUDIO_TOKENIZATION_NAMES)
    opened = {kind for kind in listed if kind not in NOT_OPENED}
    missing = set() if hasattr(transformers, "WavTokenizerModel") else {"wavtokenizer"}  # 5.24
    assert opened == set(hf._KINDS) - NOT_LISTED - missing
    for model_type in NOT_OPENED:
        with pytest.raises(CodecError, match=NOT_OPENED[model_type]):
            hf._kind({"model_type": model_type}, "hf:x")
    for model_type in listed - NOT_OPENED.keys():
        kind = hf._kind({"model_type": model_type}, "hf:x")
        assert modeling_auto.MODEL_FOR_AUDIO_TOKENIZATION_NAMES[model_type] == kind.MODEL


@pytest.mark.usefixtures("forked_processes")
def test_conforms(folders):
    check_codec(audiotok.load(f"hf:{folders['dac']}"), OF_THE_CARD)  # all of them: test_wrapped


def configured(folder, **content):
    (folder / "config.json").write_text(json.dumps(content))
    return f"hf:{folder}"


@pytest.mark.parametrize(
    ("model_type", "message"),
    [
        ("vibevoice_acoustic_tokenizer", "gives continuous latents: there are no tokens"),
        ("pocket_tts_audio_tokenizer", "gives continuous latents: there are no tokens"),
        ("llama", "model_type 'llama', which is not supported: expected one of dac, encodec, hi"),
        (None, "model_type 'None'"),
    ],
)
def test_what_gives_no_tokens_is_refused(model_type, message, tmp_path):
    with pytest.raises(CodecError, match=message) as caught:
        audiotok.load(configured(tmp_path, model_type=model_type))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model_type": "dac", "sampling_rate": 1}, "gives no codec: .*sample_rate_in"),
        ({"model_type": "dac", "n_codebooks": "x"}, "config.json is refused: .*n_codebooks"),
        ({"model_type": "dac", "n_codebooks": 0}, "gives no codec"),
        ({"model_type": "dac", "downsampling_ratios": []}, "holds no file of weights"),
        ({"model_type": "mimi", "codebook_size": 1000}, "config.json is refused"),
        ({"model_type": "dac"}, "holds no file of weights"),
    ],
)
def test_configurations_of_no_codec(content, message, tmp_path):
    with pytest.raises(AudiotokError, match=message) as caught:
        audiotok.load(configured(tmp_path, **content))
    assert "\n" not in str(caught.value)


def test_every_discrete_tokenizer_that_transformers_lists_is_known():
    from transformers.models.auto.modeling_auto import MODEL_FOR_AUDIO_TOKENIZATION_NAMES

    from audiotok.codecs.hf import _CONTINUOUS, _KINDS

    for model_type in MODEL_FOR_AUDIO_TOKENIZATION_NAMES:
        assert model_type in _KINDS or model_type.startswith(_CONTINUOUS)


# --- from the Hub -------------------------------------------------------------------------------


@pytest.fixture
def hub(folders, monkeypatch, tmp_path):
    """A Hub that has someone/dac and someone/neu; what was asked of it."""
    asked = []
    places = {"someone/dac": folders["dac"], "someone/neu": folders["neucodec"]}
    transformers.NeuCodecFeatureExtractor().save_pretrained(folders["neucodec"])

    def download(repository, file, revision, local_files_only):
        asked.append((repository, file, revision))
        return str(places[repository] / file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setenv("AUDIOTOK_HOME", str(tmp_path))
    return asked


def test_by_name_from_the_hub(hub):
    card = registry.find_card("hf:someone/dac:codebooks=2")
    assert (card.name, card.base_name) == ("hf:someone/dac:codebooks=2", "hf:someone/dac")
    assert hub == [("someone/dac", "config.json", "main")]
    codec = audiotok.load("hf:someone/dac@v1:codebooks=2")
    assert (codec.card.weights.repository, codec.card.weights.revision) == ("someone/dac", "v1")
    assert ("someone/dac", "model.safetensors", "v1") in hub
    assert codec.encode((tiny.sound(1, 16_000)[0], 16_000)).codes.shape == (1, 2, 50)
    audiotok.load("hf:someone/neu")
    assert ("someone/neu", "preprocessor_config.json", "main") in hub


def test_the_user_s_own_files_come_first(hub, folders, tmp_path):
    place = tmp_path / "hf" / "someone" / "dac"
    place.parent.mkdir(parents=True)
    place.symlink_to(folders["dac"])
    audiotok.load("hf:someone/dac")
    assert hub == []


def test_offline(monkeypatch, tmp_path, caplog):
    def fail(repository, file, revision, local_files_only):
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    monkeypatch.setenv("AUDIOTOK_HOME", str(tmp_path))
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(CheckpointError, match="hf:someone/dac needs config.json, which") as caught,
    ):
        audiotok.load("hf:someone/dac")
    line = str(caught.value)
    assert "resolve/main/config.json" in line and "hf:FOLDER" in line and "\n" not in line
    assert str(tmp_path / "hf" / "someone" / "dac" / "config.json") in line


@pytest.mark.parametrize("name", ["", "dac", "/no/such/folder", "a/b/c", "../x", "a/b@", "./x"])
def test_names_that_are_neither(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CodecError, match="neither a folder nor a repository: expected hf:FOLDER"):
        audiotok.load(f"hf:{name}")


def test_options_are_those_of_the_codec(folders):
    with pytest.raises(CodecError, match="has no option 'merge=2'; options: codebooks, channels"):
        audiotok.load(f"hf:{folders['dac']}:merge=2")
    with pytest.raises(CodecError, match="cannot stop after 5 codebooks; allowed: 1, 2, 3, 4"):
        audiotok.load(f"hf:{folders['dac']}:codebooks=5")


def test_without_transformers(folders, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(
        MissingPackageError, match=r"needs the package transformers.*audiotok\[hf\]"
    ):
        audiotok.load(f"hf:{folders['dac']}")


MUSIC = dict(
    sampling_rate=32_000,
    target_bandwidths=[2.2],
    codebook_size=2048,
    upsampling_ratios=[8, 5, 4, 4],
    use_causal_conv=False,
)


@pytest.mark.parametrize(
    ("sizes", "codebooks"),
    [
        (MUSIC, (2048,) * 4),  # as facebook/encodec_32khz, of MusicGen
        (dict(target_bandwidths=[1.5, 3.0, 6.0]), (1024,) * 8),
        (dict(codebook_size=64, upsampling_ratios=[3, 2], num_residual_layers=2), (64,)),
        (dict(audio_channels=2, kernel_size=5, compress=4, num_lstm_layers=1), (1024,) * 32),
    ],
)
def test_an_encodec_of_any_size(sizes, codebooks, tmp_path):
    torch.manual_seed(0)
    config = transformers.EncodecConfig(hidden_size=32, num_filters=4, **sizes)
    model = transformers.EncodecModel(config).eval()
    rate, hop = config.sampling_rate, config.hop_length
    sound = tiny.sound(2.0, rate).repeat(1, config.audio_channels, 1)
    with torch.no_grad():
        residual = model.encoder(sound)
        for layer in model.quantizer.layers:
            layer.codebook.embed.copy_(tiny.drawn(residual, config.codebook_size))
            residual = residual - layer.decode(layer.encode(residual))
    model.save_pretrained(tmp_path)
    codec = audiotok.load(f"hf:{tmp_path}")
    assert codec.codebook_sizes[: len(codebooks)] == codebooks
    assert codec.card.sample_rate_in == config.sampling_rate
    sound = sound[..., : 50 * hop + 3]
    with torch.no_grad():
        expected = model.encode(sound, bandwidth=config.target_bandwidths[-1]).audio_codes[0]
        waveform = model.decode(expected[None], [None]).audio_values
    codes = codec.encode((sound[0], rate)).codes
    assert torch.equal(codes, expected) and len(codes.unique()) > 5
    result = codec.decode_codes(codes)
    torch.testing.assert_close(result, waveform[..., : result.shape[-1]], rtol=0, atol=1e-6)
    (outcome,) = examine(codec, ["tensor level"])
    assert outcome.state == "kept", outcome


def test_an_encodec_in_chunks_is_refused(tmp_path):
    name = configured(tmp_path, model_type="encodec", chunk_length_s=1.0, normalize=True)
    with pytest.raises(CodecError, match="in chunks, each at its own level: load encodec-48k"):
        audiotok.load(name)
