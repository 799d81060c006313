"""A transposed convolution in pieces: PyTorch's numbers but for rounding, also with new weights."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from audiotok.nn.pieces import Transposed


@torch.no_grad()
@pytest.mark.parametrize(("stride", "kernel"), [(3, 6), (4, 9), (2, 2)])
def test_few_frames_equal_the_convolution(stride, kernel):
    torch.manual_seed(0)
    conv = nn.ConvTranspose1d(16, 8, kernel, stride, bias=False)
    for _ in range(2):
        for batch, length in ((1, 1), (1, 2), (1, 6), (3, 1), (3, 5), (1, 40)):
            hidden = torch.randn(batch, 16, length)
            expected = F.conv_transpose1d(hidden, conv.weight, None, stride)
            torch.testing.assert_close(Transposed(conv)._spread(hidden), expected)
        conv.weight.mul_(2)
