"""Mini codecs: any quantizer in one network, trained, loaded from a file, cut short and merged."""

import json

import pytest
import torch
from support import tiny_mini as tiny
from support.promises import OF_THE_CARD, WITHOUT_PROCESSES

import audiotok
from audiotok.codec import checkpoints, families
from audiotok.codecs.mini import Mini
from audiotok.errors import CheckpointError, CodecError
from audiotok.nn.mini import MiniConfig, MiniNetwork
from audiotok.nn.quantizers import MovingAverageLearner, codebooks_of
from audiotok.testing import PROMISES, check_codec
from audiotok.tokens import Tokens

KINDS = list(tiny.QUANTIZERS)
NESTED = ["rvq", "projected", "strided", "factorized"]
BY_QUANTIZER = {"batches", "fast precision", "training mode"}
OF_A_QUANTIZER = [*OF_THE_CARD, *(one for one in PROMISES if one.name in BY_QUANTIZER)]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mini")
    return {kind: tiny.write(folder, kind) for kind in KINDS}


def noise(samples, seed=0):
    return 0.1 * torch.randn(1, samples, generator=torch.Generator().manual_seed(seed))


@pytest.mark.usefixtures("forked_processes")
@pytest.mark.parametrize("kind", KINDS)
def test_conforms(kind, files, monkeypatch):
    codec = audiotok.load(files[kind])
    monkeypatch.setattr(Mini, "CARDS", (codec.card,))
    check_codec(codec, PROMISES if kind == "rvq" else OF_A_QUANTIZER)


@pytest.mark.parametrize(
    ("sizes", "layers", "causal"),
    [
        (
            {"strides": (8, 5), "convnext": {"widths": (8, 12), "depths": (1, 1)}},
            "CNN, Time-Freq -> CNN, Time-Freq",
            False,
        ),
        (
            {"strides": (4, 5, 2), "soundstream": {"width": 4, "group_width": 4}},
            "CNN, Time -> CNN, Time",
            True,
        ),
    ],
    ids=["convnext", "soundstream"],
)
def test_another_network_conforms(sizes, layers, causal, tmp_path, monkeypatch):
    torch.manual_seed(0)
    quantizer = tiny.QUANTIZERS["rvq"]
    built = MiniNetwork(MiniConfig(quantizer=quantizer, sample_rate=8000, dimension=8, **sizes))
    with torch.no_grad():
        latents = built.encoder(0.1 * torch.randn(1, 1, 40 * 400))
        learner = MovingAverageLearner(built.quantizer)
        learner.start(latents, iterations=1, rows_per_step=400)
    path = tmp_path / "other.safetensors"
    metadata = {"family": "mini", "name": "tiny", "config": built.config.model_dump_json()}
    checkpoints.save(path, built.state_dict(), metadata)
    codec = audiotok.load(path)
    assert codec.card.taxonomy.encoder_decoder == layers
    assert codec.card.causal is codec.card.streamable is causal
    monkeypatch.setattr(Mini, "CARDS", (codec.card,))
    check_codec(codec, WITHOUT_PROCESSES)


def test_torch_compile_records_the_quantizer_whole(files):
    codec = audiotok.load(files["rvq"])
    latents = codec.encode_latents(noise(8000)[None])
    compiled = torch.compile(codec._quantize, fullgraph=True, backend="eager")
    with codec._running(), torch.no_grad():
        assert torch.equal(compiled(latents), codec._quantize(latents))


@pytest.mark.parametrize("kind", KINDS)
def test_codes_are_those_of_the_network(kind, files):
    codec, network = audiotok.load(files[kind]), tiny.network(kind).eval()
    sound = noise(8000)
    tokens = codec.encode((sound, 8000))
    with torch.no_grad():
        codes = network.encode(sound[None])
        decoded = network.decode(codes)[0]
    assert torch.equal(tokens.codes, codes)
    assert min(book.unique().numel() for book in codes.unbind(1)) > 4
    torch.testing.assert_close(codec.decode(tokens).waveform, decoded)


def test_cards_say_what_the_quantizer_is(files):
    card = {kind: audiotok.load(path).card for kind, path in files.items()}
    assert all(c.family == "mini" and c.frame_rate == 200 for c in card.values())
    assert card["rvq"].name.startswith("tiny-rvq@")
    assert card["rvq"].codebook_counts == (1, 2, 3, 4)
    assert card["strided"].strides == (4, 2, 1)
    assert card["strided"].bitrate == (50 + 100 + 200) * 5
    assert card["fsq"].codebook_sizes == (64,) and card["lfq"].codebook_sizes == (256,)
    assert card["grouped"].codebook_counts == (2,)
    assert [kind for kind in KINDS if not card[kind].mergeable] == ["grouped"]
    assert {c.taxonomy.quantization[:3] for c in card.values()} == {
        "SVQ", "RVQ", "PQ,", "FSQ", "LFQ",
    }  # fmt: skip


@pytest.mark.parametrize("kind", NESTED)
def test_the_first_codebooks_do_without_the_rest(kind, files):
    whole = audiotok.load(files[kind])
    sound = (noise(4320), 8000)
    for count in whole.card.codebook_counts[:-1]:
        codec = audiotok.load(f"{files[kind]}:codebooks={count}")
        tokens = codec.encode(sound)
        assert torch.equal(tokens.codes, whole.encode(sound).codes[:, :count])
        rates = [200 / stride for stride in whole.card.strides[:count]]
        assert codec.card.bitrate == sum(rates) * 5
        assert tokens.bitrate == pytest.approx(codec.card.bitrate, rel=1e-12)
        assert codec.decode(tokens).num_samples == 4320
        first = whole.encode(sound).first(count)
        assert torch.equal(codec.decode(tokens).waveform, whole.decode(first).waveform)


@pytest.mark.parametrize("kind", NESTED)
def test_counts_that_are_not_there_are_refused(kind, files):
    with pytest.raises(CodecError, match="cannot stop after 9 codebooks; allowed: 1, 2"):
        audiotok.load(f"{files[kind]}:codebooks=9")


@pytest.mark.parametrize("kind", ["vq", "grouped", "fsq", "lfq"])
def test_others_have_no_such_option(kind, files):
    with pytest.raises(CodecError, match="has no option 'codebooks=1'"):
        audiotok.load(f"{files[kind]}:codebooks=1")


@pytest.mark.parametrize("frames", [24, 25])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "grouped"])
def test_merged_codes_are_those_of_latents_pooled_before_each_search(kind, frames, files):
    plain = audiotok.load(files[kind])
    codec = audiotok.load(f"{files[kind]}:merge=3")
    sound = noise(40 * frames)
    tokens = codec.encode((sound, 8000))
    first = tokens.codes[:, 0]
    with torch.no_grad():
        latents = codec.network.encoder(sound[None])
    size = 3 * plain.card.strides[0]  # frames that share a code
    groups = [latents[..., t : t + size].mean(-1, keepdim=True) for t in range(0, frames, size)]
    with torch.no_grad():
        pooled = torch.cat(groups, dim=-1)
        expected = _first_codebook(codec.network.quantizer, kind, pooled)
    assert torch.equal(first, expected.repeat_interleave(size, -1)[:, :frames])
    if frames == 24:  # whole groups
        assert tokens.bitrate == pytest.approx(codec.card.bitrate, rel=1e-12)
        assert tokens.bitrate < plain.card.bitrate
    again = Tokens.from_bytes(tokens.to_bytes())
    assert torch.equal(again.codes, tokens.codes)
    same = audiotok.load(f"{files[kind]}:merge=1").encode((sound, 8000))
    assert torch.equal(same.codes, plain.encode((sound, 8000)).codes)


def _first_codebook(quantizer, kind, latents):
    if kind not in NESTED:
        return quantizer.encode(latents)[:, 0]
    if kind == "factorized":
        return quantizer.stages[0].encode(latents)[:, 0]
    rows = quantizer.in_proj(latents)[0].T.double()
    return torch.cdist(rows, quantizer.codebooks[0].double()).argmin(1)[None]


def test_repeat_then_quantize_is_quantize_then_repeat():
    """Merged stages on latents that are alike in each group are plain stages, repeated."""
    from audiotok.nn.quantizers import merged

    quantizer = tiny.network("rvq").quantizer
    latents = torch.randn(1, 8, 20, generator=torch.Generator().manual_seed(0))
    plain = quantizer.encode(latents).repeat_interleave(2, -1)
    result = merged(quantizer, (2, 2, 2, 2)).encode(latents.repeat_interleave(2, -1))
    assert torch.equal(result, plain)


def test_grouped_codes_do_not_merge(files):
    with pytest.raises(CodecError, match="has no option 'merge=2'"):
        audiotok.load(f"{files['grouped']}:merge=2")


@pytest.mark.parametrize("kind", ["rvq", "fsq"])
def test_precision_fast_works(kind, files):
    codec = audiotok.load(f"{files[kind]}:precision=fast")
    assert codec.reconstruct((noise(2000), 8000)).num_samples == 2000


@pytest.mark.parametrize("kind", ["fsq", "vq"])
def test_tokens_of_other_weights_are_refused(kind, files, tmp_path):
    codec, other = audiotok.load(files[kind]), audiotok.load(tiny.write(tmp_path, kind, seed=1))
    with pytest.raises(CodecError, match="cannot be decoded"):
        other.decode(codec.encode((noise(500), 8000)))


@pytest.mark.parametrize("half", [False, True])
def test_saved_weights_load_again(half, files, tmp_path):
    codec = audiotok.load(files["rvq"])
    codec.save(tmp_path / "again.safetensors", half)
    again = audiotok.load(tmp_path / "again.safetensors")
    assert again.card.codebook_sizes == codec.card.codebook_sizes
    assert (again.fingerprint == codec.fingerprint) is not half


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("quantizer.codebooks"), "missing: quantizer.codebooks"),
        (lambda state: state.update(surplus=torch.ones(1)), "extra: surplus"),
        (lambda s: s.update({"head.linear.bias": torch.ones(3)}), "misshapen: head.linear.bias"),
    ],
)
def test_keys_that_do_not_fit_are_named(change, message, files, tmp_path):
    state, metadata = checkpoints.read_state(files["rvq"])
    change(state)
    checkpoints.save(tmp_path / "broken.safetensors", state, metadata)
    with pytest.raises(CheckpointError, match=message) as caught:
        audiotok.load(tmp_path / "broken.safetensors")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("config", ["", "{}", json.dumps({"strides": [2], "quantizer": {}})])
def test_metadata_that_are_no_configuration(config, tmp_path):
    path = tmp_path / "x.safetensors"
    checkpoints.save(path, {"a": torch.ones(1)}, {"family": "mini", "config": config})
    with pytest.raises(CheckpointError, match="no MiniConfig: expected"):
        audiotok.load(path)


def test_weights_of_another_card_are_refused(files):
    card = audiotok.load(files["rvq"]).card
    with pytest.raises(CheckpointError, match="its hop_length is 40, the card says 80"):
        Mini(card.model_copy(update={"hop_length": 80}), checkpoint=files["rvq"])
    with pytest.raises(CheckpointError, match=r"its codebook_sizes is \(32,\), the card says"):
        Mini(card, checkpoint=files["vq"])


def test_the_one_that_ships():
    assert Mini in families.all_families()
    codec = audiotok.load("mini:codebooks=2")
    assert codec.card.name == "rvq-small:codebooks=2" and codec.card.bitrate == 1000
    noise = torch.randn(1, 3000, generator=torch.Generator().manual_seed(0)) * 0.1
    tokens = codec.encode((noise, 16000))
    assert tokens.codes.shape == (1, 2, 10)
    assert codec.decode(tokens).num_samples == 3000


def test_a_file_without_a_family_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    checkpoints.save(path, {"a": torch.ones(1)}, {})
    with pytest.raises(CodecError, match="does not name a family that is known here"):
        audiotok.load(path)


# --- the network in training ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_reaches_every_weight(kind):
    torch.manual_seed(0)
    network = tiny.network(kind).train()
    sound = noise(2 * 1005).view(2, 1, 1005)
    output = network(sound)
    assert network.hop_length == 40
    assert output.waveform.shape == (2, 1, 26 * 40)
    assert output.latents.shape == (2, 8, 26)
    assert output.codes.shape == (2, len(network.config.quantizer.codebook_sizes), 26)
    assert output.codes.dtype == torch.int64
    loss = output.waveform.square().mean() + sum(output.losses.values())
    loss.backward()
    without = [name for name, p in network.named_parameters() if p.grad is None]
    assert without == []
    assert network.encoder.layers[0].weight.grad.abs().sum() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_quantizer_can_be_passed_by(kind):
    network = tiny.network(kind).eval()
    sound = noise(400)[None]
    with torch.no_grad():
        output = network(sound, quantize=False)
        expected = network.head(network.backbone(network.encoder(sound)))
    assert output.codes is None and output.losses == {}
    assert torch.equal(output.waveform, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_in_eval_training_s_forward_is_encode_and_decode(kind):
    network = tiny.network(kind).eval()
    sound = noise(1200)[None]
    with torch.no_grad():
        output = network(sound)
        assert torch.equal(output.codes, network.encode(sound))
        torch.testing.assert_close(output.waveform, network.decode(output.codes))


def test_quantizer_dropout_is_drawn_for_each_clip_and_the_codebooks_still_learn():
    torch.manual_seed(3)
    network = tiny.network("rvq").train()
    network.quantizer.dropout = 0.5
    learner = MovingAverageLearner(network.quantizer)
    learner.adopt(rows_per_step=8 * 25)
    before = network.quantizer.codebooks.clone()
    output = network(noise(8 * 1000).view(8, 1, 1000))
    kept = (output.codes >= 0).all(dim=2).sum(dim=1)
    assert kept[4:].tolist() == [4] * 4  # half of the clips
    assert kept[:4].unique().numel() > 1 and kept.min() >= 1
    assert output.waveform.isfinite().all()
    learner.update(output.latents, output.codes)
    after = network.quantizer.codebooks
    assert after.isfinite().all()
    assert (after != before).flatten(1).any(dim=1).all()


def test_a_learner_starts_from_latents():
    network = tiny.network("rvq")
    learner = MovingAverageLearner(network.quantizer)
    with torch.no_grad():
        latents = network.encoder(noise(40 * 64)[None])
    learner.start(latents, 3, 64)
    assert network.encode(noise(40 * 64)[None])[0, 0].unique().numel() > 16


@pytest.mark.parametrize("quantizer", ["rvq", "fsq"])
def test_sizes_by_default(quantizer):
    sizes = {
        "rvq": {"kind": "rvq", "num_codebooks": 2, "codebook_size": 1024},
        "fsq": {"kind": "fsq", "levels": [4] * 5},
    }
    network = MiniNetwork(MiniConfig(quantizer=sizes[quantizer], strides=(2, 4, 5, 5)))
    assert 5.2e6 < sum(p.numel() for p in network.parameters()) < 5.6e6
    assert (network.hop_length, network.config.sample_rate) == (200, 16000)
    assert all(len(book) == 1024 for book in codebooks_of(network.quantizer))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backbone_dim": 80}, "multiple of 32"),
        ({"backbone_dim": 32}, "greater than or equal to 64"),
        ({"dimension": 9, "quantizer": tiny.QUANTIZERS["grouped"]}, "2 equal groups"),
        ({"quantizer": {"kind": "none"}}, "kind"),
        ({"width": 3}, "Extra inputs"),
    ],
)
def test_sizes_that_do_not_fit(change, message):
    from pydantic import ValidationError

    with pytest.raises(ValidationError, match=message):
        MiniConfig(**{"strides": (2, 4), "quantizer": tiny.QUANTIZERS["vq"], **change})


@pytest.mark.parametrize("change", [{"strides": [2, 4, -5]}, {"strides": []}, {"num_filters": 0}])
def test_a_file_whose_sizes_give_no_network(tmp_path, change):
    path = tiny.write(tmp_path, "vq")
    state, metadata = checkpoints.read_state(path)
    config = json.dumps(json.loads(metadata["config"]) | change)
    checkpoints.save(path, state, metadata | {"config": config})
    with pytest.raises(CheckpointError) as caught:
        audiotok.load(path, quiet=True)
    assert "\n" not in str(caught.value)
