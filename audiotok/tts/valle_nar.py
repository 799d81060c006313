"""The non-autoregressive model of VALL-E R: the other codebooks, each for all frames at once.

Han et al. 2024, arXiv 2406.07855, section 3.2; Wang et al. 2023, arXiv 2301.02111. The input of a
frame is the sum of the embeddings of its tokens so far, of its phone and of the next one; frames of
the prompt have all their tokens. The head of codebook j shares its weights with the embedding of
codebook j. In training one codebook is chosen at random for each batch, and a share `phone_dropout`
of the rows gets no phones, so that one model serves speech with and without alignment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from audiotok.codec import registry
from audiotok.tokens.grouping import Grouping
from audiotok.training.settings import Section
from audiotok.tts import phones, units
from audiotok.tts.base import Codes, Example, Prompt, Request, SpeechModel
from audiotok.tts.rows import PROMPT, PROMPT_TEXT, SPEECH, TEXT, Row, pad_rows
from audiotok.tts.transformer import Transformer

INITIAL = 0.02  # standard deviation of initial embeddings


class NARConfig(Section):
    """Sizes and options."""

    kind: Literal["valle-nar"] = "valle-nar"
    group: int = Field(1, gt=0)  # codebooks of the codec in a token
    dimension: int = Field(256, gt=0)
    heads: int = Field(4, gt=0)
    layers: int = Field(6, gt=0)
    dropout: float = Field(0.1, ge=0, lt=1)
    phone_dropout: float = Field(0.5, ge=0, le=1)  # share of rows whose frames have no phones
    prompt_text_dropout: float = Field(0.5, ge=0, le=1)  # share of prompts without their text
    token_noise: float = Field(0.0, ge=0, le=1)  # share of random tokens in the input, in training
    codewords: bool = False  # the embeddings of tokens start as projections of the codewords

    def build(self, codes: Codes) -> NAR:
        """A new model with random weights."""
        return NAR(self, codes)


class NAR(SpeechModel):
    """See the module; `fill` predicts all other tokens from the first ones.

    A unit has as many frames as the codec merges; codecs without merging have units of one frame.
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
        self.books = nn.Embedding(len(sizes), width)  # the codebook to predict
        self.segments = nn.Embedding(4, width)
        self.transformer = Transformer(width, config.heads, config.layers, config.dropout)
        for table in self.modules():
            if isinstance(table, nn.Embedding):
                nn.init.normal_(table.weight, std=INITIAL)

    def fit(self) -> None:
        """With `codewords`, the embeddings of tokens become the codec's codewords in one random
        projection: near codewords then have near embeddings, and of codebooks that add up, the sum
        of the embeddings is the projected latent.

        Raises:
            CodecError: the codec has no codewords.
        """
        if not self.config.codewords:
            return
        codec = registry.load(self.codes.codec, quiet=True)
        words = [codec.codewords(number) for number in range(len(self.tokens))]
        projection = torch.randn(words[0].shape[1], self.config.dimension)
        projection *= INITIAL / (words[0] @ projection).std()
        with torch.no_grad():
            for table, vectors in zip(self.tokens, words, strict=True):
                table.weight.copy_(vectors @ projection)

    def loss(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """ "loss": nats per token of one codebook; and its accuracy."""
        config = self.config
        book = int(torch.randint(1, len(self.tokens), (), generator=generator))
        rates = torch.tensor([[config.prompt_text_dropout], [config.phone_dropout]])
        hidden = torch.rand(2, len(examples), generator=generator) < rates
        requests = [
            Request(
                example.target.phones,
                Prompt(example.prompt.codes) if hide_text else example.prompt,
                None if hide_phones else example.target.durations(self.merge),
            )
            for example, hide_text, hide_phones in zip(examples, *hidden.tolist(), strict=True)
        ]
        tokens = [self.grouping.join(example.target.codes) for example in examples]
        share = config.token_noise if self.training else 0
        inputs = [units.noised(t, self.grouping.sizes, share, generator) for t in tokens]
        logits = self.forced(requests, inputs, book)
        targets = torch.cat([clip[book] for clip in tokens]).to(logits[0].device)
        flat = torch.cat(logits)
        accuracy = (flat.argmax(-1) == targets).float().mean()
        return {"loss": F.cross_entropy(flat, targets), "accuracy": accuracy.detach()}

    def forced(
        self, requests: Sequence[Request], tokens: Sequence[Tensor], book: int
    ) -> list[Tensor]:
        """Logits (T, size) of codebook `book` (1 or more) for tokens (K, T), given the codebooks
        before it; the durations of a request may be None."""
        rows = [
            self._prefix(request) + self._frames(request, clip[:book])
            for request, clip in zip(requests, tokens, strict=True)
        ]
        batch = pad_rows(rows, causal=False)
        hidden = batch.hidden + self.books.weight[book]
        hidden = self.transformer(hidden, batch.positions, batch.mask)
        lengths = [clip.shape[1] for clip in tokens]
        table = self.tokens[book].weight
        return [
            (output[len(row) - length : len(row)] @ table.T).float()
            for output, row, length in zip(hidden, rows, lengths, strict=True)
        ]

    @torch.no_grad()
    def fill(self, requests: Sequence[Request], first: Sequence[Tensor]) -> list[Tensor]:
        """First tokens of each frame, (T,) -> codes (K, T), the most likely ones."""
        tokens = [clip[None].to(self._device) for clip in first]
        for book in range(1, len(self.tokens)):
            logits = self.forced(requests, tokens, book)
            tokens = [
                torch.cat([clip, scores.argmax(-1)[None]])
                for clip, scores in zip(tokens, logits, strict=True)
            ]
        return [self.grouping.split(clip.cpu()) for clip in tokens]

    def _prefix(self, request: Request) -> Row:
        """The steps of the text and of the prompt."""
        prompt, segments = request.prompt, self.segments.weight
        text = Row.part(self.text(request.phones.to(self._device)) + segments[TEXT], 0)
        tokens = self.grouping.join(prompt.codes).to(self._device)
        sound = sum(table(row) for table, row in zip(self.tokens, tokens, strict=True))
        phone_state = self._phone_state(prompt.phones, prompt.durations, len(sound))
        sound = sound + segments[PROMPT] + phone_state
        if prompt.phones is not None:
            prompt_text = self.text(prompt.phones.to(self._device)) + segments[PROMPT_TEXT]
            text = Row.part(prompt_text, -len(prompt_text)) + text
        return text + Row.part(sound, -len(sound))

    def _frames(self, request: Request, tokens: Tensor) -> Row:
        """The steps of the frames to predict, from their tokens so far (K', T)."""
        tokens = tokens.to(self._device)
        known = sum(table(row) for table, row in zip(self.tokens, tokens, strict=False))
        phone_state = self._phone_state(request.phones, request.durations, len(known))
        return Row.part(known + self.segments.weight[SPEECH] + phone_state, 0)

    def _phone_state(self, ids: Tensor | None, durations: Tensor | None, frames: int) -> Tensor:
        """The sum of the embeddings of the phone of each frame and of the next phone, (T, D)."""
        current = following = torch.zeros(frames, dtype=torch.long)
        if ids is not None and durations is not None:
            current, following, _ = units.expand(ids, durations)
            merge = -(-frames // len(current))
            current, following = (x.repeat_interleave(merge)[:frames] for x in (current, following))
        return self.phones(current.to(self._device)) + self.next_phones(following.to(self._device))

    @property
    def _device(self) -> torch.device:
        return self.books.weight.device
