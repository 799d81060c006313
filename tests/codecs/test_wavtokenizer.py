"""WavTokenizer against an independent forward, its checkpoints, and what it refuses."""

import json

import pytest
import torch
from support import plain_wavtokenizer as plain
from support import tiny_wavtokenizer as tiny

import audiotok
import audiotok.testing.sounds
from audiotok.codec import checkpoints
from audiotok.codecs import wavtokenizer
from audiotok.codecs.wavtokenizer import WavTokenizer, read_network
from audiotok.errors import CheckpointError
from audiotok.nn.wavtokenizer import WavTokenizerConfig, WavTokenizerNetwork

SMALL_40 = "wavtokenizer-small-40"
GOLDEN_CODES = [6, 37, 16, 39, 29]
GOLDEN_SOUND = [-0.00991841, -0.005306, 0.24158, -0.0467255, 0.0557893]


@pytest.fixture(scope="module")
def official_file(tmp_path_factory):
    """A random checkpoint of the official sizes at 40 tokens per second, in the official format."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("official") / "small.ckpt"
    network = WavTokenizerNetwork(WavTokenizerConfig(strides=(4, 5, 5, 6)))
    network.quantizer.codebook.normal_()
    state = tiny.official_state(network)
    state["head.istft.window"] = torch.hann_window(2400)
    torch.save({"state_dict": state, "epoch": 3, "global_step": 7}, path)
    return path


@pytest.mark.parametrize("name", ["wavtokenizer-mini", "wavtokenizer-mini:merge=2"])
def test_long_sound_has_the_codes_of_the_whole(name):
    """The encoder is fed in pieces; its LSTM remembers, its convolutions wait for what comes."""
    codec, parts = audiotok.load(name, quiet=True), audiotok.load(name, quiet=True)
    sound = audiotok.testing.sounds.audio(audiotok.testing.sounds.voice(16000, 7), 16000)
    parts.window_seconds, parts.context_seconds, parts.piece_seconds = 1.0, 0.0, 0.8
    assert (parts.encode(sound).codes != codec.encode(sound).codes).sum() <= 1


@pytest.mark.parametrize("length", [1, 2, 11, 12, 13, 100, 240, 241])
def test_equals_an_independent_forward(length, tmp_path):
    network = tiny.network()
    state = tiny.official_state(network)
    converted, config = read_network(state, {}, tmp_path / "tiny.ckpt")
    assert config == tiny.CONFIG
    ours = WavTokenizerNetwork(config).eval()
    checkpoints.load_strict(ours, converted, "tiny.ckpt")
    waveform = torch.randn(length, generator=torch.Generator().manual_seed(length))
    latents, codes = plain.encode(state, config.strides, waveform)
    sound = plain.decode(state, 12, codes)
    with torch.no_grad():
        torch.testing.assert_close(
            ours.encoder(waveform[None, None])[0].double(), latents, rtol=1e-4, atol=1e-5
        )
        assert ours.encode(waveform[None, None])[0, 0].tolist() == codes.tolist()
        decoded = ours.decode(codes[None, None])[0, 0].double()
    assert len(decoded) == 12 * -(-length // 12)
    assert (decoded - sound).abs().max() < 1e-5 * sound.abs().max()


def test_the_tiny_network_uses_its_codebook():
    waveform = torch.randn(1, 1, 12 * 300, generator=torch.Generator().manual_seed(5))
    assert tiny.network().encode(waveform).unique().numel() > 25


def test_golden_values_of_the_tiny_network():
    """What the network gave on 2026-11-23, when its codes and sound equalled those of the official
    code (github.com/jishengpeng/WavTokenizer) on the same weights, which `tiny.network` draws by
    its seed."""
    network = tiny.network()
    waveform = torch.sin(torch.arange(60) * 0.3)[None, None]
    with torch.no_grad():
        codes = network.encode(waveform)
        sound = network.decode(torch.tensor([[[0, 7, 49, 3]]]))[0, 0]
    assert codes.flatten().tolist() == GOLDEN_CODES
    torch.testing.assert_close(
        sound[[0, 10, 20, 30, 47]], torch.tensor(GOLDEN_SOUND), rtol=1e-4, atol=1e-5
    )


def test_the_official_checkpoint_loads_and_converts(official_file, tmp_path):
    codec = audiotok.load(SMALL_40, checkpoint=official_file)
    assert (codec.sample_rate, codec.hop_length, codec.card.bitrate) == (24000, 600, 480)
    converted = tmp_path / "small.safetensors"
    codec.save(converted)
    again = audiotok.load(SMALL_40, checkpoint=converted)
    assert again.fingerprint == codec.fingerprint
    noise = torch.randn(1, 24001, generator=torch.Generator().manual_seed(0)) * 0.1
    tokens = codec.encode((noise, 24000))
    assert tokens.codes.shape == (1, 1, 41)
    assert torch.equal(again.encode((noise, 24000)).codes, tokens.codes)
    sound = codec.decode(tokens)
    assert sound.waveform.shape == (1, 24001)
    assert torch.equal(again.decode(tokens).waveform, sound.waveform)


def test_a_checkpoint_of_the_other_frame_rate_is_refused(official_file):
    with pytest.raises(CheckpointError, match="40 tokens per second.*75 tokens per second"):
        audiotok.load("wavtokenizer-small-75", checkpoint=official_file)


def test_a_known_hash_is_compared(official_file):
    with pytest.raises(CheckpointError, match="sha256"):
        audiotok.load("wavtokenizer-medium-speech-75", checkpoint=official_file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("backbone.pos_net.2.q.bias"), "missing: backbone.pos_net.2.q.bias"),
        (lambda s: s.pop("backbone.embed.weight"), "lacks 'backbone.embed.weight'"),
        (lambda s: s.update({"backbone.surplus": torch.ones(1)}), "extra: backbone.surplus"),
        (lambda s: s.update({"surplus.weight": torch.ones(1)}), "unknown key 'surplus.weight'"),
        (lambda s: s.update({"head.out.bias": torch.ones(3)}), "misshapen: head.linear.bias"),
        (lambda s: s.update({"head.istft.window": torch.ones(48)}), "Hann"),
    ],
)
def test_keys_that_do_not_fit_are_named(change, message, tmp_path):
    state = tiny.official_state(tiny.network())
    change(state)
    with pytest.raises(CheckpointError, match=message):
        converted, config = read_network(state, {}, tmp_path / "tiny.ckpt")
        checkpoints.load_strict(WavTokenizerNetwork(config), converted, "tiny.ckpt")


@torch.no_grad()
def test_files_of_transformers(tmp_path, monkeypatch):
    """The same codes and sound as `WavTokenizerModel`, from the folder that it writes."""
    transformers = pytest.importorskip("transformers", minversion="5.24")
    from support import tiny_transformers

    folder = tiny_transformers.write(tiny_transformers.wavtokenizer, tmp_path)
    message = "is not wavtokenizer-large-unify-40: it has .*dimension 32, codebook_size 256"
    for name in ("wavtokenizer-large-unify-40", "wavtokenizer-medium-speech-75"):  # no hash of it
        with pytest.raises(CheckpointError, match=message.replace("large-unify-40", name[13:])):
            audiotok.load(name, checkpoint=folder)
    path = folder / "model.safetensors"
    _, config = read_network(*checkpoints.read_state(path), path)
    monkeypatch.setattr(wavtokenizer, "_sizes_of", lambda card: config)
    codec = audiotok.load("wavtokenizer-large-unify-40", checkpoint=folder)
    model = transformers.WavTokenizerModel.from_pretrained(folder)
    waveform = tiny_transformers.sound(2, 24000)
    codes = codec.network.quantizer.encode(codec.encode_latents(waveform))
    expected = model.encode(waveform).audio_codes
    assert (codes == expected).double().mean() > 0.97 and expected.unique().numel() >= 10
    sound = codec.network.head(codec.network.backbone(codec.network.quantizer.decode(expected)))
    official = model.decode(expected).audio_values
    assert (sound - official).abs().max() < 2e-5 * official.abs().max()
    state = checkpoints.read_state(path)[0] | {"encoder_model.surplus": torch.ones(1)}
    with pytest.raises(CheckpointError, match="unknown key 'encoder_model.surplus'"):
        read_network(state, {}, path)


def test_metadata_that_are_no_configuration(tmp_path):
    with pytest.raises(CheckpointError, match="no WavTokenizerConfig: expected"):
        read_network({}, {"config": json.dumps({"strides": "many"})}, tmp_path / "x.safetensors")


def test_cards():
    cards = {card.name: card for card in WavTokenizer.CARDS}
    rates = {name: (card.token_rate, card.bitrate) for name, card in cards.items()}
    assert rates == {
        "wavtokenizer-mini": (80, 960),
        "wavtokenizer-small-40": (40, 480),
        "wavtokenizer-small-75": (75, 900),
        "wavtokenizer-medium-speech-75": (75, 900),
        "wavtokenizer-medium-music-75": (75, 900),
        "wavtokenizer-large-unify-40": (40, 480),
        "wavtokenizer-large-speech-75": (75, 900),
    }


def test_a_network_of_other_widths_names_what_differs(tmp_path, monkeypatch):
    config = WavTokenizerConfig(strides=(2, 4, 5, 8), backbone_layers=3)  # rates as on the card
    monkeypatch.setattr(checkpoints, "read_state", lambda path: ({}, {"config": "its own"}))
    monkeypatch.setattr(wavtokenizer, "read_network", lambda *_: ({}, config))
    (tmp_path / "w.safetensors").write_bytes(b"")
    message = "it has backbone_layers 3, the card says backbone_layers 12; name"
    with pytest.raises(CheckpointError, match=message):
        audiotok.load("wavtokenizer-small-75", checkpoint=tmp_path / "w.safetensors")
