"""Graphs of ONNX under onnxruntime give the codes and the sound of the codec, at any length."""

import json

import pytest
import torch
from support import tiny_mini, tiny_wavtokenizer
from support.parity import assert_close_to_peak
from typer.testing import CliRunner

import audiotok
from audiotok.cli.commands import app
from audiotok.codec import checkpoints, onnx_graphs
from audiotok.errors import CodecError
from audiotok.nn.dac import DACConfig, DACNetwork
from audiotok.nn.encodec import EncodecConfig, EncodecNetwork
from audiotok.nn.lm_spt import LMSPTConfig, LMSPTNetwork

MINIS = ("rvq", "grouped", "fsq", "lfq")  # the families have the other quantizers


def filled(network, strides):
    """Random weights, and codebooks as wide as the latents that they quantize."""
    with torch.no_grad():
        latents = network.encoder(0.1 * torch.randn(1, 1, 100 * strides))
        for name, codebook in network.named_buffers():
            if "codebook" in name:
                codebook.copy_(0.7 * latents.std() * torch.randn(codebook.shape))
    return network.eval()


def encodec():
    """Causal, as at 24 kHz."""
    sizes = {"dimension": 8, "num_codebooks": 4, "codebook_size": 32, "num_filters": 2}
    config = EncodecConfig(strides=(2, 4, 5, 8), num_lstm_layers=2, causal=True, **sizes)
    return filled(EncodecNetwork(config), 320)


def dac():
    """Of odd strides, which lose samples."""
    sizes = {"num_filters": 2, "dimension": 16, "decoder_channels": 16, "num_codebooks": 3}
    return filled(DACNetwork(DACConfig(strides=(2, 5), decoder_strides=(5, 2), **sizes)), 10)


def lm_spt():
    """As lm-spt-mini: SEANet and Vocos, codebooks of moving averages."""
    encoder = {"kind": "seanet", "strides": (2, 4, 5), "num_filters": 2, "num_lstm_layers": 1}
    decoder = {"kind": "vocos", "upsampling": 2, "hop": 40, "dim": 64, "layers": 1}
    sizes = {"sample_rate": 16000, "dimension": 8, "codebook_dim": None, "taught_by": "averages"}
    sizes |= {"semantic_codebook_size": 32, "acoustic_codebook_size": 32}
    decoder |= {"intermediate_dim": 32}
    config = LMSPTConfig(
        encoder=encoder | {"pooling": 2},
        decoder=decoder,
        auxiliary_decoder=decoder,
        num_acoustic_codebooks=2,
        **sizes,
    )
    return filled(LMSPTNetwork(config), 80)


NETWORKS = {
    "wavtokenizer": tiny_wavtokenizer.network,
    "encodec": encodec,
    "dac": dac,
    "lm-spt": lm_spt,
}


@pytest.fixture(scope="module")
def codec_of(tmp_path_factory):
    """Loads a tiny codec of a family or, for the family mini, of a kind of quantizer."""
    folder = tmp_path_factory.mktemp("tiny")

    def load(name, options=""):
        if name in tiny_mini.QUANTIZERS:
            path = tiny_mini.write(folder, name)
        else:
            torch.manual_seed(0)
            network = NETWORKS[name]()
            about = {"family": name, "name": f"tiny-{name}"}
            about["config"] = network.config.model_dump_json()
            path = folder / f"{name}.safetensors"
            checkpoints.save(path, network.state_dict(), about)
        return audiotok.load(f"{path}{options}", device="cpu", quiet=True)

    return load


class Graphs:
    def __init__(self, folder):
        self.about = json.loads((folder / "codec.json").read_bytes())
        runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
        for name in ("encoder", "quantizer", "decoder"):
            setattr(self, name, self._runner(runtime.InferenceSession(folder / f"{name}.onnx")))

    @staticmethod
    def _runner(session):
        (tensor,) = session.get_inputs()
        return lambda value: torch.from_numpy(session.run(None, {tensor.name: value.numpy()})[0])


def stable(codec, latents, size):
    """The frames whose codes do not change if their latents change by up to `size`."""
    codes, same = codec.quantize(latents), True
    for seed in range(4):
        noise = torch.rand(latents.shape, generator=torch.Generator().manual_seed(seed)) - 0.5
        same = same & (codec.quantize(latents + 2 * size * noise) == codes).all(1)[0]
    return same


@pytest.mark.parametrize("name", [*NETWORKS, *MINIS])
def test_graphs_equal_the_codec(codec_of, tmp_path, name):
    pytest.importorskip("onnx", reason="onnx is not installed: pip install 'audiotok[onnx]'")
    codec = codec_of(name)
    onnx_graphs.write(codec, tmp_path)
    graphs, hop = Graphs(tmp_path), codec.hop_length
    assert graphs.about["fingerprint"] == codec.fingerprint
    judged = frames = 0
    for length in (graphs.about["min_samples"], 41 * hop - 1):
        generator = torch.Generator().manual_seed(length)
        waveform = 0.1 * torch.randn(1, 1, length, generator=generator)
        ours, theirs = codec.encode_latents(waveform), graphs.encoder(waveform)
        assert_close_to_peak(theirs, ours)
        codes, found = codec.quantize(ours), graphs.quantizer(theirs)
        same = stable(codec, ours, 4 * float((ours - theirs).abs().max()) + 1e-7)
        judged, frames = judged + int(same.sum()), frames + codes.shape[2]
        assert torch.equal(found[..., same], codes[..., same])
        assert_close_to_peak(graphs.decoder(codes), codec.decode_codes(codes))
    assert judged > 0.9 * frames
    ours[0, 0, 3] = float("nan")
    assert (graphs.quantizer(ours)[0, :, 3] == -1).any()
    if len(codec.card.codebook_counts) > 1:
        fewer = codes.clone()
        fewer[:, 2:] = -1
        assert_close_to_peak(graphs.decoder(fewer), codec.decode_codes(codes[:, :2]))


def test_the_command_writes_a_folder_once_and_half_as_large(codec_of, tmp_path):
    pytest.importorskip("onnx", reason="onnx is not installed: pip install 'audiotok[onnx]'")
    codec, run = codec_of("rvq"), CliRunner().invoke
    codes, sounds, sizes = codec.encode_codes(0.1 * torch.randn(1, 1, 4000)), [], []
    for options in ([], ["--half"]):
        out = tmp_path / f"out{len(options)}"
        command = ["export-onnx", str(codec.checkpoint), "--out", str(out), *options]
        assert run(app, command).exit_code == 0
        sounds.append(Graphs(out).decoder(codes))
        sizes.append((out / "decoder.onnx").stat().st_size)
    assert sorted(p.name for p in out.iterdir()) == sorted((*onnx_graphs.GRAPHS, "codec.json"))
    assert 0 < (sounds[0] - sounds[1]).abs().max() < 0.01 * sounds[0].abs().max()
    assert sizes[1] < 0.75 * sizes[0]
    again = run(app, command)
    assert again.exit_code != 0 and "--overwrite" in str(again.exception)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("opus-6k", "whose network is PyTorch's"),
        ("rvq-small:merge=2", "different rates"),
        ("rvq-small:precision=fast", "leave it out"),
    ],
)
def test_what_has_no_graphs_says_why(name, why):
    with pytest.raises(CodecError, match=why):
        onnx_graphs.write(audiotok.load(name, device="cpu", quiet=True), "nowhere")


def test_pytorch_records_the_whole_network(codec_of):
    """torch.export does, and torch.compile finds no break in the graph."""
    codec = codec_of("dac")
    waveform = 0.1 * torch.randn(1, 1, 10 * codec.hop_length)
    whole = Coding(codec.network)
    with torch.no_grad():
        exported = torch.export.export(whole, (waveform,), strict=False).module()
        for program in (exported, torch.compile(whole, fullgraph=True, backend="eager")):
            codes, sound = program(waveform)
            assert (codes == codec.encode_codes(waveform)).float().mean() > 0.95
            assert_close_to_peak(sound, codec.decode_codes(codes))


class Coding(torch.nn.Module):
    """Waveform to codes to waveform."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, waveform):
        codes = self.network.encode(waveform)
        return codes, self.network.decode(codes)
