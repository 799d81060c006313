"""Units: codes are those of transformers and scikit-learn; files of centroids."""

import json
import pickle
import shutil

import joblib
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.cluster import MiniBatchKMeans
from support.promises import OF_THE_CARD, WITHOUT_PROCESSES

import audiotok
from audiotok.codec import registry
from audiotok.errors import CheckpointError, CodecError
from audiotok.system.names import Recorded
from audiotok.testing import check_codec
from audiotok.tokens import Tokens

pytest.importorskip("transformers", minversion="5.23")
from support import tiny_transformers, tiny_units  # noqa: E402

SIZE, LAYERS = 40, {"hubert": (2,), "wavlm": (1, 3)}
SOUND = tiny_transformers.sound(3, 16_000, seed=1)
_made = {}


@pytest.fixture(params=LAYERS)
def kind(request):
    return request.param


@pytest.fixture
def made(tmp_path_factory):
    """kind -> (folder on the Hub's pattern with centroids.npy, network, centroids)."""

    def make(kind):
        if kind not in _made:
            folder = tmp_path_factory.mktemp(kind)
            network = tiny_units.write(folder, kind)
            found = tiny_units.centroids(network, LAYERS[kind], SIZE, SOUND)
            np.save(folder / "centroids.npy", found)
            _made[kind] = folder, network, found
        return _made[kind]

    return make


def name_of(kind, **options):
    options = {"k": SIZE, "layer": "/".join(map(str, LAYERS[kind]))} | options
    return f"units:{kind}:" + ",".join(f"{key}={value}" for key, value in options.items())


@torch.no_grad()
def test_codes_are_those_of_transformers_and_scikit_learn(kind, made):
    folder, network, centroids = made(kind)
    codec = audiotok.load(name_of(kind), folder)
    length = 16_000 * 3 - 37
    waveform = SOUND[0, :, :length]
    sound = waveform
    if kind == "wavlm":  # as its feature extractor does
        sound = (sound - sound.mean()) / (sound.var(correction=0) + 1e-7).sqrt()
    states = network(sound, output_hidden_states=True).hidden_states
    tokens = codec.encode((waveform, 16_000))
    assert tokens.codes.shape == (1, len(LAYERS[kind]), -(-length // 320))
    for row, layer, table in zip(tokens.codes[0], LAYERS[kind], centroids, strict=True):
        features = states[layer][0].double()
        assert len(features) == (length - 400) // 320 + 1 == len(row) - 1
        kmeans = MiniBatchKMeans(SIZE).fit(features.float().numpy())
        kmeans.cluster_centers_ = table.astype(np.float32)
        expected = torch.from_numpy(kmeans.predict(features.float().numpy())).long()
        gaps = torch.cdist(features, torch.from_numpy(table).double()).topk(2, largest=False).values
        clear = gaps[:, 1] - gaps[:, 0] > 1e-4
        assert torch.equal(row[:-1][clear], expected[clear]) and clear.double().mean() > 0.95
        assert len(row.unique()) > 10 and row[-1] == row[-2]


def test_conforms(kind, made, forked_processes):
    promises = WITHOUT_PROCESSES if kind == "hubert" else OF_THE_CARD
    check_codec(audiotok.load(name_of(kind), made(kind)[0]), promises)


def test_names_with_a_colon():
    cards = {card.name: card for card in audiotok.list_codecs()}
    assert {"units:hubert", "units:wavlm"} <= cards.keys()
    card = registry.find_card("units:wavlm:layer=1/3/7,k=1000,merge=2")
    assert card.codebook_sizes == (1000,) * 3 and card.base_name == "units:wavlm"
    assert card.token_rate == 125 and registry.find_card(Recorded(card.name, "a file")) == card
    with pytest.raises(CodecError, match="no codec 'units:huber': did you mean units:hubert"):
        registry.find_card("units:huber")
    for wrong in "layer=3/1", "layer=-1", "k=1", "layer=", "codebooks=1":
        with pytest.raises(CodecError, match="units:hubert"):
            registry.find_card(f"units:hubert:{wrong}")


def test_files_of_centroids(made, tmp_path):
    folder, _, found = made("hubert")
    for one in ("config.json", "pytorch_model.bin"):
        shutil.copy(folder / one, tmp_path / one)
    expected = audiotok.load(name_of("hubert"), folder).encode((SOUND[0], 16_000))
    flat, other = tmp_path / "km.npy", tmp_path / "km.safetensors"
    np.save(flat, found[0].astype(np.float64))
    save_file({"anything": torch.from_numpy(found[0]).float()}, other)
    for file in flat, other:  # beside the network, which is found in the folder
        tokens = audiotok.load(name_of("hubert"), file).encode((SOUND[0], 16_000))
        assert torch.equal(tokens.codes, expected.codes)
        assert tokens.fingerprint == expected.fingerprint


def test_pickles_are_refused_and_the_way_to_convert_is_given(made, tmp_path, monkeypatch):
    folder, _, found = made("hubert")
    kmeans = MiniBatchKMeans(SIZE).fit(np.repeat(found[0], 2, 0))
    kmeans.cluster_centers_ = found[0]
    joblib.dump(kmeans, tmp_path / "km.bin")
    joblib.dump(kmeans, tmp_path / "packed.pt", compress=3)
    (tmp_path / "raw.model").write_bytes(pickle.dumps(kmeans))
    for name in "km.bin", "packed.pt", "raw.model":
        with pytest.raises(CheckpointError, match="pickle .* convert it where") as caught:
            audiotok.load(name_of("hubert"), tmp_path / name)
        assert "\n" not in str(caught.value)
    command = str(caught.value).partition('python -c "')[2].removesuffix('"')
    monkeypatch.chdir(tmp_path)
    exec(command)  # what the message says works
    assert np.array_equal(np.load("raw.npy"), found[0])


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("k=41", lambda c: c, "has 40 centroids, units:hubert:.*name k=40"),
        ("layer=9", lambda c: c, "has layers 0 to 3, not 9"),
        ("layer=1/2", lambda c: c, "centroids of 1 layers, but .* is of 1/2"),
        ("k=40", lambda c: c[:, :, :8], "8 dimensions, the network 16"),
        ("k=40", lambda c: c * np.nan, "not finite"),
        ("k=40", lambda c: c[0, 0], "expected centroids"),
        ("k=40", lambda c: c.astype(object), "cannot be read as centroids"),
        ("k=40", lambda c: c.astype("U9"), "expected centroids"),
    ],
)
def test_centroids_that_do_not_fit(name, change, message, made, tmp_path):
    folder, _, found = made("hubert")
    for one in ("config.json", "pytorch_model.bin"):
        shutil.copy(folder / one, tmp_path / one)
    np.save(tmp_path / "centroids.npy", change(found), allow_pickle=True)
    options = dict([name.split("=")])
    with pytest.raises((CheckpointError, CodecError), match=message) as caught:
        audiotok.load(name_of("hubert", **options), tmp_path)
    assert "\n" not in str(caught.value)


def test_a_npy_that_says_more_than_it_holds(made, tmp_path):
    file = tmp_path / "km.npy"
    np.save(file, np.zeros((SIZE, 16), np.float32))
    file.write_bytes(file.read_bytes().replace(b"(40, 16)", b"(10**9,)")[:128])
    with pytest.raises(CheckpointError, match="cannot be read as centroids"):
        audiotok.load(name_of("hubert"), file)


def test_missing_centroids_are_asked_for_before_a_download(made, tmp_path):
    with pytest.raises(CheckpointError, match="needs a file of centroids.*fit-units"):
        audiotok.load("units:hubert")
    folder = made("hubert")[0]
    for one in ("config.json", "pytorch_model.bin"):
        shutil.copy(folder / one, tmp_path / one)
    with pytest.raises(CheckpointError, match="has no centroids.safetensors or centroids.npy"):
        audiotok.load("units:hubert", tmp_path)


def test_networks_load_strictly(made, tmp_path):
    folder, _, found = made("wavlm")
    state = torch.load(folder / "pytorch_model.bin")
    config = json.loads((folder / "config.json").read_text())
    np.save(tmp_path / "centroids.npy", found)
    for change, message in (
        (lambda s: s.pop("encoder.layer_norm.weight"), "1 missing: encoder.layer_norm.weight"),
        (lambda s: s.update({"encoder.extra": torch.ones(2)}), "1 extra"),
        (lambda s: s.pop("masked_spec_embed"), None),
    ):
        changed = dict(state)
        change(changed)
        torch.save(changed, tmp_path / "pytorch_model.bin")
        (tmp_path / "config.json").write_text(json.dumps(config))
        if message is None:
            continue
        with pytest.raises(CheckpointError, match=message):
            audiotok.load(name_of("wavlm"), tmp_path)
    with pytest.raises(CheckpointError, match="of model_type 'wavlm', expected 'hubert'"):
        audiotok.load(name_of("hubert"), tmp_path)


def test_decoding_is_refused_in_one_line(made):
    codec = audiotok.load(name_of("hubert"), made("hubert")[0])
    tokens = Tokens.from_bytes(codec.encode((SOUND[0], 16_000)).to_bytes())
    with pytest.raises(CodecError, match="no decoder: it needs a vocoder trained on these units"):
        codec.decode(tokens)
    assert torch.equal(codec.tokens(tokens.codes).codes, tokens.codes)
