"""VALL-E R written plainly, a step at a time in float64, as second opinion on `audiotok.tts`.

No batch, no cache, no mask: each step attends to an explicit list of steps. Weights are looked up
by name in a state dict. The pairs of codes become tokens by 4 * first + second.
"""

import math

import torch


def norm(vector, weight):
    return vector / (vector.pow(2).mean() + torch.finfo(torch.float32).eps).sqrt() * weight


def turned(vector, position, frequencies):
    half = len(vector) // 2
    found = vector.clone()
    for i in range(half):
        cosine, sine = math.cos(position * frequencies[i]), math.sin(position * frequencies[i])
        found[i] = vector[i] * cosine - vector[i + half] * sine
        found[i + half] = vector[i] * sine + vector[i + half] * cosine
    return found


def transformer(state, prefix, steps, positions, seen, heads=2):
    """steps: list of vectors; seen[q]: the steps that step q attends to."""
    width = len(steps[0])
    size = width // heads
    frequencies = [10_000.0 ** -(i / (size // 2)) for i in range(size // 2)]
    layers = 1 + max(
        int(name.split(".")[2]) for name in state if name.startswith(f"{prefix}blocks")
    )
    for layer in range(layers):
        w = {
            name.removeprefix(f"{prefix}blocks.{layer}.").removesuffix(".weight"): x
            for name, x in state.items()
            if name.startswith(f"{prefix}blocks.{layer}.")
        }
        qkv = [w["qkv"] @ norm(step, w["attention_norm"]) for step in steps]
        after = []
        for q, step in enumerate(steps):
            heard = []
            for head in range(heads):
                at = slice(head * size, (head + 1) * size)
                query = turned(qkv[q][:width][at], positions[q], frequencies)
                scores, values = [], []
                for k in seen[q]:
                    key = turned(qkv[k][width : 2 * width][at], positions[k], frequencies)
                    scores.append(query @ key / math.sqrt(size))
                    values.append(qkv[k][2 * width :][at])
                shares = torch.stack(scores).softmax(0)
                heard.append(sum(s * v for s, v in zip(shares, values, strict=True)))
            after.append(step + w["out"] @ torch.cat(heard))
        steps = []
        for step in after:
            inner = w["feed_in"] @ norm(step, w["feed_norm"])
            gelu = inner * 0.5 * (1 + torch.erf(inner / math.sqrt(2)))
            steps.append(step + w["feed_out"] @ gelu)
    return [norm(step, state[f"{prefix}norm.weight"]) for step in steps]


def ar(state, text, prompt_text, prompt, tokens):
    """Logits of tokens and phones at each unit.

    text: (phone, units) pairs; prompt_text: the same of the prompt, or None; prompt: its first
    tokens; tokens: the first tokens of the speech.
    """
    text_table, token_table, segment = (
        state[f"{name}.weight"] for name in ("text", "tokens", "segments")
    )
    here, after, count = (state[f"{name}.weight"] for name in ("phones", "next_phones", "counts"))
    steps, positions = [], []
    for number, (phone, _) in enumerate(prompt_text or ()):
        steps.append(text_table[phone] + segment[0])
        positions.append(number - len(prompt_text))
    for number, (phone, _) in enumerate(text):
        steps.append(text_table[phone] + segment[1])
        positions.append(number)
    written = len(steps)
    places = walk(prompt_text) if prompt_text else [(0, 0, 0)] * len(prompt)
    for number, (token, (p, n, c)) in enumerate(zip(prompt, places, strict=True)):
        steps.append(token_table[token] + segment[2] + here[p] + after[n] + count[c])
        positions.append(number - len(prompt))
    spoken = len(steps)
    begin = len(token_table) - 1
    for number, (token, (p, n, c)) in enumerate(
        zip([begin, *tokens[:-1]], walk(text), strict=True)
    ):
        steps.append(token_table[token] + segment[3] + here[p] + after[n] + count[c])
        positions.append(number)
    seen = [list(range(written if q < written else q + 1)) for q in range(len(steps))]
    hidden = transformer(state, "transformer.", steps, positions, seen)[spoken:]
    return [
        torch.stack([state[f"{name}.weight"] @ h + state[f"{name}.bias"] for h in hidden])
        for name in ("token_head", "phone_head")
    ]


def walk(text):
    """(phone, next phone, units spent) of each unit; 1 is END."""
    found = []
    for number, (phone, units) in enumerate(text):
        following = text[number + 1][0] if number + 1 < len(text) else 1
        found += [(phone, following, spent) for spent in range(units)]
    return found


def nar(state, text, prompt, tokens, book, merge):
    """Logits of codebook `book` for each frame of tokens (K, T), behind a prompt without text."""
    segment = state["segments.weight"]
    tables = [state[f"tokens.{k}.weight"] for k in range(len(prompt))]
    here, after = state["phones.weight"], state["next_phones.weight"]
    asked = state["books.weight"][book]
    steps, positions = [], []
    for number, (phone, _) in enumerate(text):
        steps.append(state["text.weight"][phone] + segment[1] + asked)
        positions.append(number)
    length = len(prompt[0])
    for t in range(length):
        known = sum(table[row[t]] for table, row in zip(tables, prompt, strict=True))
        steps.append(known + segment[2] + here[0] + after[0] + asked)
        positions.append(t - length)
    first = len(steps)
    places = [place for place in walk(text) for _ in range(merge)]
    for t in range(len(tokens[0])):
        known = sum(tables[k][tokens[k][t]] for k in range(book))
        phone, following, _ = places[t]
        steps.append(known + segment[3] + here[phone] + after[following] + asked)
        positions.append(t)
    everyone = [list(range(len(steps)))] * len(steps)
    hidden = transformer(state, "transformer.", steps, positions, everyone)[first:]
    return torch.stack([tables[book] @ h for h in hidden])
