"""DAC against transformers' DacModel, its checkpoints, its options, and what it refuses."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from support import tiny_dac as tiny
from support.parity import assert_close_to_peak
from support.promises import OF_THE_CARD
from support.stack_parity import agree, draw_codebooks, scatter, speech

import audiotok
from audiotok.codecs.dac import DAC
from audiotok.errors import CheckpointError, CodecError
from audiotok.nn.dac import DACDecoder, DACEncoder, Snake, decoder_reach, encoder_reach
from audiotok.nn.quantizers.strided import pool, repeat
from audiotok.testing import PROMISES, check_codec
from audiotok.tokens import Tokens


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A file in the original format."""
    return tiny.save_original(tiny.network(), tmp_path_factory.mktemp("dac") / "weights.pth")


@pytest.fixture(scope="module")
def codec(original):
    return audiotok.load("dac-16k", checkpoint=original)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """transformers' model, and the folder where it was saved."""
    transformers = pytest.importorskip("transformers")
    config = transformers.DacConfig(
        encoder_hidden_size=4,
        decoder_hidden_size=48,
        downsampling_ratios=[2, 4, 5, 8],
        n_codebooks=12,
    )
    model = scatter(transformers.DacModel(config)).eval()
    with torch.no_grad():
        latents = model.encoder(speech(16000, 8))
    draw_codebooks(model.quantizer.quantizers, (1,) * 12, latents)
    folder = tmp_path_factory.mktemp("transformers")
    model.save_pretrained(folder)
    return model, folder


def test_agrees_with_transformers(theirs):
    model, folder = theirs
    ours = audiotok.load("dac-16k", checkpoint=folder)
    waveform = speech(16000, 8, skip=8)[..., :-77]
    padded = torch.nn.functional.pad(waveform, (0, 77))
    with torch.inference_mode():
        result = model.encode(padded)
        rows = result.projected_latents.unflatten(1, (12, 8)).transpose(2, 3)[0]
        latents = ours.network.encoder(waveform)
        codes = ours._encode(waveform)
        assert agree(ours.network.quantizer, latents, codes, result.audio_codes, rows) < 20
        sound = model.decode(audio_codes=result.audio_codes).audio_values[:, None]
        decoded = ours._decode(result.audio_codes)
    assert decoded.shape == padded.shape
    assert sound.shape[-1] == padded.shape[-1] - 8  # the odd stride
    assert not decoded[..., -8:].any()
    assert_close_to_peak(decoded[..., :-8], sound)


@pytest.mark.parametrize("length", [1, 319, 320, 321, 4567])
def test_agrees_with_transformers_at_any_length(theirs, length):
    model, folder = theirs
    ours = audiotok.load("dac-16k", checkpoint=folder)
    waveform = speech(16000, 2)[..., 8000 : 8000 + length]
    padded = torch.nn.functional.pad(waveform, (0, -length % 320))
    with torch.inference_mode():
        expected = model.encode(padded).audio_codes
        codes = ours._encode(waveform)
        assert codes.shape == (1, 12, -(-length // 320))
        assert (codes == expected).float().mean() > 0.98
        torch.testing.assert_close(
            ours.network.encoder(waveform), model.encoder(padded), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("parametrized", [False, True])
def test_original_checkpoints_load(parametrized, codec, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"state_dict": tiny.original_state(tiny.network(), parametrized)}, path)
    loaded = audiotok.load("dac-16k", checkpoint=path)
    ours = tiny.network().state_dict()
    for key, tensor in loaded.network.state_dict().items():
        torch.testing.assert_close(tensor, ours[key], rtol=1e-5, atol=1e-7)
    assert loaded.fingerprint == codec.fingerprint


@pytest.mark.usefixtures("forked_processes")
@pytest.mark.parametrize("name", ["dac-16k", "dac-44k"])
def test_keeps_every_promise(name, tmp_path):
    path = tiny.save_original(tiny.network(name), tmp_path / "weights.pth")
    promises = PROMISES if name == "dac-16k" else OF_THE_CARD
    check_codec(audiotok.load(name, checkpoint=path), promises)


def test_fewer_codebooks_are_the_first_ones(codec, original):
    sound = (speech(16000, 2)[0], 16000)
    full = codec.encode(sound)
    assert (full.bitrate, full.codes.shape) == (6000, (1, 12, 100))
    for count in (1, 5):
        fewer = audiotok.load(f"dac-16k:codebooks={count}", checkpoint=original)
        tokens = fewer.encode(sound)
        assert torch.equal(tokens.codes, full.codes[:, :count])
        assert (tokens.bitrate, fewer.card.bitrate) == (500 * count, 500 * count)
        first = codec.decode(full.first(count)).waveform
        assert torch.equal(fewer.decode(tokens).waveform, first)
        assert not torch.equal(first, codec.decode(full).waveform)


@pytest.mark.parametrize("count", [0, 13])
def test_a_number_of_codebooks_it_lacks_is_refused(count):
    with pytest.raises(CodecError, match=f"cannot stop after {count} codebooks; allowed: 1, 2, "):
        audiotok.load(f"dac-16k:codebooks={count}", checkpoint="not looked for")


@pytest.mark.parametrize("num_samples", [1, 8000, 8321])
def test_merging(num_samples, codec, original):
    """Pooled before the search, repeated after it, the residual from what was not pooled."""
    sound = (speech(16000, 2)[0, :, 4000 : 4000 + num_samples], 16000)
    merged = audiotok.load("dac-16k:codebooks=3,merge=3/2", checkpoint=original)
    tokens = merged.encode(sound)
    with torch.no_grad():
        residual = codec.network.encoder(sound[0][None])
        num_frames = residual.shape[-1]
        for index, (stage, rate) in enumerate(
            zip(codec.network.quantizer.stages[:3], (3, 2, 1), strict=True)
        ):
            pooled = repeat(pool(residual, rate), rate, num_frames)  # repeats, then quantizes
            result = stage.encode(pooled)
            assert torch.equal(tokens.codes[0, index], result[0, 0])
            residual = residual - stage.decode(result)
    groups = sum(-(-num_frames // rate) for rate in (3, 2, 1))
    assert tokens.num_bits == 10 * groups
    again = Tokens.from_bytes(tokens.to_bytes())
    assert torch.equal(merged.decode(again).waveform, merged.decode(tokens).waveform)
    assert merged.decode(again).num_samples == num_samples


def test_merging_by_one_is_plain(codec, original):
    sound = (speech(16000, 1)[0], 16000)
    merged = audiotok.load("dac-16k:merge=1/1", checkpoint=original)
    assert torch.equal(merged.encode(sound).codes, codec.encode(sound).codes)


def test_fast_precision(codec, original):
    fast = audiotok.load("dac-16k:precision=fast", checkpoint=original)
    sound = (speech(16000, 1)[0], 16000)
    assert 0 < fast.changed_codes(sound) < 0.7
    reconstruction = fast.reconstruct(sound)
    assert reconstruction.waveform.dtype == torch.float32
    assert reconstruction.num_samples == 16000


def test_latents_that_are_not_finite(codec):
    waveform = speech(16000, 1).clone()
    waveform[..., 9000] = float("nan")
    codes = codec._encode(waveform)
    assert (codes[..., 9000 // 320] == -1).all()
    assert (codes[..., :5] >= 0).all()


def test_lookahead_is_as_far_as_the_encoder_looks():
    """By the sound behind it that changes a frame: none past the lookahead, and some just before.

    All weights are positive, so that no way through the network cancels another.
    """
    encoder = DACEncoder(4, 1, (2, 3, 5))
    with torch.no_grad():
        for name, weight in encoder.named_parameters():
            weight.fill_(0.05 if name.endswith("weight") else 0.01)
    encoder = encoder.double()
    reach, hop = encoder_reach((2, 3, 5)), 30
    waveform = torch.zeros(1, 1, 40 * hop, dtype=torch.float64)
    end = 12 * hop  # of frame 11
    plain = encoder(waveform)[0, :, 11]
    for offset, changes in ((reach - 1, True), (reach, False)):
        changed = waveform.clone()
        changed[..., end + offset] = 1e6
        assert torch.equal(encoder(changed)[0, :, 11], plain) is not changes


def test_samples_depend_on_no_frame_farther_than_the_decoder_reaches():
    """All weights are positive, and a frame is loud enough for its farthest sample to show it."""
    decoder = DACDecoder(4, 8, (5, 3, 2))
    with torch.no_grad():
        for name, weight in decoder.named_parameters():
            weight.fill_(0.2 if name.endswith("weight") else 0.001)
    decoder.layers = decoder.layers[:-1]  # tanh would be full
    decoder, reach = decoder.double(), decoder_reach((5, 3, 2))
    quantized = torch.zeros(1, 4, 60, dtype=torch.float64)
    changed = quantized.clone()
    changed[..., 30] = 1e9
    differs = (decoder(changed) != decoder(quantized))[0, 0].nonzero()
    farthest = max(30 - int(differs.min()) / 30, int(differs.max()) / 30 - 30)
    assert reach - 1 <= farthest <= reach


def test_windows_change_nothing_but_near_ties(original):
    codec, parts = (audiotok.load("dac-16k", checkpoint=original) for _ in range(2))
    sound = (speech(16000, 6)[0], 16000)
    parts.window_seconds = 0.8
    assert 0.1 < parts.context_seconds < 0.3
    assert len(list(parts._windows(300))) == 8
    whole = codec.encode(sound)
    changed = parts.encode(sound).codes != whole.codes
    assert changed.any(1).sum() <= 2
    assert_close_to_peak(parts.decode(whole).waveform, codec.decode(whole).waveform)


def test_lookahead_of_the_cards():
    reach = {card.name: card.lookahead for card in DAC.CARDS}
    assert reach == {"dac-16k": 2493, "dac-24k": 2493, "dac-44k": 3733}


def test_snake_is_its_formula_with_and_without_gradients():
    snake = Snake(3)
    with torch.no_grad():
        snake.alpha.copy_(torch.tensor([0.2, 1.0, 3.0])[None, :, None])
    hidden = torch.randn(2, 3, 50, generator=torch.Generator().manual_seed(0))
    alpha = snake.alpha.double()
    expected = (hidden + torch.sin(alpha * hidden.double()) ** 2 / alpha).detach()
    before = hidden.clone()
    torch.testing.assert_close(snake(hidden).double(), expected, rtol=1e-6, atol=1e-6)
    with torch.inference_mode():
        torch.testing.assert_close(snake(hidden).double(), expected, rtol=1e-6, atol=1e-6)
    assert torch.equal(hidden, before)
    snake(hidden).sum().backward()
    assert snake.alpha.grad.abs().min() > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("encoder.block.0.bias"), "missing: encoder.layers.0.bias"),
        (lambda s: s.pop("decoder.model.0.weight_g"), "lacks 'decoder.layers.0.weight'"),
        (lambda s: s.update({"encoder.surplus": torch.ones(1)}), "extra: encoder.surplus"),
        (
            lambda s: s.update({"decoder.model.6.bias": torch.ones(3)}),
            "misshapen: decoder.layers.6.bias",
        ),
        (
            lambda s: s.pop("quantizer.quantizers.11.codebook.weight"),
            "it has hop length 320, 11 codebooks of 1024, the card says hop length 320, 12",
        ),
    ],
)
def test_keys_that_do_not_fit_are_named(change, message, tmp_path):
    state = tiny.original_state(tiny.network())
    change(state)
    torch.save({"state_dict": state}, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match=message) as refusal:
        audiotok.load("dac-16k", checkpoint=tmp_path / "weights.pth")
    assert "\n" not in str(refusal.value)


def test_a_checkpoint_of_another_card_is_refused(original):
    with pytest.raises(
        CheckpointError, match="is not dac-24k: it has hop length 320, 12 codebooks"
    ):
        audiotok.load("dac-24k:codebooks=8", checkpoint=original)


def test_cards():
    rates = {card.name: (card.num_codebooks, card.frame_rate, card.bitrate) for card in DAC.CARDS}
    assert rates == {
        "dac-16k": (12, 50, 6000),
        "dac-24k": (32, 75, 24000),
        "dac-44k": (9, 44100 / 512, 90 * 44100 / 512),
    }
    assert audiotok.codec.registry.find_card("dac").name == "dac-24k"


def test_a_decoder_of_another_hop_length_is_named():
    config = tiny.network().config
    config = config.model_copy(update={"decoder_strides": (2, *config.decoder_strides[1:])})
    codec = SimpleNamespace(card=DAC.CARDS[0], CARDS=DAC.CARDS)
    with pytest.raises(CheckpointError, match="encoder has hop length 320, its decoder 80"):
        DAC._compare(codec, config, Path("w.pth"))
