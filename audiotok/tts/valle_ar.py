"""The autoregressive model of VALL-E R: the first token and the phone of each unit.

Han et al. 2024, arXiv 2406.07855, section 3.2. A row is the text, the prompt's units and the units
to speak. A unit is `merge` frames of the codec, which share a token of the first codebook. The
step of unit t sees the token of unit t - 1, and predicts the token of unit t and the phone of unit
t + 1; END follows the last phone.

By options the same network is VALL-E (Wang et al. 2023, arXiv 2301.02111): without `align`, no unit
has a phone and a separate token ends the speech.

Where the paper does not say or we differ: the input of a step is the sum of the embeddings; the
phone of a unit is decided one step before its token, so that the token depends on it and given
durations are met exactly; the next phone and the elapsed units of the phone are embedded too
(`next_phone`, `count`); both losses have the weight 1; positions count from the first unit to
speak.
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

MAX_COUNT = 31  # largest number of elapsed units with its own embedding
MAX_UNITS_PER_PHONE = 10  # of speech without alignment
IGNORED = -100  # targets of padding


class ARConfig(Section):
    """Sizes and options."""

    kind: Literal["valle-ar"] = "valle-ar"
    group: int = Field(1, gt=0)  # codebooks of the codec in a token
    dimension: int = Field(256, gt=0)
    heads: int = Field(4, gt=0)
    layers: int = Field(4, gt=0)
    dropout: float = Field(0.1, ge=0, lt=1)
    align: bool = True  # each unit has a phone, which a pointer selects
    next_phone: bool = True
    count: bool = True
    prompt_text_dropout: float = Field(0.5, ge=0, le=1)  # share of prompts without their text
    token_noise: float = Field(0.0, ge=0, le=1)  # share of random tokens in the input, in training

    def build(self, codes: Codes) -> AR:
        """A new model with random weights."""
        return AR(self, codes)


@dataclass(frozen=True)
class Scores:
    """Logits (B, U, tokens) and (B, U, phones); the latter None without alignment."""

    tokens: Tensor
    phones: Tensor | None


@dataclass
class State:
    """The state of a request during sampling: its first tokens so far, and the log probability of
    each token and of each decision of the pointer."""

    pointer: Pointer | None
    max_tokens: int
    tokens: list[int] = field(default_factory=list)
    token_log_probs: list[float] = field(default_factory=list)
    pointer_log_probs: list[float] = field(default_factory=list)
    done: bool = False

    def log_probs(self) -> dict[str, Tensor]:
        """As `Generated.log_probs`."""
        lists = {"token": self.token_log_probs, "pointer": self.pointer_log_probs}
        return {kind: torch.tensor(values) for kind, values in lists.items()}


class AR(SpeechModel):
    """See the module. It predicts the first tokens, from which `valle.ValleR` generates codes."""

    def __init__(self, config: ARConfig, codes: Codes):
        super().__init__()
        self.config, self.codes = config, codes
        self.merge = units.merge_of(codes, config.group)
        self._first = Grouping(codes.codebook_sizes[: config.group], config.group)
        self.size, width = self._first.sizes[0], config.dimension
        self.text = nn.Embedding(phones.NUM_PHONES, width)
        self.tokens = nn.Embedding(self.size + 1, width)  # the last one starts the speech
        self.segments = nn.Embedding(4, width)
        self.transformer = Transformer(width, config.heads, config.layers, config.dropout)
        self.token_head = nn.Linear(width, self.size + (not config.align))  # the last one ends it
        if config.align:
            self.phones = nn.Embedding(phones.NUM_PHONES, width)
            self.phone_head = nn.Linear(width, phones.NUM_PHONES)
            if config.next_phone:
                self.next_phones = nn.Embedding(phones.NUM_PHONES, width)
            if config.count:
                self.counts = nn.Embedding(MAX_COUNT + 1, width)
        for table in self.modules():
            if isinstance(table, nn.Embedding):
                nn.init.normal_(table.weight, std=0.02)

    def loss(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """ "loss": nats per token plus, with alignment, nats per phone; and accuracies."""
        hide = torch.rand(len(examples), generator=generator) < self.config.prompt_text_dropout
        requests = [
            Request(
                example.target.phones,
                Prompt(example.prompt.codes) if hidden else example.prompt,
                example.target.durations(self.merge),
            )
            for example, hidden in zip(examples, hide.tolist(), strict=True)
        ]
        tokens = [self.first_tokens(example.target.codes) for example in examples]
        share = self.config.token_noise if self.training else 0
        inputs = [units.noised(t[None], (self.size,), share, generator)[0] for t in tokens]
        scores = self.forced(requests, inputs)
        losses = _cross_entropy(scores.tokens, [self._targets(t) for t in tokens], "token")
        loss = losses["token"]
        if scores.phones is not None:
            following = [units.phone_after(r.phones, r.durations) for r in requests]
            losses |= _cross_entropy(scores.phones, following, "phone")
            loss = loss + losses["phone"]
        return {"loss": loss} | losses

    def first_tokens(self, codes: Tensor) -> Tensor:
        """Codes (K, T) -> the first token of each unit, (ceil(T / merge),)."""
        return self._first.join(codes[: self.config.group])[0, :: self.merge]

    def first_codes(self, tokens: Tensor) -> Tensor:
        """First tokens (U,) -> codes (group, U * merge) of their codebooks."""
        return self._first.split(tokens[None]).repeat_interleave(self.merge, 1)

    def forced(self, requests: Sequence[Request], tokens: Sequence[Tensor]) -> Scores:
        """The scores of all steps, teacher-forced, for tokens (U,) and, with alignment, durations;
        without alignment there is one more step, which should end the speech."""
        start = torch.tensor([self.size])
        rows, lengths = [], []
        for request, targets in zip(requests, map(self._targets, tokens), strict=True):
            inputs = torch.cat([start, targets[:-1].cpu()]).to(self._device)
            steps = self.tokens(inputs) + self.segments.weight[SPEECH]
            if self.config.align:
                steps = steps + self._phone_state(*units.expand(request.phones, request.durations))
            rows.append(self._prefix(request) + Row.part(steps, 0))
            lengths.append(len(steps))
        batch = pad_rows(rows, causal=True)
        hidden = self.transformer(batch.hidden, batch.positions, batch.mask)
        ends = [(len(row) - length, len(row)) for row, length in zip(rows, lengths, strict=True)]
        outputs = [row[first:last] for row, (first, last) in zip(hidden, ends, strict=True)]
        return self._scores(pad_sequence(outputs, batch_first=True))

    @torch.no_grad()
    def likelihood(self, request: Request, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Log probabilities, teacher-forced, of given tokens (U,) and, with alignment, of each
        decision to stay or advance that the request's durations make; (0,) without."""
        scores = self.forced([request], [tokens])
        targets = self._targets(tokens).to(self._device)
        log_probs = scores.tokens[0].log_softmax(-1).gather(1, targets[:, None])[:, 0]
        if scores.phones is None:
            return log_probs, log_probs[:0]
        current, following, _ = units.expand(request.phones, request.durations)
        pairs = torch.stack([current, following], 1).to(self._device)
        decisions = scores.phones[0].gather(1, pairs).log_softmax(-1)
        advances = units.advances(request.durations).long().to(self._device)
        return log_probs, decisions.gather(1, advances[:, None])[:, 0]

    @torch.no_grad()
    def speak(self, requests: Sequence[Request], options: Generation) -> Iterator[dict[int, State]]:
        """After each unit, the states of the requests that got one, by their numbers; the results
        do not depend on the other requests of the batch."""
        sampling = Sampling(temperature=options.temperature, top_p=options.top_p)
        generators = [torch.Generator().manual_seed(request.seed) for request in requests]
        running = {n: self._initial(request, options) for n, request in enumerate(requests)}
        prefix = pad_rows([self._prefix(request) for request in requests], causal=True)
        cache, keys = Cache(), prefix.valid
        self.transformer(prefix.hidden, prefix.positions, prefix.mask, cache)
        for unit in itertools.count():
            previous = [s.tokens[-1] if unit else self.size for s in running.values()]
            steps = self.tokens(torch.tensor(previous, device=self._device))
            steps = steps + self.segments.weight[SPEECH]
            if self.config.align:
                steps = steps + self._phone_state(*self._current(requests, running))
            keys = F.pad(keys, (0, 1), value=True)
            positions = torch.full((len(steps), 1), unit, device=self._device)
            hidden = self.transformer(steps[:, None], positions, keys[:, None, None], cache)
            scores = self._scores(hidden)
            for row, (number, state) in enumerate(running.items()):
                logits = scores.tokens[row, 0].float().cpu()
                pair = None
                if scores.phones is not None:
                    ids = units.current_and_next(requests[number].phones, state.pointer.phone)
                    pair = scores.phones[row, 0, list(ids)].float().cpu()
                self._sample(
                    state, logits, pair, sampling=sampling, generator=generators[number],
                    rule=options.pointer,
                )  # fmt: skip
            yield {number: state for number, state in running.items() if len(state.tokens) > unit}
            unfinished = [row for row, state in enumerate(running.values()) if not state.done]
            running = {number: state for number, state in running.items() if not state.done}
            if not running:
                return
            if len(unfinished) < len(keys):
                rows = torch.tensor(unfinished, device=self._device)
                cache.select_rows(rows)
                keys = keys[rows]

    def _sample(
        self,
        state: State,
        logits: Tensor,
        pair: Tensor | None,
        *,
        sampling: Sampling,
        generator: torch.Generator,
        rule: str,
    ) -> None:
        """Samples the token of a unit from logits (tokens,), and whether the next phone begins from
        those of the current and of the next phone, (2,)."""
        if not state.tokens and pair is None:
            logits[self.size] = -torch.inf  # there is at least one unit
        token = int(sampling.sample(logits[None], logits[None, :0], generator))
        state.token_log_probs.append(float(logits.log_softmax(-1)[token]))
        if token == self.size:
            state.done = True
            return
        state.tokens.append(token)
        state.done = len(state.tokens) == state.max_tokens
        if pair is not None:
            draw = float(torch.rand((), generator=generator)) if sampling.temperature else None
            advances = state.pointer.step(advance_probability(*pair.tolist(), rule), draw)
            state.pointer_log_probs.append(float(pair.log_softmax(-1)[int(advances)]))
            state.done = state.pointer.done

    def _initial(self, request: Request, options: Generation) -> State:
        if not len(request.phones):
            raise SpeechError("there is no phone to speak: expected one or more")
        if not self.config.align:
            if request.durations is not None:
                raise SpeechError(
                    "this model has no alignment, so it cannot keep durations: leave them out"
                )
            return State(None, MAX_UNITS_PER_PHONE * len(request.phones))
        fixed = None if request.durations is None else request.durations.tolist()
        units.check(request.phones, request.durations)
        count = len(request.phones)
        max_tokens = options.most_units * count if fixed is None else sum(fixed)
        return State(Pointer(count, options.most_units, fixed), max_tokens)

    def _current(
        self, requests: Sequence[Request], running: dict[int, State]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `units.expand`, for the next unit of each request, (B,) each."""
        pointers = {number: state.pointer for number, state in running.items()}
        pairs = [units.current_and_next(requests[n].phones, p.phone) for n, p in pointers.items()]
        elapsed = [pointer.elapsed for pointer in pointers.values()]
        return (*torch.tensor(pairs).T, torch.tensor(elapsed))

    def _phone_state(self, current: Tensor, following: Tensor, elapsed: Tensor) -> Tensor:
        """The sum of the embeddings of the current phone, the next one and its elapsed units,
        (U, D)."""
        total = self.phones(current.to(self._device))
        if self.config.next_phone:
            total = total + self.next_phones(following.to(self._device))
        if self.config.count:
            total = total + self.counts(elapsed.clamp(max=MAX_COUNT).to(self._device))
        return total

    def _prefix(self, request: Request) -> Row:
        """The steps of the text and of the prompt."""
        prompt, segments = request.prompt, self.segments.weight
        text = Row.part(self.text(request.phones.to(self._device)) + segments[TEXT], 0, True)
        tokens = self.first_tokens(prompt.codes).to(self._device)
        sound = self.tokens(tokens) + segments[PROMPT]
        if prompt.phones is not None:
            prompt_text = self.text(prompt.phones.to(self._device)) + segments[PROMPT_TEXT]
            text = Row.part(prompt_text, -len(prompt_text), True) + text
        if self.config.align:
            expanded = (torch.zeros_like(tokens),) * 3  # unknown
            if prompt.phones is not None:
                expanded = units.expand(prompt.phones, prompt.durations)
            sound = sound + self._phone_state(*expanded)
        return text + Row.part(sound, -len(sound))

    def _scores(self, hidden: Tensor) -> Scores:
        phone_logits = self.phone_head(hidden).float() if self.config.align else None
        return Scores(self.token_head(hidden).float(), phone_logits)

    def _targets(self, tokens: Tensor) -> Tensor:
        """The targets of tokens (U,): without alignment, followed by the token that ends the
        speech."""
        return tokens if self.config.align else F.pad(tokens, (0, 1), value=self.size)

    @property
    def _device(self) -> torch.device:
        return self.token_head.weight.device


def _cross_entropy(logits: Tensor, targets: Sequence[Tensor], name: str) -> dict[str, Tensor]:
    """Nats per target, and the accuracy."""
    padded = pad_sequence(list(targets), batch_first=True, padding_value=IGNORED).to(logits.device)
    flat, classes = logits.flatten(0, 1), padded.flatten()
    accuracy = (flat.argmax(-1) == classes)[classes != IGNORED].float().mean()
    return {
        name: F.cross_entropy(flat, classes, ignore_index=IGNORED),
        f"{name}_accuracy": accuracy.detach(),
    }
