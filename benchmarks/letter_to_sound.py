"""Trains audiotok/tts/letter_to_sound.py on the CMU dictionary and writes its file.

    python benchmarks/letter_to_sound.py audiotok/bundled/letter-to-sound.safetensors [--epochs 8]

A tenth of the words, chosen by their CRC-32, is held out; the script prints their word and phone
error rates against the first pronunciation of each. Some minutes on one core.
"""

from __future__ import annotations

import argparse
import math
import zlib
from pathlib import Path

import jiwer
import torch
from safetensors.torch import save_file
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from audiotok.judges.asr.sphinx import dictionary
from audiotok.recogniser.model import collapse
from audiotok.recogniser.phones import PHONES
from audiotok.tts.letter_to_sound import LETTERS, LetterToSound, letters_of

Pair = tuple[torch.Tensor, torch.Tensor]


def pairs() -> tuple[list[Pair], list[Pair]]:
    """Letters and phone classes of the words to learn from, and of those held out."""
    splits: tuple[list[Pair], list[Pair]] = ([], [])
    for word, phones in dictionary().items():
        if word[0].isalpha() and set(word) <= set(LETTERS) and len(phones) <= 2 * len(word):
            classes = torch.tensor([PHONES.index(phone) + 1 for phone in phones])
            splits[zlib.crc32(word.encode()) % 10 == 0].append((letters_of(word), classes))
    return splits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=int, default=8)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    train, held_out = pairs()
    network, batch = LetterToSound(), 256
    steps = arguments.epochs * (len(train) // batch)
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1, (step + 1) / 200) * (1 + math.cos(math.pi * step / steps)) / 2,
    )
    for step in range(steps):
        if step % (len(train) // batch) == 0:
            order = torch.randperm(len(train)).tolist()
        chosen = [train[order[(step * batch + i) % len(train)]] for i in range(batch)]
        letters, classes = zip(*chosen, strict=True)
        log_probs = network(pad_sequence(letters, batch_first=True)).transpose(0, 1)
        loss = F.ctc_loss(
            log_probs, torch.cat(classes), torch.tensor([2 * len(word) for word in letters]),
            torch.tensor([len(phones) for phones in classes]), zero_infinity=True,
        )  # fmt: skip
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 200 == 0:
            print(f"step {step} of {steps}: {float(loss):.3f}", flush=True)
    network.eval()
    with torch.no_grad():
        guesses = [collapse(network(word[None])[0].argmax(-1).tolist()) for word, _ in held_out]
    truth = [classes.tolist() for _, classes in held_out]
    word_errors = sum(a != b for a, b in zip(guesses, truth, strict=True)) / len(truth)
    phone_errors = jiwer.wer(
        *([" ".join(map(str, word)) or "-" for word in words] for words in (truth, guesses))
    )
    print(
        f"{len(truth)} held-out words: word error rate {word_errors:.3f}, "
        f"phone error rate {phone_errors:.3f}"
    )
    save_file(
        {name: x.half().contiguous() for name, x in network.state_dict().items()}, arguments.out
    )


if __name__ == "__main__":
    main()
