"""SNAC against an independent forward in fp64, its noise, its rates, and what it refuses."""

import json
import math
import subprocess
import sys

import pytest
import torch
from support import plain_snac
from support import tiny_snac as tiny
from support.parity import assert_close_to_peak
from support.promises import OF_THE_CARD
from support.stack_parity import agree, speech

import audiotok
from audiotok.cli import codecs as verbs
from audiotok.codecs.snac import SNAC
from audiotok.errors import CheckpointError, CodecError
from audiotok.nn.noise import gaussian, key_of
from audiotok.nn.quantizers.base import rows_of
from audiotok.nn.quantizers.strided import pool, repeat
from audiotok.nn.snac import LocalAttention, SNACConfig, SNACNetwork
from audiotok.testing import PROMISES, check_codec
from audiotok.tokens import Tokens

NAMES = list(tiny.CONFIGS)

GOLDEN_KEY = 241242438942863024064233019200944751638
GOLDEN_NOISE = [0.570105, -0.621563, -0.565501, -0.17023]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """One folder for each name, as on the Hub."""
    return {name: tiny.save(name, tmp_path_factory.mktemp(name)) for name in NAMES}


@pytest.fixture(scope="module")
def codecs(folders):
    return {name: audiotok.load(name, checkpoint=folder) for name, folder in folders.items()}


def plain_of(name):
    return plain_snac.Plain(tiny.official_state(tiny.network(name)), tiny.CONFIGS[name])


def at_the_finest_rate(codes, strides):
    pairs = zip(codes, strides, strict=True)
    return torch.stack([result.repeat_interleave(stride) for result, stride in pairs])


@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_an_independent_forward(name, codecs):
    codec, plain = codecs[name], plain_of(name)
    rate, strides = codec.sample_rate, codec.card.strides
    waveform = speech(rate, 12, skip=12)
    whole = codec.network.config.unit * codec.hop_length
    waveform = waveform[..., : waveform.shape[-1] // whole * whole]
    latents, codes = plain.encode(waveform[0, 0])
    codes = at_the_finest_rate(codes, strides)
    rows, residual = [], latents[None]
    for index, (result, stride) in enumerate(zip(codes, strides, strict=True)):
        prefix = f"quantizer.quantizers.{index}"
        rows.append(rows_of(plain.conv(pool(residual, stride)[0], f"{prefix}.in_proj")[None]))
        vectors = plain.state[f"{prefix}.codebook.weight"][result].T
        residual = residual - plain.conv(vectors, f"{prefix}.out_proj")
    with torch.inference_mode():
        ours = codec._encode(waveform)
        encoded = codec.network.encoder(waveform)
        noise = codec._noise([5], 0, codes.shape[-1])
        sound = codec.network.decode(codes[None], noise)
    torch.testing.assert_close(encoded[0].double(), latents, rtol=1e-4, atol=1e-4)
    assert ours[0, -1].unique().numel() >= 100
    # nine seconds have about a hundred codes of the coarsest codebook, not all of them distinct
    agree(codec.network.quantizer, encoded, ours, codes[None], rows, distinct=40)
    expected = plain.decode(codes, [one[0].double() for one in noise])
    assert_close_to_peak(sound[0, 0].double(), expected)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("frames", [1 / 300, 0.99, 1, 1.01, 33.5])
def test_codes_are_the_official_ones_at_any_length(name, frames, codecs):
    codec, plain = codecs[name], plain_of(name)
    length = math.ceil(frames * codec.hop_length)
    waveform = speech(codec.sample_rate, 2)[..., 9000 : 9000 + length]
    with torch.inference_mode():
        ours = codec._encode(waveform)
    assert ours.shape == (1, codec.num_codebooks, math.ceil(frames))
    official = at_the_finest_rate(plain.encode(waveform[0, 0])[1], codec.card.strides)
    assert official.shape[1] % codec.network.config.unit == 0
    assert (ours[0] == official[:, : ours.shape[-1]]).double().mean() > 0.96


@pytest.mark.usefixtures("forked_processes")
@pytest.mark.parametrize("name", NAMES)
def test_keeps_every_promise(name, codecs):
    check_codec(codecs[name], PROMISES if name == NAMES[0] else OF_THE_CARD)


def test_codes_are_rectangular_and_only_the_free_ones_count(codecs):
    codec = codecs["snac-24k"]
    tokens = codec.encode((speech(24000, 2)[0, :, : 21 * 512 - 3], 24000))
    assert tokens.codes.shape == (1, 3, 21)
    assert tokens.strides == (4, 2, 1)
    assert tokens.num_bits == 12 * (6 + 11 + 21)
    for index, stride in enumerate((4, 2, 1)):
        groups = tokens.codes[0, index].split(stride)
        assert all(len(group.unique()) == 1 for group in groups)
    again = Tokens.from_bytes(tokens.to_bytes())
    assert torch.equal(again.codes, tokens.codes)
    assert torch.equal(codec.decode(again).waveform, codec.decode(tokens).waveform)


# --- noise -----------------------------------------------------------------------------------


def test_noise_is_gaussian_and_addressed_by_position():
    noise = gaussian(7, 0, 0, 100_000)
    assert abs(float(noise.mean())) < 0.02
    assert abs(float(noise.std()) - 1) < 0.01
    assert abs(float((noise**4).mean()) - 3) < 0.15
    assert torch.equal(gaussian(7, 0, 1001, 2003), noise[1001:2003])
    for other in (gaussian(8, 0, 0, 100_000), gaussian(7, 1, 0, 100_000), noise.roll(1)):
        assert abs(float((other * noise).mean())) < 0.02


def test_golden_values_of_the_noise():
    """Tokens of old files must go on sounding the same."""
    key = key_of(torch.arange(12).view(3, 4))
    assert key == GOLDEN_KEY
    torch.testing.assert_close(
        gaussian(key, 2, 5, 9), torch.tensor(GOLDEN_NOISE), rtol=1e-6, atol=1e-6
    )


def test_equal_tokens_give_equal_sound_in_any_batch(codecs):
    codec = codecs["snac-24k"]
    sounds = [(speech(24000, 1, skip=second)[0], 24000) for second in range(3)]
    tokens = [codec.encode(sound) for sound in sounds]
    state = torch.get_rng_state()
    alone = [codec.decode(one).waveform for one in tokens]
    torch.manual_seed(1234)
    together = codec.decode_batch([tokens[2], tokens[0], tokens[1]], batch="length")
    for one, other in zip(alone, (together[1], together[2], together[0]), strict=True):
        assert_close_to_peak(one, other.waveform)
    torch.set_rng_state(state)


def test_the_noise_is_heard_and_is_of_the_clip(codecs):
    codec = codecs["snac-24k"]
    codes = codec._encode(speech(24000, 1))
    with torch.inference_mode():
        sound = codec._decode(codes)
        silent = [torch.zeros_like(noise) for noise in codec._noise([0], 0, codes.shape[-1])]
        without = codec.network.decode(codes, silent)
    peak = float(sound.abs().max())
    assert float((sound - without).abs().max()) > 0.01 * peak
    keys = {key_of(codes[0]), key_of(codes[0, :2]), key_of(codes[0, :, :-1]), key_of(codes[0] + 1)}
    assert len(keys) == 4


def test_another_process_decodes_to_the_same_sound(folders, codecs, tmp_path):
    codec = codecs["snac-32k"]
    tokens = codec.encode((speech(32000, 1)[0], 32000))
    tokens.save(tmp_path / "clip.atok")
    program = (
        "import sys, torch, audiotok; torch.set_num_threads(int(sys.argv[3])); torch.rand(9);"
        "codec = audiotok.load('snac-32k', checkpoint=sys.argv[1]);"
        "tokens = audiotok.Tokens.load(sys.argv[2]);"
        "torch.save(codec.decode(tokens).waveform, sys.argv[2] + '.pt')"
    )
    arguments = [folders["snac-32k"], tmp_path / "clip.atok", torch.get_num_threads()]
    subprocess.run([sys.executable, "-c", program, *map(str, arguments)], check=True)
    official = torch.load(tmp_path / "clip.atok.pt", weights_only=True)
    assert torch.equal(official, codec.decode(tokens).waveform)


@pytest.mark.parametrize("name", NAMES)
def test_windows_change_neither_codes_nor_sound(name, folders, codecs):
    """Windows begin where windows of attention do, and hear the noise of the whole clip."""
    sound = (speech(codecs[name].sample_rate, 5)[0], codecs[name].sample_rate)
    windowed = audiotok.load(name, checkpoint=folders[name])
    windowed.window_seconds, windowed.context_seconds = 1.1, 0.8
    assert len(list(windowed._windows(windowed.num_frames(sound[0].shape[1])))) > 3
    whole = codecs[name].encode(sound)
    tokens = windowed.encode(sound)
    assert (tokens.codes == whole.codes).double().mean() > 0.99
    expected = codecs[name].decode(whole).waveform
    assert_close_to_peak(windowed.decode(whole).waveform, expected)


# --- options ---------------------------------------------------------------------------------


def test_fewer_codebooks_are_the_first_ones(folders, codecs):
    sound = (speech(24000, 2)[0], 24000)
    full = codecs["snac-24k"].encode(sound)
    for count, per_group in ((1, 1), (2, 3)):
        fewer = audiotok.load(f"snac-24k:codebooks={count}", checkpoint=folders["snac-24k"])
        tokens = fewer.encode(sound)
        assert torch.equal(tokens.codes, full.codes[:, :count])
        assert fewer.card.bitrate == per_group * 12 * 24000 / 512 / 4
        first = codecs["snac-24k"].decode(full.first(count)).waveform
        assert torch.equal(fewer.decode(tokens).waveform, first)


@pytest.mark.parametrize("num_samples", [1, 12_000, 20_001])
def test_merging(num_samples, folders, codecs):
    codec = codecs["snac-24k"]
    sound = (speech(24000, 2)[0, :, :num_samples], 24000)
    merged = audiotok.load("snac-24k:merge=2/3", checkpoint=folders["snac-24k"])
    assert merged.card.strides == (8, 6, 1)
    tokens = merged.encode(sound)
    frames = tokens.num_frames
    assert tokens.num_bits == 12 * (-(-frames // 8) + -(-frames // 6) + frames)
    with torch.no_grad():
        padded = torch.nn.functional.pad(sound[0][None], (0, -num_samples % 2048))
        residual = codec.network.encoder(padded)
        pairs = zip(codec.network.quantizer.stages, (8, 6, 1), strict=True)
        for index, (stage, stride) in enumerate(pairs):
            pooled = repeat(pool(residual, stride), stride, residual.shape[-1])
            result = stage.encode(pooled)
            assert torch.equal(tokens.codes[0, index], result[0, 0, :frames])
            residual = residual - stage.decode(result)
    again = Tokens.from_bytes(tokens.to_bytes())
    assert torch.equal(merged.decode(again).waveform, merged.decode(tokens).waveform)
    assert merged.decode(again).num_samples == num_samples


def test_merging_by_one_is_plain(folders, codecs):
    sound = (speech(24000, 1)[0], 24000)
    merged = audiotok.load("snac-24k:merge=1/1/1", checkpoint=folders["snac-24k"])
    assert torch.equal(merged.encode(sound).codes, codecs["snac-24k"].encode(sound).codes)


@pytest.mark.parametrize("name", NAMES)
def test_fast_precision(name, folders):
    fast = audiotok.load(f"{name}:precision=fast", checkpoint=folders[name])
    sound = (speech(fast.sample_rate, 1)[0], fast.sample_rate)
    assert 0 < fast.changed_codes(sound) < 0.9
    assert fast.reconstruct(sound).num_samples == fast.sample_rate


# --- blocks and cards ------------------------------------------------------------------------


def test_attention_stays_in_its_window():
    generator = torch.Generator().manual_seed(0)
    block = LocalAttention(64, 4).eval()
    hidden = torch.randn(1, 64, 11, generator=generator)
    changed = hidden.clone()
    changed[..., 5] += 1
    with torch.no_grad():
        moved = (block(changed) - block(hidden)).abs().amax((0, 1)) > 0
        shorter = block(hidden[..., 8:])  # the last window, three frames long, by itself
    assert moved.tolist() == [False] * 4 + [True] * 4 + [False] * 3
    torch.testing.assert_close(block(hidden)[..., 8:], shorter)


@pytest.mark.parametrize("window", [None, 8])
def test_lookahead_is_as_far_as_codes_look(window):
    """By the gradient of what a code is searched for: it reaches that far, and no farther."""
    config = SNACConfig(
        strides=(2, 3),
        num_filters=16,
        dimension=64,
        decoder_strides=(3, 2),
        decoder_channels=64,
        attention_window=window,
        codebook_strides=(4, 2, 1),
    )
    encoder = SNACNetwork(config).encoder.double()
    with torch.no_grad():
        for name, weight in encoder.named_parameters():
            if ".to_qkv." not in name and ".to_out." not in name:
                weight.fill_(0.1)  # no way through the network cancels another
    waveform = torch.rand(1, 1, 60 * 6, dtype=torch.float64).requires_grad_()
    latents, farthest = encoder(waveform), 0
    for frame in range(16, 24):
        group = latents[..., frame // 4 * 4 : frame // 4 * 4 + 4]
        (gradient,) = torch.autograd.grad(group.square().sum(), waveform, retain_graph=True)
        last = int(gradient[0, 0].nonzero().max())
        farthest = max(farthest, last + 1 - (frame + 1) * 6)
    assert farthest == config.reach


def test_lookahead_of_the_cards():
    reach = {card.name: card.lookahead for card in SNAC.CARDS}
    assert reach == {"snac-24k": 6293, "snac-32k": 17421, "snac-44k": 17421}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("encoder.block.0.bias"), "missing: encoder.layers.0.bias"),
        (lambda s: s.update({"decoder.surplus": torch.ones(1)}), "extra: decoder.surplus"),
        (
            lambda s: s.update({"encoder.block.0.bias": torch.ones(9)}),
            "misshapen: encoder.layers.0.bias",
        ),
        (
            lambda s: s.update({"encoder.block.5.rel_pos.inv_freq": torch.ones(32)}),
            "encoder.layers.5.rel_pos.inv_freq are not the frequencies expected",
        ),
    ],
)
def test_keys_that_do_not_fit_are_named(change, message, folders, tmp_path):
    state = tiny.official_state(tiny.network("snac-32k"))
    change(state)
    torch.save(state, tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text(json.dumps(tiny.ATTENDING))
    with pytest.raises(CheckpointError, match=message) as refusal:
        audiotok.load("snac-32k", checkpoint=tmp_path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vq_strides": [8, 4, 2, 1]}, r"is not of snac-24k: it has 24000 Hz"),
        ({"sampling_rate": 32000}, r"32000 Hz, .* the card says 24000 Hz"),
        ({"encoder_dim": 0}, "encoder_dim: Input should be greater than 0"),
        ({"architectures": ["SNAC"]}, "architectures: Extra inputs"),
        ({"latent_dim": 5}, "latent_dim 5 is not the encoder's 64"),
        ({"decoder_rates": [8, 8]}, "differ in their product"),
        ({"decoder_dim": 33}, "does not halve"),
        ({"attn_window_size": 32}, "no heads of 64"),
    ],
)
def test_configurations_that_do_not_fit(changes, message, folders, tmp_path):
    weights = (folders["snac-24k"] / "pytorch_model.bin").read_bytes()
    (tmp_path / "pytorch_model.bin").write_bytes(weights)
    (tmp_path / "config.json").write_text(json.dumps(tiny.PLAIN | changes))
    with pytest.raises(CheckpointError, match=message) as refusal:
        audiotok.load("snac-24k", checkpoint=tmp_path)
    assert "\n" not in str(refusal.value)


def test_without_a_configuration_sizes_are_the_official_ones(folders, tmp_path):
    weights = (folders["snac-24k"] / "pytorch_model.bin").read_bytes()
    (tmp_path / "weights.bin").write_bytes(weights)
    with pytest.raises(CheckpointError, match="declares a network much larger than its weights"):
        audiotok.load("snac-24k", checkpoint=tmp_path / "weights.bin")


def test_cards():
    rates = {card.name: (card.token_rate, round(card.bitrate, 2)) for card in SNAC.CARDS}
    assert rates == {
        "snac-24k": (7 * 24000 / 2048, 984.38),
        "snac-32k": (15 * 32000 / 3072, 1875.0),
        "snac-44k": (15 * 44100 / 3072, 2583.98),
    }
    assert audiotok.codec.registry.find_card("snac").name == "snac-24k"


def test_converting_says_that_the_official_file_loads(folders, tmp_path):
    with pytest.raises(CodecError, match="snac-24k loads the official file with"):
        verbs.convert("snac-24k", folders["snac-24k"], tmp_path / "out.safetensors")
    with pytest.raises(CodecError, match="opus-6k has no weights|leave out"):
        verbs.convert("opus-6k", folders["snac-24k"], tmp_path / "out.safetensors")
