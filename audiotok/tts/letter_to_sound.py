"""Predicts the phones of words that no dictionary has: a small convolutional network with CTC.

Every letter becomes two frames, for which the network predicts phones or blanks; repetitions are
merged and blanks removed (`recogniser.model.collapse`). Trained on the CMU dictionary by
benchmarks/letter_to_sound.py, which writes the file that ships and prints its error rates.
"""

from __future__ import annotations

from functools import cache

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from audiotok.errors import CheckpointError
from audiotok.recogniser.model import collapse
from audiotok.recogniser.phones import PHONES
from audiotok.system import assets

LETTERS = "abcdefghijklmnopqrstuvwxyz'"
FILE = "letter-to-sound.safetensors"


class LetterToSound(nn.Module):
    """Letters (B, N), 0 for padding, to log probabilities (B, 2N, 1 + phones)."""

    def __init__(self, dimension: int = 112, layers: int = 5, kernel: int = 5):
        super().__init__()
        self.embedding = nn.Embedding(len(LETTERS) + 1, dimension, padding_idx=0)
        self.layers = nn.ModuleList(
            nn.Conv1d(dimension, dimension, kernel, padding=kernel // 2) for _ in range(layers)
        )
        self.head = nn.Linear(dimension, 2 * (len(PHONES) + 1))

    def forward(self, letters: Tensor) -> Tensor:
        mask = (letters > 0)[:, None]
        hidden = self.embedding(letters).transpose(1, 2)
        for layer in self.layers:
            hidden = (hidden + torch.relu(layer(hidden))) * mask
        frames = self.head(hidden.transpose(1, 2)).unflatten(2, (2, -1)).flatten(1, 2)
        return frames.log_softmax(-1)


def letters_of(word: str) -> Tensor:
    """(N,) int64 of a word of LETTERS."""
    return torch.tensor([LETTERS.index(letter) + 1 for letter in word])


@torch.no_grad()
def guess(word: str) -> list[str]:
    """The phones of a word of LETTERS, at least one."""
    scores = _network()(letters_of(word)[None])[0]
    best = collapse(scores.argmax(-1).tolist())
    best = best or [int(scores[:, 1:].max(0).values.argmax()) + 1]
    return [PHONES[phone - 1] for phone in best]


@cache
def _network() -> LetterToSound:
    path = assets.folder("bundled") / FILE
    network = LetterToSound().eval()
    try:
        network.load_state_dict({name: x.float() for name, x in load_file(path).items()})
    except (OSError, RuntimeError) as reason:
        raise CheckpointError(
            f"{path} cannot be read ({type(reason).__name__}): it ships with audiotok: install it "
            "again"
        ) from reason
    return network
