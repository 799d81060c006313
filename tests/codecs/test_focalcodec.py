"""FocalCodec against outputs of the official code, its formats, its streams, what it refuses."""

import json
import warnings
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from support import official_weights
from support import tiny_focalcodec as tiny
from support.parity import assert_close_to_peak
from support.promises import OF_THE_CARD

import audiotok
from audiotok.codecs import focalcodec
from audiotok.codecs.focalcodec import FocalCodec
from audiotok.errors import CheckpointError
from audiotok.nn.convolutions import LeftPaddedConv1d
from audiotok.nn.focalcodec import FocalCodecConfig, FocalCodecNetwork, decoder_in_pieces
from audiotok.testing import check_codec

GOLDEN = Path(__file__).parents[1] / "official" / "golden"
NAMES = list(tiny.CONFIGS)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {name: tiny.save(name, tmp_path_factory.mktemp(name)) for name in NAMES}


@pytest.fixture(scope="module")
def codecs(folders):
    return {name: audiotok.load(name, folder) for name, folder in folders.items()}


@pytest.mark.parametrize("name", NAMES)
def test_the_values_of_the_official_code(name, tmp_path):
    """Of lucadellalib/focalcodec at the commit in the file; the weights come from a seed."""
    with safe_open(GOLDEN / f"{name}.safetensors", "pt") as file:
        kept, about = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118
    assert about["commit"] == "912b7f2c0cd43d54a8aed296bbcc925dec7d4ea3"
    state = official_weights.state(kept, json.loads(about["shapes"]), 0)
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(tiny.CONFIGS[name]))
    codec = audiotok.load(name, tmp_path)
    waveform, expected = official_weights.sound(16000, 8), kept["codes 0"].long()[None, None]
    with torch.inference_mode():
        latents, codes = codec._encode_latents(waveform), codec._encode(waveform)
        sound = codec._decode(expected)
    assert (latents[0] - kept["latents"]).abs().max() <= 1e-5
    sure = latents.abs().amin(1) > 1e-5  # no sign is decided by rounding
    assert torch.equal(codes[:, 0][sure], expected[:, 0][sure])
    assert sure.double().mean() > 0.98 and codes.unique().numel() >= 100
    assert sound.shape[-1] == 8 * codec.sample_rate
    assert (sound[0, 0, :4000] - kept["sound"]).abs().max() <= 1e-5 * float(about["peak"])


@pytest.mark.parametrize("name", NAMES)
def test_keeps_the_promises_of_a_card(name, codecs):
    check_codec(codecs[name], OF_THE_CARD)


def test_a_stream_longer_than_the_window_of_attention_is_as_the_whole(codecs):
    """514 frames, 512 of which attention sees; the last chunk has two frames."""
    codec = codecs["focalcodec-stream-4k"]
    waveform = official_weights.sound(16000, 11)[0, :, : 514 * 320 - 100]
    whole = codec.encode((waveform, 16000))
    assert whole.codes.shape[-1] == 514
    stream, step = codec.stream(), 40 * 320
    chunks = [waveform[:, start : start + step] for start in range(0, waveform.shape[1], step)]
    codes = [stream.encode(chunk, last=chunk is chunks[-1]) for chunk in chunks]
    sound = [stream.decode(each, last=each is codes[-1]) for each in codes]
    assert torch.equal(torch.cat(codes, -1), whole.codes)
    expected = codec.decode(whole).waveform
    assert_close_to_peak(torch.cat(sound, -1)[:, : expected.shape[1]], expected)


def test_streams_in_a_batch_are_as_single_ones(codecs):
    """The second item begins two chunks later than the first, and ends with it."""
    codec = codecs["focalcodec-stream-4k"]
    waveform, step = official_weights.sound(16000, 1)[0, :, : 12 * 1280], 1280
    late = waveform.flip(1)[:, : 10 * step]
    expected = [codec.encode((each, 16000)).codes for each in (waveform, late)]
    found = [[], []]
    with codec.stream(batch=2) as streams:
        for number in range(12):
            first = waveform[:, number * step : (number + 1) * step]
            second = late[:, max(0, number - 2) * step :][:, :step]
            masks = {"mask": [True, number >= 2], "last": [number == 11, number == 11]}
            for codes, each in zip(found, streams.encode([first, second], **masks), strict=True):
                codes.append(each)
    for codes, each in zip(found, expected, strict=True):
        assert torch.equal(torch.cat(codes, -1), each)


def test_a_causal_vocos_runs_in_pieces():
    config = json.loads(json.dumps(tiny.CONFIGS["focalcodec-stream-4k"]))
    network = FocalCodecNetwork(FocalCodecConfig(**config | {"decoder_name": "Vocos"})).eval()
    codes = torch.arange(22)[None, None] * 181
    decoder = decoder_in_pieces(network)
    with torch.inference_mode():
        whole = network.synthesize(network.quantizer.decode(codes))
        parts = [decoder(codes[..., k : k + 3], k + 3 >= 22) for k in range(0, 22, 3)]
    assert whole.shape == (1, 1, 22 * 320) and not parts[0].numel()
    assert_close_to_peak(torch.cat(parts, -1), whole)


def test_the_first_version_of_the_format_loads(codecs, tmp_path):
    codec = audiotok.load("focalcodec-25", tiny.save_first_version("focalcodec-25", tmp_path))
    ours = codecs["focalcodec-25"].network.state_dict()
    assert codec.network.state_dict().keys() == ours.keys()
    for key, tensor in codec.network.state_dict().items():
        assert torch.equal(tensor, ours[key]), key


@pytest.mark.parametrize("name", NAMES)
def test_random_weights(name, monkeypatch):
    monkeypatch.setattr(focalcodec, "sizes", lambda card: FocalCodecConfig(**tiny.CONFIGS[name]))
    one, two = (audiotok.load(name, random_weights=True) for _ in range(2))
    tokens = one.encode((official_weights.sound(16000, 2)[0], 16000))
    assert tokens.codes.shape == (1, 1, 2 * one.frame_rate)
    assert tokens.codes.unique().numel() > 5
    assert torch.equal(one.decode(tokens).waveform, two.decode(tokens).waveform)


@pytest.mark.parametrize("card", FocalCodec.CARDS, ids=lambda card: card.name)
def test_random_weights_are_as_many_as_the_published_ones(card):
    config = focalcodec.sizes(card)
    with torch.device("meta"):
        network = FocalCodecNetwork(config)
    size = 4 * sum(weight.numel() for weight in network.parameters())
    assert size == pytest.approx(card.weights.size_about, rel=0.03)
    assert (config.hop_length, config.causal) == (card.hop_length, card.causal)
    assert config.quantizer_config.codebook_size == card.codebook_sizes[0]


@pytest.mark.filterwarnings("ignore:Using padding")
@pytest.mark.parametrize(("kernel", "dilation"), [(14, 1), (7, 1), (4, 3)])
def test_padding_of_even_kernels_is_that_of_pytorch_without_its_warning(kernel, dilation):
    sizes = {"kernel_size": kernel, "dilation": dilation, "padding": "same"}
    layer, other = LeftPaddedConv1d(3, 4, **sizes), torch.nn.Conv1d(3, 4, **sizes)
    other.load_state_dict(layer.state_dict())
    hidden = torch.randn(2, 3, 50, generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings(action="error"):
        output = layer(hidden)
    torch.testing.assert_close(output, other(hidden))


def test_cards():
    cards = {card.name: card for card in FocalCodec.CARDS}
    rates = {name: (card.frame_rate, card.bitrate) for name, card in cards.items()}
    assert rates == {
        "focalcodec-50": (50, 650),
        "focalcodec-25": (25, 325),
        "focalcodec-12.5": (12.5, 162.5),
        "focalcodec-stream-2k": (50, 550),
        "focalcodec-stream-4k": (50, 600),
        "focalcodec-stream-65k": (50, 800),
    }
    assert [card.weights.repository.partition("_")[2] for card in cards.values()] == [
        "50hz", "25hz", "12_5hz", "50hz_2k_causal", "50hz_4k_causal", "50hz_65k_causal"
    ]  # fmt: skip
    latencies = {card.algorithmic_latency_ms for card in cards.values() if card.streamable}
    assert latencies == {80}
    assert audiotok.codec.registry.find_card("focalcodec").name == "focalcodec-50"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s, c: s.pop("compressor.out_proj.bias"),
            "1 missing: compressor.out_proj.bias",
        ),
        (lambda s, c: s.update({"extra": torch.ones(1)}), "1 extra: extra"),
        (
            lambda s, c: c["quantizer_config"].update(codebook_size=4096),
            "codebook_size is not 2 to the power of the compressor's output_dim",
        ),
        (
            lambda s, c: c["compressor_config"].update(downscale_factors=[1, 1]),
            "is not of focalcodec-25: it has 320 samples to 640, a codebook of 8192, causal chunks "
            "of 0, the card says 640 samples to 640",
        ),
        (lambda s, c: c["encoder_config"].update(causal=True), "some of its parts are causal"),
        (lambda s, c: c["encoder_config"].update(size=3), "encoder_config.size: Extra inputs"),
        (lambda s, c: c["decoder_config"].update(dimension=3), "dimension: Extra inputs"),
        (lambda s, c: c.update(decoder_name="HiFiGAN"), "decoder_name: Input should be 'Vocos'"),
    ],
)
def test_what_does_not_fit_is_named(change, message, tmp_path):
    with pytest.raises(CheckpointError, match=message) as refusal:
        audiotok.load("focalcodec-25", tiny.save("focalcodec-25", tmp_path, change))
    assert "\n" not in str(refusal.value)


def test_a_missing_or_damaged_configuration_is_named(tmp_path):
    tiny.save("focalcodec-25", tmp_path)
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(CheckpointError, match=r"config\.json is no configuration of a FocalCodec"):
        audiotok.load("focalcodec-25", tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"config\.json is missing: the weights of focalc"):
        audiotok.load("focalcodec-25", tmp_path)
