"""The autoregressive model of VALL-E R: the first token and the phone of each unit.

Han et al. 2024, arXiv 2406.07855, section 3.2. A row is the text, the prompt's units and the units
to speak. A unit is `merge` frames of the codec, which share a token of the first codebook. The
step of unit t sees the token of unit t - 1, and predicts the token of unit t and the phone of unit
t + 1; END follows the last phone.

By options the same network is VALL-E (Wang et al. 2023, arXiv 2301.02111): without `align`, no unit
knows its phone and a token of its own ends the speech.

Where the paper is silent or we differ: the input of a step is the sum of the embeddings; the phone
of a unit is decided a step ahead of its token, so that the token knows it and given durations are
kept to the unit; the next phone and the units spent on the phone are embedded too (`next_phone`,
`count`); both losses have the weight 1; positions count from the first unit to speak.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from audiotok.errors import SpeechError
from audiotok.lm.sampling import Sampling
from audiotok.tokens.grouping import Grouping
from audiotok.training.settings import Section
from audiotok.tts import phones, units
from audiotok.tts.base import Codes, Example, Generation, Prompt, Request, SpeechModel
from audiotok.tts.pointer import Pointer, advance_probability
from audiotok.tts.rows import PROMPT, PROMPT_TEXT, SPEECH, TEXT, Row, pad_rows
from audiotok.tts.transformer import Cache, Transformer

MOST_COUNT = 31  # units on a phone that are told apart
MOST_UNITS_PER_PHONE = 10  # of speech without alignment
IGNORED = -100  # targets of padding


class ARConfig(Section):
    """Sizes and options."""

    kind: Literal["valle-ar"] = "valle-ar"
    group: int = Field(1, gt=0)  # codebooks of the codec in a token
    dimension: int = Field(256, gt=0)
    heads: int = Field(4, gt=0)
    layers: int = Field(4, gt=0)
    dropout: float = Field(0.1, ge=0, lt=1)
    align: bool = True  # units know their phones, and a pointer chooses them
    next_phone: bool = True
    count: bool = True
    prompt_text_dropout: float = Field(0.5, ge=0, le=1)  # of prompts whose text is withheld

    def build(self, codes: Codes) -> AR:
        """A new model with random weights."""
        return AR(self, codes)


@dataclass(frozen=True)
class Scores:
    """Logits (B, U, tokens) and (B, U, phones); the latter None without alignment."""

    tokens: Tensor
    phones: Tensor | None


@dataclass
class Spoken:
    """What a request has got so far: its first tokens, and the log probability of each and of each
    decision of the pointer."""

    pointer: Pointer | None
    most: int  # tokens
    tokens: list[int] = field(default_factory=list)
    token_nats: list[float] = field(default_factory=list)
    pointer_nats: list[float] = field(default_factory=list)
    done: bool = False


class AR(SpeechModel):
    """See the module. It makes first tokens; `valle.ValleR` makes codes of them."""

    def __init__(self, config: ARConfig, codes: Codes):
        super().__init__()
        self.config, self.codes = config, codes
        self.merge = units.merge_of(codes, config.group)
        self._first = Grouping(codes.codebook_sizes[: config.group], config.group)
        self.size, width = self._first.sizes[0], config.dimension
        self.text = nn.Embedding(phones.NUM_PHONES, width)
        self.tokens = nn.Embedding(self.size + 1, width)  # the last begins the speech
        self.segments = nn.Embedding(4, width)
        self.transformer = Transformer(width, config.heads, config.layers, config.dropout)
        self.token_head = nn.Linear(width, self.size + (not config.align))  # the last ends it
        if config.align:
            self.phones = nn.Embedding(phones.NUM_PHONES, width)
            self.phone_head = nn.Linear(width, phones.NUM_PHONES)
            if config.next_phone:
                self.next_phones = nn.Embedding(phones.NUM_PHONES, width)
            if config.count:
                self.counts = nn.Embedding(MOST_COUNT + 1, width)
        for table in self.modules():
            if isinstance(table, nn.Embedding):
                nn.init.normal_(table.weight, std=0.02)

    def loss(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """ "loss": nats per token and, with alignment, nats per phone; accuracies beside."""
        hide = torch.rand(len(examples), generator=generator) < self.config.prompt_text_dropout
        requests = [
            Request(
                one.target.phones,
                Prompt(one.prompt.codes) if hidden else one.prompt,
                one.target.durations(self.merge),
            )
            for one, hidden in zip(examples, hide.tolist(), strict=True)
        ]
        tokens = [self.first_tokens(one.target.codes) for one in examples]
        scores = self.forced(requests, tokens)
        found = _cross_entropy(scores.tokens, [self._ended(one) for one in tokens], "token")
        loss = found["token"]
        if scores.phones is not None:
            following = [units.following(one.phones, one.durations) for one in requests]
            found |= _cross_entropy(scores.phones, following, "phone")
            loss = loss + found["phone"]
        return {"loss": loss} | found

    def first_tokens(self, codes: Tensor) -> Tensor:
        """Codes (K, T) -> the first token of each unit, (ceil(T / merge),)."""
        return self._first.join(codes[: self.config.group])[0, :: self.merge]

    def first_codes(self, tokens: Tensor) -> Tensor:
        """First tokens (U,) -> codes (group, U * merge) of their codebooks."""
        return self._first.split(tokens[None]).repeat_interleave(self.merge, 1)

    def forced(self, requests: Sequence[Request], tokens: Sequence[Tensor]) -> Scores:
        """The scores of all steps of given tokens (U,) each, and with alignment of given durations;
        without alignment there is one more step, which should end the speech."""
        begin = torch.tensor([self.size])
        rows, lengths = [], []
        for request, own in zip(requests, tokens, strict=True):
            seen = torch.cat([begin, own.cpu()])[: len(self._ended(own))].to(self._device)
            steps = self.tokens(seen) + self.segments.weight[SPEECH]
            if self.config.align:
                steps = steps + self._place(*units.path(request.phones, request.durations))
            rows.append(self._prefix(request) + Row.part(steps, 0))
            lengths.append(len(steps))
        batch = pad_rows(rows, causal=True)
        hidden = self.transformer(batch.hidden, batch.positions, batch.mask)
        ends = [(len(row) - length, len(row)) for row, length in zip(rows, lengths, strict=True)]
        spoken = [one[start:end] for one, (start, end) in zip(hidden, ends, strict=True)]
        return self._scores(pad_sequence(spoken, batch_first=True))

    @torch.no_grad()
    def likelihood(self, request: Request, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Log probabilities, teacher-forced, of given tokens (U,) and, with alignment, of each
        decision to stay or advance that the request's durations make; (0,) without."""
        scores = self.forced([request], [tokens])
        ended = self._ended(tokens).to(self._device)
        nats = scores.tokens[0].log_softmax(-1).gather(1, ended[:, None])[:, 0]
        if scores.phones is None:
            return nats, nats[:0]
        here, following, _ = units.path(request.phones, request.durations)
        pair = torch.stack([scores.phones[0, t, [here[t], following[t]]] for t in range(len(here))])
        advances = units.advances(request.durations).long().to(pair.device)
        return nats, pair.log_softmax(-1).gather(1, advances[:, None])[:, 0]

    @torch.no_grad()
    def speak(
        self, requests: Sequence[Request], options: Generation
    ) -> Iterator[dict[int, Spoken]]:
        """After each unit, what the requests that got one have so far, by their numbers; the
        results do not depend on the other requests of the batch."""
        sampling = Sampling(temperature=options.temperature, top_p=options.top_p)
        generators = [torch.Generator().manual_seed(one.seed) for one in requests]
        running = {n: self._begun(one, options) for n, one in enumerate(requests)}
        prefix = pad_rows([self._prefix(one) for one in requests], causal=True)
        cache, seen = Cache(), prefix.present
        self.transformer(prefix.hidden, prefix.positions, prefix.mask, cache)
        for unit in itertools.count():
            previous = [one.tokens[-1] if unit else self.size for one in running.values()]
            steps = self.tokens(torch.tensor(previous, device=self._device))
            steps = steps + self.segments.weight[SPEECH]
            if self.config.align:
                steps = steps + self._place(*self._at_hand(requests, running))
            seen = F.pad(seen, (0, 1), value=True)
            positions = torch.full((len(steps), 1), unit, device=self._device)
            hidden = self.transformer(steps[:, None], positions, seen[:, None, None], cache)
            scores = self._scores(hidden)
            for row, (number, one) in enumerate(running.items()):
                logits = scores.tokens[row, 0].float().cpu()
                pair = None
                if scores.phones is not None:
                    here, after = units.neighbours(requests[number].phones, one.pointer.phone)
                    pair = scores.phones[row, 0, [here, after]].float().cpu()
                self._draw(
                    one, logits, pair, sampling=sampling, generator=generators[number],
                    rule=options.pointer,
                )  # fmt: skip
            yield {number: one for number, one in running.items() if len(one.tokens) > unit}
            keep = [row for row, one in enumerate(running.values()) if not one.done]
            running = {number: one for number, one in running.items() if not one.done}
            if not running:
                return
            if len(keep) < len(seen):
                rows = torch.tensor(keep, device=self._device)
                cache.keep(rows)
                seen = seen[rows]

    def _draw(
        self,
        one: Spoken,
        logits: Tensor,
        pair: Tensor | None,
        *,
        sampling: Sampling,
        generator: torch.Generator,
        rule: str,
    ) -> None:
        """Draws the token of a unit from logits (tokens,), and whether the next phone begins from
        those of the phone at hand and the next one."""
        if not one.tokens and pair is None:
            logits[self.size] = -torch.inf  # some sound comes first
        token = int(sampling.sample(logits[None], logits[None, :0], generator))
        one.token_nats.append(float(logits.log_softmax(-1)[token]))
        if token == self.size:
            one.done = True
            return
        one.tokens.append(token)
        one.done = len(one.tokens) == one.most
        if pair is not None:
            draw = float(torch.rand((), generator=generator))
            advances = one.pointer.step(advance_probability(*pair.tolist(), rule), draw)
            one.pointer_nats.append(float(pair.log_softmax(-1)[int(advances)]))
            one.done = one.pointer.done

    def _begun(self, request: Request, options: Generation) -> Spoken:
        if not len(request.phones):
            raise SpeechError("there is no phone to speak: expected one or more")
        if not self.config.align:
            if request.durations is not None:
                raise SpeechError(
                    "this model has no alignment, so it cannot keep durations: leave them out"
                )
            return Spoken(None, MOST_UNITS_PER_PHONE * len(request.phones))
        given = None if request.durations is None else request.durations.tolist()
        units.check(request.phones, request.durations)
        count = len(request.phones)
        most = options.most_units * count if given is None else sum(given)
        return Spoken(Pointer(count, options.most_units, given), most)

    def _at_hand(
        self, requests: Sequence[Request], running: dict[int, Spoken]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `units.path`, of the unit that comes, (B,) each."""
        pairs = [units.neighbours(requests[n].phones, o.pointer.phone) for n, o in running.items()]
        spent = [one.pointer.spent for one in running.values()]
        return (*torch.tensor(pairs).T, torch.tensor(spent))

    def _place(self, here: Tensor, following: Tensor, spent: Tensor) -> Tensor:
        """The embedding of the phone at hand, of the next, and of the units spent, (U, D)."""
        found = self.phones(here.to(self._device))
        if self.config.next_phone:
            found = found + self.next_phones(following.to(self._device))
        if self.config.count:
            found = found + self.counts(spent.clamp(max=MOST_COUNT).to(self._device))
        return found

    def _prefix(self, request: Request) -> Row:
        """Text and prompt."""
        prompt, segments = request.prompt, self.segments.weight
        text = Row.part(self.text(request.phones.to(self._device)) + segments[TEXT], 0, True)
        own = self.first_tokens(prompt.codes).to(self._device)
        sound = self.tokens(own) + segments[PROMPT]
        if prompt.phones is not None:
            said = self.text(prompt.phones.to(self._device)) + segments[PROMPT_TEXT]
            text = Row.part(said, -len(said), True) + text
        if self.config.align:
            unknown = torch.zeros_like(own)
            path = (unknown, unknown, unknown)
            if prompt.phones is not None:
                path = units.path(prompt.phones, prompt.durations)
            sound = sound + self._place(*path)
        return text + Row.part(sound, -len(sound))

    def _scores(self, hidden: Tensor) -> Scores:
        spoken = self.phone_head(hidden).float() if self.config.align else None
        return Scores(self.token_head(hidden).float(), spoken)

    def _ended(self, tokens: Tensor) -> Tensor:
        """The targets of tokens (U,): with the one that ends the speech, without alignment."""
        return tokens if self.config.align else F.pad(tokens, (0, 1), value=self.size)

    @property
    def _device(self) -> torch.device:
        return self.token_head.weight.device


def _cross_entropy(logits: Tensor, targets: Sequence[Tensor], name: str) -> dict[str, Tensor]:
    """Nats per target and the share of targets that are the most likely."""
    padded = pad_sequence(list(targets), batch_first=True, padding_value=IGNORED).to(logits.device)
    flat, wanted = logits.flatten(0, 1), padded.flatten()
    right = (flat.argmax(-1) == wanted)[wanted != IGNORED].float().mean()
    return {
        name: F.cross_entropy(flat, wanted, ignore_index=IGNORED),
        f"{name}_accuracy": right.detach(),
    }
