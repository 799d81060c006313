"""SpeechTokenizer against the package of its authors, where that is installed."""

import pytest
import torch

import audiotok
from audiotok import Audio, Tokens

package = pytest.importorskip(
    "speechtokenizer",
    reason="speechtokenizer is not installed, or what its trainer imports",
    exc_type=ImportError,
)
CONFIG = {
    "n_filters": 8,
    "strides": [8, 5, 4, 2],
    "dimension": 64,
    "semantic_dimension": 16,
    "bidirectional": True,
    "dilation_base": 2,
    "residual_kernel_size": 3,
    "n_residual_layers": 1,
    "lstm_layers": 2,
    "codebook_size": 1024,
    "n_q": 8,
    "sample_rate": 16000,
}


def sound(num_samples, seed):
    """Something like speech: a gliding buzz under slow loudness, with noise."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(num_samples) / 16000
    pitch = 120 + 40 * torch.sin(2 * torch.pi * (0.7 + 0.1 * seed) * time)
    phase = 2 * torch.pi * pitch.cumsum(0) / 16000
    buzz = sum(torch.sin(k * phase) / k for k in range(1, 20))
    loudness = 0.1 + 0.1 * torch.sin(2 * torch.pi * 3.1 * time)
    return (loudness * buzz + 0.02 * torch.randn(num_samples, generator=generator))[None]


def official(activation):
    torch.manual_seed(0)
    model = package.SpeechTokenizer(CONFIG | {"activation": activation}).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn_like(parameter)
            if name.endswith("weight_g"):
                parameter.copy_(1 + 0.1 * noise)
            elif name.endswith("alpha"):
                parameter.copy_(0.5 + torch.rand_like(parameter))
            elif parameter.ndim == 3:
                parameter.copy_(noise)
            else:
                parameter.copy_(0.1 * noise)
        model.encoder.model[0].conv.conv.weight_g.mul_(5)
        residual = model.encoder(sound(25 * 16000, 1)[None])[0].T
        off = 0.2 * residual.std()
        for stage, layer in enumerate(model.quantizer.vq.layers):
            rows = residual[torch.randperm(len(residual))[:1024]]
            codebook = rows + off * 0.85**stage * torch.randn_like(rows)
            layer._codebook.embed.copy_(codebook)
            layer._codebook.inited.fill_(1)
            residual = residual - codebook[torch.cdist(residual, codebook).argmin(1)]
    return model


@pytest.mark.parametrize(
    ("name", "activation"),
    [("speechtokenizer-hubert-avg", "ELU"), ("speechtokenizer-snake", "Snake")],
)
def test_equals_the_package(name, activation, tmp_path):
    model = official(activation)
    torch.save(model.state_dict(), tmp_path / "SpeechTokenizer.pt")
    codec = audiotok.load(name, checkpoint=tmp_path / "SpeechTokenizer.pt")
    for length in (1, 319, 320, 321, 6 * 16000 + 77):
        waveform = sound(length, 2)
        with torch.no_grad():
            codes = model.encode(waveform[None]).transpose(0, 1)
            expected = model.decode(codes.transpose(0, 1))[0, :, :length]
        tokens = codec.encode(Audio(waveform, 16000))
        differing = (tokens.codes != codes).any(1).float().mean()
        assert differing == 0 if length < 16000 else differing < 0.01  # near ties
        theirs = Tokens(
            codes, tokens.codec, tokens.fingerprint, length, 16000, tokens.codebook_sizes
        )
        decoded = codec.decode(theirs).waveform
        assert (decoded - expected).abs().max() <= 1e-5 * expected.abs().max()
    assert min(codebook.unique().numel() for codebook in codes[0]) >= 100
    with torch.no_grad():
        ours, latents = (part(waveform[None]) for part in (codec.network.encoder, model.encoder))
    assert (ours - latents).abs().max() <= 1e-4 * latents.abs().max()
