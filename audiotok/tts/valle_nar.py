"""The non-autoregressive model of VALL-E R: the other codebooks, each at once for all frames.

Han et al. 2024, arXiv 2406.07855, section 3.2; Wang et al. 2023, arXiv 2301.02111. A frame sees the
sum of the embeddings of its tokens so far, of its phone and of the next one; frames of the prompt
have all their tokens. The head of codebook j shares its weights with the embedding of codebook j.
In training one codebook is drawn for each batch, and the phones of `phone_dropout` of the rows are
withheld, so that one model serves speech with and without alignment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from audiotok.tokens.grouping import Grouping
from audiotok.training.settings import Section
from audiotok.tts import phones, units
from audiotok.tts.base import Codes, Example, Prompt, Request, SpeechModel
from audiotok.tts.rows import PROMPT, PROMPT_TEXT, SPEECH, TEXT, Row, pad_rows
from audiotok.tts.transformer import Transformer


class NARConfig(Section):
    """Sizes and options."""

    kind: Literal["valle-nar"] = "valle-nar"
    group: int = Field(1, gt=0)  # codebooks of the codec in a token
    dimension: int = Field(256, gt=0)
    heads: int = Field(4, gt=0)
    layers: int = Field(6, gt=0)
    dropout: float = Field(0.1, ge=0, lt=1)
    phone_dropout: float = Field(0.5, ge=0, le=1)  # of rows whose frames do not know their phones
    prompt_text_dropout: float = Field(0.5, ge=0, le=1)  # of prompts whose text is withheld

    def build(self, codes: Codes) -> NAR:
        """A new model with random weights."""
        return NAR(self, codes)


class NAR(SpeechModel):
    """See the module; `fill` makes all tokens of given first ones.

    It has a unit of as many frames as the codec merges, and speaks unmerged tokens as well.
    """

    def __init__(self, config: NARConfig, codes: Codes):
        super().__init__()
        self.config, self.codes = config, codes
        self.grouping = Grouping(codes.codebook_sizes, config.group)
        self.merge = units.merge_of(codes, config.group)
        sizes, width = self.grouping.sizes, config.dimension
        self.text = nn.Embedding(phones.NUM_PHONES, width)
        self.phones = nn.Embedding(phones.NUM_PHONES, width)
        self.next_phones = nn.Embedding(phones.NUM_PHONES, width)
        self.tokens = nn.ModuleList(nn.Embedding(size, width) for size in sizes)
        self.books = nn.Embedding(len(sizes), width)  # which codebook is asked for
        self.segments = nn.Embedding(4, width)
        self.transformer = Transformer(width, config.heads, config.layers, config.dropout)
        for table in self.modules():
            if isinstance(table, nn.Embedding):
                nn.init.normal_(table.weight, std=0.02)

    def loss(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """ "loss": nats per token of one codebook; its accuracy beside."""
        config = self.config
        book = int(torch.randint(1, len(self.tokens), (), generator=generator))
        withheld = torch.rand(2, len(examples), generator=generator)
        requests = [
            Request(
                one.target.phones,
                Prompt(one.prompt.codes) if hidden < config.prompt_text_dropout else one.prompt,
                None if unknown < config.phone_dropout else one.target.durations(self.merge),
            )
            for one, hidden, unknown in zip(examples, *withheld.tolist(), strict=True)
        ]
        tokens = [self.grouping.join(one.target.codes) for one in examples]
        logits = self.forced(requests, tokens, book)
        wanted = torch.cat([one[book] for one in tokens]).to(logits[0].device)
        flat = torch.cat(logits)
        right = (flat.argmax(-1) == wanted).float().mean()
        return {"loss": F.cross_entropy(flat, wanted), "accuracy": right.detach()}

    def forced(
        self, requests: Sequence[Request], tokens: Sequence[Tensor], book: int
    ) -> list[Tensor]:
        """Logits (T, size) of codebook `book` (1 or more) for tokens (K, T), of which the codebooks
        before it are seen; the durations of a request may be None."""
        rows = [
            self._prefix(request) + self._frames(request, own[:book])
            for request, own in zip(requests, tokens, strict=True)
        ]
        batch = pad_rows(rows, causal=False)
        hidden = batch.hidden + self.books.weight[book]
        hidden = self.transformer(hidden, batch.positions, batch.mask)
        lengths = [own.shape[1] for own in tokens]
        table = self.tokens[book].weight
        return [
            (one[len(row) - length : len(row)] @ table.T).float()
            for one, row, length in zip(hidden, rows, lengths, strict=True)
        ]

    @torch.no_grad()
    def fill(self, requests: Sequence[Request], first: Sequence[Tensor]) -> list[Tensor]:
        """First tokens of each frame, (T,) -> codes (K, T), the most likely ones."""
        tokens = [own[None].to(self._device) for own in first]
        for book in range(1, len(self.tokens)):
            logits = self.forced(requests, tokens, book)
            tokens = [
                torch.cat([own, one.argmax(-1)[None]])
                for own, one in zip(tokens, logits, strict=True)
            ]
        return [self.grouping.split(own.cpu()) for own in tokens]

    def _prefix(self, request: Request) -> Row:
        """Text and prompt."""
        prompt, segments = request.prompt, self.segments.weight
        text = Row.part(self.text(request.phones.to(self._device)) + segments[TEXT], 0)
        tokens = self.grouping.join(prompt.codes).to(self._device)
        sound = sum(table(own) for table, own in zip(self.tokens, tokens, strict=True))
        sound = sound + segments[PROMPT] + self._place(prompt.phones, prompt.durations, len(sound))
        if prompt.phones is not None:
            said = self.text(prompt.phones.to(self._device)) + segments[PROMPT_TEXT]
            text = Row.part(said, -len(said)) + text
        return text + Row.part(sound, -len(sound))

    def _frames(self, request: Request, tokens: Tensor) -> Row:
        """The frames to fill, of tokens (K', T) that are known."""
        tokens = tokens.to(self._device)
        known = sum(table(own) for table, own in zip(self.tokens, tokens, strict=False))
        place = self._place(request.phones, request.durations, len(known))
        return Row.part(known + self.segments.weight[SPEECH] + place, 0)

    def _place(self, spoken: Tensor | None, durations: Tensor | None, frames: int) -> Tensor:
        """The embeddings of the phone of each frame and of the next one, (T, D)."""
        here = after = torch.zeros(frames, dtype=torch.long)
        if spoken is not None and durations is not None:
            here, after, _ = units.path(spoken, durations)
            merge = -(-frames // len(here))
            here, after = (one.repeat_interleave(merge)[:frames] for one in (here, after))
        return self.phones(here.to(self._device)) + self.next_phones(after.to(self._device))

    @property
    def _device(self) -> torch.device:
        return self.books.weight.device
