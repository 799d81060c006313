"""The codecs wrapped from transformers equal a direct call of what they wrap, and load strictly."""

import json
import logging
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.promises import OF_THE_CARD
from torch.nn import functional as F

import audiotok
from audiotok.errors import CheckpointError, CodecError, MissingPackageError
from audiotok.nn.quantizers.strided import pool, repeat
from audiotok.sound.audio import Audio
from audiotok.testing import PROMISES, check_codec
from audiotok.tokens import Tokens

transformers = pytest.importorskip("transformers", minversion="5.23")
from support import tiny_transformers as tiny  # noqa: E402

# family -> (the tiny network, the name to load it by)
FAMILIES = {
    "mimi": (tiny.mimi, "mimi-32"),
    "xcodec": (tiny.xcodec, "xcodec-hubert-librispeech"),
    "xcodec2": (tiny.xcodec2, "xcodec2"),
    "neucodec": (tiny.neucodec, "neucodec"),
}
RESIDUAL = ("mimi", "xcodec")
_folders = {}


@pytest.fixture
def folder_of(tmp_path_factory):
    """family -> folder with its tiny network, written once."""

    def folder(family):
        if family not in _folders:
            place = tmp_path_factory.mktemp(family)
            _folders[family] = tiny.write(FAMILIES[family][0], place)
        return _folders[family]

    return folder


@pytest.fixture
def load(folder_of):
    return lambda family, options="", **more: audiotok.load(
        f"{FAMILIES[family][1]}:{options}", checkpoint=folder_of(family), **more
    )


def direct(family, folder):
    """The wrapped model as a user of transformers loads it."""
    model = {"mimi": "Mimi", "xcodec": "Xcodec", "xcodec2": "Xcodec2", "neucodec": "NeuCodec"}
    return getattr(transformers, f"{model[family]}Model").from_pretrained(folder).eval()


def codes_of(family, model, waveform):
    """Codes (B, K, T) that transformers gives for (B, 1, L), with its feature extractors."""
    if family == "mimi":
        return model.encode(waveform).audio_codes
    if family == "xcodec":  # its feature extractor is DAC's
        extractor = transformers.DacFeatureExtractor(sampling_rate=16_000, hop_length=320)
        clips = [
            extractor(clip.numpy(), sampling_rate=16_000).input_values[0] for clip in waveform[:, 0]
        ]
        return model.encode(torch.from_numpy(np.stack(clips))).audio_codes
    name = {"xcodec2": "Xcodec2", "neucodec": "NeuCodec"}[family]
    if family == "neucodec":
        waveform = F.pad(waveform, (0, -waveform.shape[-1] % 320))
    extractor = getattr(transformers, f"{name}FeatureExtractor")()
    features = extractor(
        [clip.numpy() for clip in waveform[:, 0]], sampling_rate=16_000, return_tensors="pt"
    )
    return model.encode(**features).audio_codes


@torch.no_grad()
@pytest.mark.parametrize("family", FAMILIES)
def test_equals_a_direct_call(family, folder_of, load):
    codec, model = load(family), direct(family, folder_of(family))
    rate, hop = codec.card.sample_rate_in, codec.hop_length
    for length in (1, hop - 1, hop, hop + 1, 3 * hop, 7 * hop + 17):
        waveform = tiny.sound(1, rate, seed=length)[..., :length]
        codes = codec.encode((waveform[0], rate)).codes
        official = codes_of(family, model, waveform)
        assert codes.shape == (1, codec.num_codebooks, -(-length // hop))
        assert official.shape[-1] - codes.shape[-1] == (family == "xcodec2" and length % hop == 0)
        assert torch.equal(codes, official[..., : codes.shape[-1]].long())
    seconds = 20 if family == "mimi" else 5
    waveform = tiny.sound(seconds, rate, seed=9)
    tokens = codec.encode((waveform[0], rate))
    for codebook in tokens.codes[0]:
        assert codebook.unique().numel() >= 100
    assert torch.equal(tokens.codes, codes_of(family, model, waveform)[..., : tokens.num_frames])
    sound = model.decode(audio_codes=tokens.codes).audio_values
    assert sound.shape[-1] == seconds * codec.sample_rate
    assert torch.equal(codec.decode(tokens).waveform, sound[0])


@torch.no_grad()
def test_wavlm_inside_of_an_xcodec(tmp_path):
    folder = tiny.write(tiny.xcodec, tmp_path, semantic="wavlm")
    codec = audiotok.load("xcodec-wavlm-mls", checkpoint=folder)
    waveform = tiny.sound(2, 16_000, seed=1)
    codes = codec.encode((waveform[0], 16_000)).codes
    assert torch.equal(codes, codes_of("xcodec", direct("xcodec", folder), waveform))


@torch.no_grad()
@pytest.mark.parametrize(
    ("family", "count", "asked"),
    [("mimi", 1, {"num_quantizers": 1}), ("mimi", 5, {"num_quantizers": 5})]
    + [("xcodec", 3, {"bandwidth": 1.5}), ("xcodec", 1, {"bandwidth": 0.5})],
)
def test_codebooks_are_those_that_transformers_gives(family, count, asked, folder_of, load):
    codec, model = load(family, f"codebooks={count}"), direct(family, folder_of(family))
    rate = codec.card.sample_rate_in
    waveform = tiny.sound(4, rate, seed=2)
    tokens = codec.encode((waveform[0], rate))
    assert torch.equal(tokens.codes, model.encode(waveform, **asked).audio_codes)
    assert tokens.bitrate == pytest.approx(count * {"mimi": 137.5, "xcodec": 500}[family])
    sound = codec.decode(tokens).waveform
    assert torch.equal(sound, model.decode(tokens.codes).audio_values[0])
    assert torch.equal(load(family).decode(tokens).waveform, sound)


def test_any_number_of_codebooks_of_an_xcodec(load):
    waveform = tiny.sound(1, 16_000, seed=3)[0]
    whole = load("xcodec").encode((waveform, 16_000))
    for count in (5, 7):  # at no bandwidth of transformers'
        codec = load("xcodec", f"codebooks={count}")
        assert torch.equal(codec.encode((waveform, 16_000)).codes, whole.codes[:, :count])
    with pytest.raises(CodecError, match="cannot stop after 9 codebooks; allowed: 1, 2, 3"):
        load("xcodec", "codebooks=9")
    with pytest.raises(CodecError, match="xcodec2 has no option 'codebooks=1'"):
        load("xcodec2", "codebooks=1")


def merged_by_hand(layers, latents, strides):
    """Repeat, then quantize: the same as quantizing the pooled latents and repeating the codes."""
    residual, num_frames, result = latents, latents.shape[-1], []
    for layer, stride in zip(layers, strides, strict=True):
        repeated = repeat(pool(residual, stride), stride, num_frames)
        result.append(layer.encode(repeated))
        residual = residual - layer.decode(result[-1])
    return torch.stack(result, 1)


@torch.no_grad()
@pytest.mark.parametrize("frames", [7, 8])
@pytest.mark.parametrize("family", RESIDUAL)
def test_merging(family, frames, folder_of, load):
    codec = load(family, "codebooks=4,merge=2/1/3")
    rate, hop = codec.card.sample_rate_in, codec.hop_length
    waveform = tiny.sound(2, rate, seed=4)[..., : frames * hop]
    model = direct(family, folder_of(family))
    quantizer = model.quantizer
    with tiny.captured(model, "encode") as latents:
        model.encode(waveform)
    if family == "mimi":
        acoustic = quantizer.acoustic_residual_vector_quantizer
        semantic = quantizer.semantic_residual_vector_quantizer
        expected = [
            merged_by_hand(semantic.layers, semantic.input_proj(latents[0]), (2,)),
            merged_by_hand(acoustic.layers[:3], acoustic.input_proj(latents[0]), (1, 3, 1)),
        ]
        expected = torch.cat(expected, 1)
    else:
        expected = merged_by_hand(quantizer.quantizers[:4], latents[0], (2, 1, 3, 1))
    tokens = codec.encode((waveform[0], rate))
    assert torch.equal(tokens.codes, expected)
    bits = {"mimi": 11, "xcodec": 10}[family]
    free = -(-frames // 2) + frames + -(-frames // 3) + frames
    assert tokens.num_bits == bits * free
    again = Tokens.from_bytes(tokens.to_bytes())
    assert torch.equal(again.codes, tokens.codes)
    plain = load(family, "codebooks=4").encode((waveform[0], rate))
    unmerged = load(family, "codebooks=4,merge=1").encode((waveform[0], rate))
    assert torch.equal(plain.codes, unmerged.codes) and not torch.equal(plain.codes, tokens.codes)


def test_merging_is_for_residual_codebooks(load):
    with pytest.raises(CodecError, match="xcodec2 has no option 'merge=2'"):
        load("xcodec2", "merge=2")


@pytest.mark.parametrize("family", FAMILIES)
def test_latents_that_are_not_finite_get_no_code(family, load):
    codec = load(family)
    waveform = tiny.sound(1, codec.card.sample_rate_in, seed=5)
    name = {"mimi": "encoder.downsample.conv.weight", "xcodec": "fc.bias"}.get(
        family, "fc_encoder.bias"
    )
    with torch.no_grad():
        codec.network.get_parameter(name).view(-1)[0] = torch.inf
        assert (codec._encode(waveform) == -1).any()


@pytest.mark.parametrize("family", FAMILIES)
def test_fast_precision_searches_in_float32(family, load, caplog):
    codec, exact = load(family, "precision=fast"), load(family)
    rate = codec.card.sample_rate_in
    seen = []
    handle = codec.network.quantizer.quantizer.register_forward_pre_hook(
        lambda module, latents: seen.append(latents[0].dtype)
    )
    layers = [m for m in codec.network.modules() if type(m).__name__.endswith("EuclideanCodebook")]
    for layer in layers:
        original = layer.encode
        layer.encode = lambda rows, original=original: seen.append(rows.dtype) or original(rows)
    with caplog.at_level(logging.INFO, logger="audiotok"):
        tokens = codec.encode((tiny.sound(1, rate, seed=6)[0], rate))
    handle.remove()
    assert set(seen) == {torch.float32}
    assert "bfloat16 changed" in caplog.text
    assert codec.fingerprint == exact.fingerprint
    assert exact.decode(tokens).num_samples == codec.sample_rate


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_by_length_is_in_order(family, load):
    codec = load(family)
    rate = codec.card.sample_rate_in
    audios = [
        Audio(tiny.sound(1, rate, seed=s)[0, :, : rate - 5 * (s == 2)], rate) for s in range(4)
    ]
    single = [codec.encode(audio).codes for audio in audios]
    for one, other in zip(single, codec.encode_batch(audios, batch="length"), strict=True):
        assert (one == other.codes).double().mean() > 0.9


@pytest.mark.parametrize("family", ["mimi", "xcodec", "xcodec2", "neucodec"])
def test_conforms(family, folder_of, forked_processes):
    name = "mimi-8" if family == "mimi" else FAMILIES[family][1]
    promises = PROMISES if family == "mimi" else OF_THE_CARD
    check_codec(audiotok.load(name, checkpoint=folder_of(family)), promises)


# --- loading ------------------------------------------------------------------------------------


@pytest.fixture
def copied(folder_of, tmp_path):
    """A folder with a family's files, to be damaged: (path, config, state)."""

    def copy(family):
        source = folder_of(family)
        config = json.loads((source / "config.json").read_text())
        return tmp_path, config, load_file(source / "model.safetensors")

    return copy


def written(folder, config, state):
    (folder / "config.json").write_text(json.dumps(config))
    save_file(state, folder / "model.safetensors")
    return folder


EXTRA = torch.ones(3)


@pytest.mark.parametrize(
    ("family", "change", "message"),
    [
        ("mimi", lambda s: s.pop("downsample.conv.weight"), "1 missing: .*downsample.conv.weight"),
        ("mimi", lambda s: s.update({"surplus.weight": EXTRA}), "1 extra: surplus.weight"),
        ("mimi", lambda s: s.update({"encoder.surplus": EXTRA}), "1 extra"),
        ("mimi", lambda s: s.update({"upsample.conv.weight": EXTRA}), r"misshapen: .*\(3,\) inst"),
        ("xcodec", lambda s: s.pop("quantizer.quantizers.3.codebook.embed"), "1 missing: quan"),
        ("xcodec", lambda s: s.update({"decoder.x": EXTRA}), "1 extra: decoder.x"),
        ("xcodec2", lambda s: s.pop("fc_encoder.bias"), "1 missing: fc_encoder.bias"),
        ("neucodec", lambda s: s.update({"fc_encoder.bias": EXTRA}), "1 misshapen: fc_enc"),
    ],
)  # fmt: skip
def test_keys_that_do_not_fit_are_refused(family, change, message, copied, capfd):
    folder, config, state = copied(family)
    change(state)
    capfd.readouterr()
    with pytest.raises(CheckpointError, match=message) as caught:
        audiotok.load(FAMILIES[family][1], checkpoint=written(folder, config, state))
    assert "\n" not in str(caught.value) and "does not fit" in str(caught.value)
    assert "model.safetensors" not in capfd.readouterr().err  # transformers' own report is silent


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sampling_rate": 16_000}, "says sample_rate_in 16000, sample_rate_out 16000.*the card"),
        ({"codebook_size": 1024}, r"is not of mimi-32: it says codebook_sizes \(1024, 1024"),
        ({"model_type": "encodec"}, "of model_type 'encodec', expected 'mimi' for mimi-32"),
        ({"num_filters": "many"}, "config.json is refused: .*num_filters"),
        ({"num_filters": 8}, "does not fit MimiModel: .*misshapen"),
        ({"quantization_config": {"bits": 4}}, "quantized weights: expected those in full"),
    ],
)
def test_configurations_that_do_not_fit_are_refused(change, message, copied):
    folder, config, state = copied("mimi")
    with pytest.raises(CheckpointError, match=message) as caught:
        audiotok.load("mimi-32", checkpoint=written(folder, {**config, **change}, state))
    assert "\n" not in str(caught.value)


def test_files_that_are_no_configuration(copied):
    folder, config, state = copied("mimi")
    written(folder, config, state)
    for text, message in (
        ("{", "is not JSON"),
        ("[1]", "is not a configuration: expected an object"),
        ("[" * 10_000, "is not JSON"),
        ("\x00", "is not JSON"),
    ):
        (folder / "config.json").write_text(text)
        with pytest.raises(CheckpointError, match=message) as caught:
            audiotok.load("mimi-8", checkpoint=folder)
        assert "\n" not in str(caught.value)
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match="config.json is missing: it lies beside the weights"):
        audiotok.load("mimi-8", checkpoint=folder / "model.safetensors")


def test_a_configuration_runs_no_code(copied):
    folder, config, state = copied("mimi")
    (folder / "mine.py").write_text(f"open({str(folder / 'canary')!r}, 'w')\nMine = None\n")
    config |= {
        "auto_map": {"AutoModel": "mine.Mine", "AutoConfig": "mine.Mine"},
        "_attn_implementation": "someone/kernel",
        "attn_implementation": "someone/kernel",
        "dtype": "bfloat16",
    }
    codec = audiotok.load("mimi-8", checkpoint=written(folder, config, state))
    assert codec.network.dtype == torch.float32
    assert not (folder / "canary").exists()


def test_an_extractor_of_another_rate_is_refused(copied):
    folder, config, state = copied("xcodec2")
    written(folder, config, state)
    transformers.Xcodec2FeatureExtractor().save_pretrained(folder)
    audiotok.load("xcodec2", checkpoint=folder)
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"sampling_rate": 24_000}))
    with pytest.raises(CheckpointError, match=r"\(24000, 320\), expected \(16000, 320\)"):
        audiotok.load("xcodec2", checkpoint=folder)


def test_other_weights_have_another_fingerprint(copied, load):
    for family, key in (
        ("neucodec", "quantizer.project_out.weight"),
        ("xcodec", "quantizer.quantizers.0.codebook.embed"),
    ):
        folder, config, state = copied(family)
        state[key] = state[key] + 1
        other = audiotok.load(FAMILIES[family][1], checkpoint=written(folder, config, state))
        codec = load(family)
        assert other.fingerprint != codec.fingerprint
        with pytest.raises(CodecError, match="cannot be decoded by"):
            other.decode(codec.encode((tiny.sound(1, 16_000)[0], 16_000)))
    assert load("neucodec").fingerprint != load("xcodec2").fingerprint


def test_a_restricted_licence_is_said(load, caplog):
    with caplog.at_level(logging.WARNING, logger="audiotok"):
        load("xcodec2")
    assert "the weights of xcodec2 are under CC-BY-NC-4.0" in caplog.text


def test_without_transformers(folder_of, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert "mimi-8" in [card.name for card in audiotok.list_codecs()]
    with pytest.raises(MissingPackageError, match=r"mimi-8 needs .*pip install 'audiotok\[hf\]'"):
        audiotok.load("mimi-8", checkpoint=folder_of("mimi"))


def test_an_old_transformers(folder_of, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", SimpleNamespace(__version__="4.0"))
    with pytest.raises(CodecError, match="newer transformers than 4.0, which has no Xcodec2Model"):
        audiotok.load("xcodec2", checkpoint=folder_of("xcodec2"), quiet=True)


def test_cards_are_read_without_transformers():
    program = "import audiotok, sys; audiotok.list_codecs(); print('transformers' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "False"


def test_the_cards_of_x_codec_say_what_long_sound_costs():
    for name in ("xcodec-hubert-general", "xcodec-wavlm-mls"):
        assert (
            "coded in windows, with other codes"
            in audiotok.codec.registry.find_card(name).description
        )
