"""EnCodec against the encodec package and transformers, its files, and what it refuses."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from support import tiny_encodec as tiny
from support.batches_of_streams import assert_equals_single_streams
from support.promises import WITHOUT_PROCESSES

import audiotok
from audiotok import Tokens
from audiotok.codec.registry import find_card
from audiotok.errors import CheckpointError, CodecError
from audiotok.testing import PROMISES, check_codec

RATES = {"24k": (24000, 1, 32), "48k": (48000, 2, 16)}
LENGTHS = {
    "24k": [1, 2, 7, 319, 320, 321, 8 * 320, 9 * 320 - 1, 24001, 72777],
    "48k": [1, 2, 319, 320, 321, 47519, 47520, 47521, 47680, 47841, 48001, 3 * 47520 + 5000],
}


@pytest.fixture(scope="module")
def models():
    return {name: tiny.official(name) for name in RATES}


@pytest.fixture(scope="module")
def files(models, tmp_path_factory):
    folder = tmp_path_factory.mktemp("encodec")
    for name, model in models.items():
        torch.save(model.state_dict(), folder / f"{name}.th")
    return {name: folder / f"{name}.th" for name in models}


@pytest.fixture(scope="module")
def codecs(files):
    return {name: audiotok.load(f"encodec-{name}", checkpoint=file) for name, file in files.items()}


def with_codes(tokens, codes, levels=None):
    """Tokens of somebody else's codes, through their bytes."""
    side = None if levels is None else levels.contiguous().view(torch.int32)
    made = Tokens(
        codes, tokens.codec, tokens.fingerprint, tokens.num_samples, tokens.sample_rate,
        tokens.codebook_sizes, tokens.strides, side,
    )  # fmt: skip
    return Tokens.from_bytes(made.to_bytes())


def assert_close_to_peak(ours, theirs):
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()


@pytest.mark.parametrize(("name", "length"), [(n, length) for n in RATES for length in LENGTHS[n]])
def test_equals_the_package_at_any_length(codecs, models, name, length):
    rate, channels, _ = RATES[name]
    sound = tiny.audio(rate, channels, length)
    chunks, codes, levels = tiny.official_encode(models[name], sound.waveform)
    tokens = codecs[name].encode(sound)
    assert torch.equal(tokens.codes, codes)
    if levels is not None:
        torch.testing.assert_close(tokens.side.view(torch.float32), levels, rtol=1e-6, atol=0)
    with torch.no_grad():
        expected = models[name].decode(chunks)[0, :, :length]
    decoded = codecs[name].decode(with_codes(tokens, codes, levels)).waveform
    assert_close_to_peak(decoded, expected)


@pytest.mark.parametrize("name", RATES)
def test_codes_equal_the_package_s_but_for_near_ties(codecs, models, name):
    rate, channels, stages = RATES[name]
    sound = tiny.audio(rate, channels, 6 * rate if name == "24k" else 47520)
    _, codes, _ = tiny.official_encode(models[name], sound.waveform)
    for codebook in codes[0]:
        assert codebook.unique().numel() >= 50
    waveform = sound.waveform[None]
    if name == "48k":
        waveform = waveform / waveform.mean(1).square().mean().sqrt()
    network = codecs[name].network
    with torch.no_grad():
        latents = network.encoder(waveform), models[name].encoder(waveform)
        ours = network.quantizer.encode(latents[0])
    assert ours.shape[1] == stages
    assert tiny.disagreements(network.quantizer, *latents, ours, codes) == 0


def test_at_least_a_hundred_codes_are_in_use(codecs):
    for name, (rate, channels, stages) in RATES.items():
        codes = codecs[name].encode(tiny.audio(rate, channels, 5 * rate)).codes[0]
        assert min(codes[k].unique().numel() for k in range(stages)) >= 100


def test_where_the_package_fails_the_last_chunk_is_the_shorter(codecs, models):
    """Its sum is as long as the last chunk reaches, though here the one before reaches further."""
    length = 47520 + 200
    sound = tiny.audio(48000, 2, length)
    chunks, codes, levels = tiny.official_encode(models["48k"], sound.waveform)
    with pytest.raises(RuntimeError, match="must match"), torch.no_grad():
        models["48k"].decode(chunks)
    tokens = codecs["48k"].encode(sound)
    assert torch.equal(tokens.codes, codes)
    decoded = codecs["48k"].decode(tokens).waveform
    with torch.no_grad():
        first = models["48k"]._decode_frame(chunks[0])[0]
    assert_close_to_peak(decoded[:, :47520], first[:, :47520])
    assert decoded.shape == (2, length)


@pytest.mark.parametrize("name", RATES)
def test_equals_transformers_and_loads_what_it_writes(codecs, name, tmp_path):
    pytest.importorskip("transformers")
    official = tiny.transformers_model(name)
    official.save_pretrained(tmp_path)
    codec = audiotok.load(f"encodec-{name}", checkpoint=tmp_path)
    assert codec.fingerprint == codecs[name].fingerprint
    rate, channels, _ = RATES[name]
    sound = tiny.audio(rate, channels, 2 * rate + 777)
    for bandwidth, count in ((3.0, 4 if name == "24k" else 2), (24.0, 32 if name == "24k" else 16)):
        fewer = audiotok.load(f"encodec-{name}:codebooks={count}", checkpoint=tmp_path)
        with torch.no_grad():
            encoded = official.encode(sound.waveform[None], bandwidth=bandwidth)
            padding = encoded.last_frame_pad_length
            decoded = official.decode(*encoded[:2], last_frame_pad_length=padding).audio_values[0]
        codes = torch.cat(list(encoded.audio_codes), dim=-1)
        codes = codes[..., : codes.shape[-1] - padding]
        levels = None if name == "24k" else torch.cat(encoded.audio_scales, dim=1)
        tokens = fewer.encode(sound)
        assert torch.equal(tokens.codes, codes)
        ours = fewer.decode(with_codes(tokens, codes, levels)).waveform
        assert_close_to_peak(ours, decoded[:, : sound.num_samples])


def test_weight_norm_the_old_way_in_transformers_names(codecs, tmp_path):
    pytest.importorskip("transformers")
    tiny.transformers_model("24k").save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    renamed = {
        key.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): tensor
        for key, tensor in state.items()
    }
    assert renamed.keys() != state.keys()
    save_file(renamed, tmp_path / "old.safetensors")
    codec = audiotok.load("encodec-24k", checkpoint=tmp_path / "old.safetensors")
    sound = tiny.audio(24000, 1, 5000)
    assert torch.equal(codec.encode(sound).codes, codecs["24k"].encode(sound).codes)


@pytest.mark.usefixtures("forked_processes")
@pytest.mark.parametrize("name", RATES)
def test_keeps_every_promise(codecs, name):
    check_codec(codecs[name], PROMISES if name == "24k" else WITHOUT_PROCESSES)


@pytest.mark.parametrize("length", [1, 319, 7 * 320, 40 * 320 + 123])
def test_a_stream_equals_the_package(codecs, models, length):
    """Its frames, the first ones included, which see what their padding mirrors."""
    codec, sound = codecs["24k"], tiny.audio(24000, 1, length)
    chunks, expected, _ = tiny.official_encode(models["24k"], sound.waveform)
    for frames in (1, 3, 7):
        given, codes, decoded = [], [], []
        with codec.stream() as stream:
            for chunk in sound.waveform.split(frames * 320, dim=1):
                given.append(given[-1] + chunk.shape[1] if given else chunk.shape[1])
                codes.append(stream.encode(chunk, last=given[-1] == length))
                decoded.append(stream.decode(codes[-1], last=given[-1] == length))
        known = [n // 320 if n >= 7 * 320 else 0 for n in given[:-1]]
        counts = torch.tensor([each.shape[-1] for each in codes]).cumsum(0).tolist()
        assert counts == [*known, -(-length // 320)]
        assert torch.equal(torch.cat(codes, -1), expected)
        with torch.no_grad():
            whole = models["24k"].decode(chunks)[0, :, :length]
        assert_close_to_peak(torch.cat(decoded, -1)[:, :length], whole)


def test_a_batch_of_streams_equals_single_ones(codecs):
    assert assert_equals_single_streams(codecs["24k"], batch=3, turns=24, most=5) > 5


def test_long_sound_has_the_codes_of_the_whole(codecs, files):
    sound, codec = tiny.audio(24000, 1, 9 * 24000 + 77), codecs["24k"]
    parts = audiotok.load("encodec-24k", checkpoint=files["24k"])
    parts.window_seconds, parts.context_seconds, parts.piece_seconds = 1.0, 0.0, 0.7
    whole = codec.encode(sound)
    changed = parts.encode(sound).codes != whole.codes
    assert changed.any(1).sum() <= 2  # frames with a near tie
    assert_close_to_peak(parts.decode(whole).waveform, codec.decode(whole).waveform)


def test_a_trained_causal_network_streams(codecs, tmp_path):
    codecs["24k"].save(tmp_path / "mine.safetensors")
    mine = audiotok.load(tmp_path / "mine.safetensors")
    assert mine.card.streamable and mine.card.causal and mine.card.lookahead == 6 * 320
    with mine.stream() as stream:
        assert stream.encode(tiny.audio(24000, 1, 8 * 320)).shape == (1, 32, 8)


def test_bitrates_by_codebooks(files):
    for count, bitrate in ((2, 1500), (4, 3000), (8, 6000), (16, 12000), (32, 24000)):
        codec = audiotok.load(f"encodec-24k:codebooks={count}", checkpoint=files["24k"])
        assert codec.card.bitrate == bitrate
        tokens = codec.encode(tiny.audio(24000, 1, 24000))
        assert tokens.codes.shape == (1, count, 75)
        assert tokens.bitrate == bitrate
    for count, bitrate in ((2, 3000), (4, 6000), (8, 12000), (16, 24000)):
        assert find_card(f"encodec-48k:codebooks={count}").bitrate == bitrate


def test_fewer_codebooks_are_the_first_ones(codecs, files):
    for name, (rate, channels, _) in RATES.items():
        sound = tiny.audio(rate, channels, rate // 2)
        fewer = audiotok.load(f"encodec-{name}:codebooks=3", checkpoint=files[name])
        first = codecs[name].encode(sound).first(3)
        assert torch.equal(fewer.encode(sound).codes, first.codes)
        assert torch.equal(
            codecs[name].decode(first).waveform, fewer.decode(fewer.encode(sound)).waveform
        )
    with pytest.raises(CodecError, match="cannot stop after 33 codebooks; allowed: 1, 2, 3"):
        audiotok.load("encodec-24k:codebooks=33", checkpoint=files["24k"])


def test_side_information_counts_and_is_asked_for(codecs):
    sound = tiny.audio(48000, 2, 100_000)
    tokens = codecs["48k"].encode(sound)
    assert (tokens.side.dtype, tokens.side.shape) == (torch.int32, (1, 3))
    assert tokens.num_frames == 150 + 150 + 16  # chunks at 0, 47520, 95040
    assert tokens.num_bits == 16 * 316 * 10 + 3 * 32
    again = Tokens.from_bytes(tokens.to_bytes())
    assert torch.equal(again.side, tokens.side)
    bare = with_codes(tokens, tokens.codes)
    with pytest.raises(
        CodecError, match=r"level of each chunk, int32 of shape \(1, 3\).*have none"
    ):
        codecs["48k"].decode(bare)
    with pytest.raises(CodecError, match=r"these tokens have torch.int32 of shape \(1, 2\)"):
        codecs["48k"].decode(with_codes(tokens, tokens.codes, torch.ones(1, 2)))
    with pytest.raises(CodecError, match="level of chunk 1 is nan"):
        levels = torch.tensor([[1.0, float("nan"), 1.0]])
        codecs["48k"].decode(with_codes(tokens, tokens.codes, levels))


def test_each_chunk_of_silence_and_noise_has_its_level(codecs):
    waveform = torch.zeros(2, 2 * 47520)
    waveform[:, 48000:] = 0.1
    tokens = codecs["48k"].encode(audiotok.Audio(waveform, 48000))
    levels = tokens.side.view(torch.float32)[0]
    assert levels[0] == 1e-8
    assert levels[1] == pytest.approx(0.1 * (1 - 480 / 47520) ** 0.5, rel=1e-5)


@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize("length", [5 * 320, 24000, 47520 + 161])
def test_merging_pools_before_the_search(codecs, files, name, length):
    rate, channels, stages = RATES[name]
    sound = tiny.audio(rate, channels, length)
    plain = codecs[name].encode(sound)
    merged = audiotok.load(f"encodec-{name}:codebooks=3,merge=2", checkpoint=files[name])
    tokens = merged.encode(sound)
    codes, num_frames = tokens.codes, plain.num_frames
    assert tokens.strides == (2, 1, 1)
    free = -(-num_frames // 2)
    side = 0 if tokens.side is None else 32 * tokens.side.numel()
    assert tokens.num_bits == 10 * (free + 2 * num_frames) + side
    assert torch.equal(codes[0, 0], codes[0, 0, ::2].repeat_interleave(2)[:num_frames])
    # pool, repeat, quantize: the same as pool, quantize, repeat
    quantizer = codecs[name].network.quantizer
    latents = latents_of(codecs[name], sound)
    means = torch.nn.functional.avg_pool1d(latents, 2, ceil_mode=True)
    repeated = means.repeat_interleave(2, -1)[..., :num_frames]
    assert torch.equal(codes[:, :1], quantizer.encode(repeated, 1))
    residual = latents - quantizer.codebooks[0][codes[0, 0]].T
    rest = quantizer.codebooks[1:3].clone()
    expected = []
    for codebook in rest:
        expected.append(torch.cdist(residual[0].T.double(), codebook.double()).argmin(1))
        residual = residual - codebook[expected[-1]].T
    assert torch.equal(codes[0, 1:], torch.stack(expected))
    same = audiotok.load(f"encodec-{name}:merge=1", checkpoint=files[name]).encode(sound)
    assert torch.equal(same.codes, plain.codes)
    assert merged.decode(Tokens.from_bytes(tokens.to_bytes())).num_samples == length


def latents_of(codec, sound):
    """Latents of all chunks, one after another."""
    step, longest = (47520, 48000) if codec.card.channels == 2 else (10**9, 10**9)
    pieces = []
    with torch.inference_mode():
        for start in range(0, sound.num_samples, step):
            chunk = sound.waveform[None, :, start : start + longest]
            if codec.card.channels == 2:
                chunk = chunk / (1e-8 + chunk.mean(1, keepdim=True).pow(2).mean(2, True).sqrt())
            pieces.append(codec.network.encoder(chunk))
        return torch.cat(pieces, dim=-1)


def test_frames_look_no_farther_than_the_card_says(codecs):
    """At 24 kHz: 6 frames behind the first one, none behind the seventh and later ones."""
    codec, hop = codecs["24k"], 320
    sound = tiny.audio(24000, 1, 20 * hop)
    plain = codec.encode(sound).codes
    assert codec.card.lookahead == 6 * hop
    first_change = {}
    for frame in range(1, 20):
        waveform = sound.waveform.clone()
        waveform[:, frame * hop :] = 0.3 * torch.randn(1, (20 - frame) * hop)
        result = codec.encode(audiotok.Audio(waveform, 24000)).codes
        first_change[frame] = int((result != plain).any(1)[0].nonzero()[0])
    assert all(first_change[frame] == frame for frame in range(7, 20))
    assert first_change[6] == 0  # the farthest look, and the card knows it


def test_a_frame_sees_its_chunk_only(codecs):
    codec = codecs["48k"]
    sound = tiny.audio(48000, 2, 3 * 47520)
    waveform = sound.waveform.clone()
    waveform[:, 48000:] *= 0.5
    plain, result = codec.encode(sound).codes, codec.encode(audiotok.Audio(waveform, 48000)).codes
    assert torch.equal(plain[..., :150], result[..., :150])
    assert not torch.equal(plain[..., 150:300], result[..., 150:300])


@pytest.mark.parametrize("name", RATES)
def test_fast_precision_codes_and_decodes(files, name):
    rate, channels, _ = RATES[name]
    codec = audiotok.load(f"encodec-{name}:codebooks=4,precision=fast", checkpoint=files[name])
    for length in (300, rate):
        tokens = codec.encode(tiny.audio(rate, channels, length))
        assert int(tokens.codes.min()) >= 0
        assert codec.decode(tokens).num_samples == length
    assert 0 < codec.changed_codes(tiny.audio(rate, channels, rate)) < 0.9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("decoder.model.1.lstm.weight_hh_l1"), "missing: decoder.layers.1.lstm"),
        (lambda s: s.pop("encoder.model.0.conv.conv.weight_v"), "lacks 'encoder.layers.0.weight'"),
        (lambda s: s.update({"surplus.weight": torch.ones(1)}), "unknown key 'surplus.weight'"),
        (lambda s: s.update({"encoder.model.99.conv.conv.bias": torch.ones(1)}), "extra: encoder"),
        (lambda s: s.update({"decoder.model.0.conv.conv.bias": torch.ones(3)}), "misshapen: dec"),
        (lambda s: s.pop("quantizer.vq.layers.31._codebook.embed"), "num_codebooks is 31"),
        (lambda s: s.pop("quantizer.vq.layers.5._codebook.embed"), "some of its codebooks"),
        (
            lambda s: s.update({"quantizer.vq.layers.5._codebook.embed": torch.ones(9, 9)}),
            "no codebooks of one size",
        ),
        (lambda s: [s.pop(k) for k in list(s) if "quantizer" in k], "no codebooks of one size"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(models, tmp_path, change, message):
    state = dict(models["24k"].state_dict())
    change(state)
    torch.save(state, tmp_path / "odd.th")
    with pytest.raises(CheckpointError, match=message) as refusal:
        audiotok.load("encodec-24k", checkpoint=tmp_path / "odd.th")
    assert "\n" not in str(refusal.value)


def test_the_other_network_is_refused(files):
    with pytest.raises(CheckpointError, match=r"not encodec-48k: its channels is 1, expected 2"):
        audiotok.load("encodec-48k", checkpoint=files["24k"])


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"pad_mode": "constant"}, "pad_mode is 'constant', expected 'reflect'"),
        ({"use_causal_conv": False}, "use_causal_conv is False, expected True"),
        ([], "not a configuration of transformers"),
    ],
)
def test_a_configuration_of_another_network_is_refused(files, tmp_path, said, message):
    (tmp_path / "config.json").write_text(json.dumps(said))
    (tmp_path / "model.safetensors").write_bytes(files["24k"].read_bytes())
    with pytest.raises(CheckpointError, match=message):
        audiotok.load("encodec-24k", checkpoint=tmp_path)


def test_the_bare_name_is_24k():
    assert find_card("encodec").name == "encodec-24k"
    assert find_card("encodec-48k").channels == 2 and not find_card("encodec-48k").causal


@pytest.mark.parametrize("name", ["24k", "48k"])
def test_what_is_converted_loads(codecs, name, tmp_path):
    codec, path = codecs[name], tmp_path / "converted.safetensors"
    codec.save(path)
    again = audiotok.load(f"encodec-{name}", checkpoint=path)
    sound = tiny.audio(*RATES[name][:2], 3000)
    assert torch.equal(again.encode(sound).codes, codec.encode(sound).codes)
    if name == "48k":
        with pytest.raises(CheckpointError, match="load encodec-48k with the file as its checkp"):
            audiotok.load(path)
    else:
        assert torch.equal(audiotok.load(path).encode(sound).codes, codec.encode(sound).codes)
