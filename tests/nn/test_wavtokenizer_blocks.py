"""The blocks of WavTokenizer against what PyTorch and a hand can say of them."""

import pytest
import torch

from audiotok.nn.losses import MultiResolutionSpectralLoss
from audiotok.nn.seanet import PaddedConv1d, SEANetEncoder, fold_weight_norm
from audiotok.nn.vocos import Attention, ISTFTHead, VocosBackbone


@pytest.mark.parametrize("strides", [(4, 5, 5, 6), (2, 4, 5, 8), (2, 4, 5, 5)])
def test_frames_are_the_length_over_the_hop_rounded_up(strides):
    torch.manual_seed(0)
    encoder = SEANetEncoder(4, 2, strides, num_lstm_layers=1)
    hop = encoder.hop_length
    for length in (1, 2, hop - 1, hop, hop + 1, 7 * hop, 7 * hop + 1):
        with torch.no_grad():
            assert encoder(torch.randn(1, 1, length)).shape == (1, 4, -(-length // hop))


def test_padding_reflects():
    conv = PaddedConv1d(1, 1, 3, bias=False)
    conv.weight.data[:] = torch.tensor([1.0, 10.0, 100.0])
    with torch.no_grad():
        output = conv(torch.tensor([[[1.0, 2.0, 3.0]]]))
    assert output.flatten().tolist() == [212, 321, 232]


def test_an_even_kernel_pads_one_more_on_the_left_and_the_last_window_is_filled():
    conv = PaddedConv1d(1, 1, 4, 2, bias=False)
    conv.weight.data[:] = torch.tensor([1.0, 10.0, 100.0, 1000.0])
    with torch.no_grad():
        output = conv(torch.tensor([[[1.0, 2.0, 3.0]]]))
    # reflected to 2 1 2 3 2 1: one on the left, one and one more on the right
    assert output.flatten().tolist() == [3212, 1232]


def test_fold_weight_norm_is_what_pytorch_computes():
    torch.manual_seed(0)
    conv = torch.nn.utils.parametrizations.weight_norm(torch.nn.Conv1d(3, 5, 4))
    conv.parametrizations.weight.original0.data.uniform_(0.5, 2)
    state = {
        "a.weight_g": conv.parametrizations.weight.original0,
        "a.weight_v": conv.parametrizations.weight.original1,
        "a.bias": conv.bias,
    }
    folded = fold_weight_norm(state)
    assert folded.keys() == {"a.weight", "a.bias"}
    torch.testing.assert_close(folded["a.weight"], conv.weight)


def test_attention_is_softmax_over_all_frames():
    torch.manual_seed(0)
    block = Attention(64)
    hidden = torch.randn(2, 64, 9)
    normed = block.norm(hidden)
    q, k, v = block.q(normed), block.k(normed), block.v(normed)
    weights = torch.softmax(q.transpose(1, 2) @ k / 8, dim=-1)
    expected = hidden + block.proj_out(v @ weights.transpose(1, 2))
    torch.testing.assert_close(block(hidden), expected)


def test_the_head_inverts_an_stft():
    """Magnitudes and phases of a real STFT, put where the linear layer writes, give the sound."""
    torch.manual_seed(0)
    hop, frames = 8, 30
    sound = torch.randn(hop * frames)
    window = torch.hann_window(4 * hop)
    padded = torch.nn.functional.pad(sound, (12, 12))
    pieces = torch.stack([padded[t * hop : t * hop + 4 * hop] for t in range(frames)])
    spectrum = torch.fft.rfft(pieces * window)
    head = ISTFTHead(4 * hop + 2, hop)
    head.linear.weight.data.copy_(torch.eye(4 * hop + 2))
    head.linear.bias.data.zero_()
    coefficients = torch.cat([spectrum.abs().log(), spectrum.angle()], dim=1)
    with torch.no_grad():
        output = head(coefficients[None])
    assert output.shape == (1, 1, hop * frames)
    torch.testing.assert_close(output[0, 0], sound, rtol=1e-3, atol=1e-4)


def test_the_head_limits_magnitudes():
    head = ISTFTHead(4, 4)
    head.linear.bias.data.fill_(1e4)
    with torch.no_grad():
        assert torch.isfinite(head(torch.zeros(1, 3, 4))).all()


def test_the_backbone_sees_the_whole_sequence():
    torch.manual_seed(0)
    backbone = VocosBackbone(4, 64, 64, 1).eval()
    quantized = torch.randn(1, 4, 200)
    with torch.no_grad():
        whole, half = backbone(quantized), backbone(quantized[..., :100])
    assert whole.shape == (1, 200, 64)
    assert not torch.allclose(whole[:, :50], half[:, :50], atol=1e-4)


def test_the_spectral_loss_is_zero_for_equal_and_grows_with_noise():
    loss = MultiResolutionSpectralLoss(16000, {256: 20, 512: 40})
    sound = torch.randn(2, 4000, generator=torch.Generator().manual_seed(0)) * 0.1
    noise = torch.randn(2, 4000, generator=torch.Generator().manual_seed(1)) * 0.1
    values = [loss(sound, sound + level * noise) for level in (0, 0.01, 0.1, 1)]
    assert values[0].mel == values[0].stft == 0
    for quieter, louder in zip(values, values[1:], strict=False):
        assert quieter.mel < louder.mel
        assert quieter.stft < louder.stft


def test_the_mel_loss_of_a_gain_is_its_logarithm():
    loss = MultiResolutionSpectralLoss(16000, {512: 40})
    sound = torch.randn(1, 8000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(loss(sound, sound * 2).mel, torch.tensor(2.0).log())


def test_silence_has_a_finite_gradient():
    loss = MultiResolutionSpectralLoss(16000, {256: 20})
    silence = torch.zeros(1, 2000, requires_grad=True)
    mel, stft = loss(torch.zeros(1, 2000), silence)
    (mel + stft).backward()
    assert torch.isfinite(silence.grad).all()
