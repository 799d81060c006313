"""ResGen once more, in loops and fp64, from the formulas of the paper: what tests compare with.

Takes only weights, settings and random numbers from the model and the generator.
"""

import itertools
import math

import numpy as np
import torch

from audiotok.kernels import reference


def array(tensor):
    return tensor.detach().double().numpy()


def linear(layer, x):
    return array(layer.weight) @ x + array(layer.bias)


def norm(layer, x):
    centred = x - x.mean()
    unit = centred / math.sqrt((centred**2).mean() + layer.eps)
    return unit * array(layer.weight) + array(layer.bias)


def gelu(x):
    return np.array([v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x])


def softmax(x):
    shifted = np.exp(x - np.max(x))
    return shifted / shifted.sum()


def rotate(vector, position, frequencies):
    turned, half = vector.copy(), len(vector) // 2
    for i, frequency in enumerate(frequencies):
        c, s = math.cos(position * frequency), math.sin(position * frequency)
        turned[i] = c * vector[i] - s * vector[half + i]
        turned[half + i] = s * vector[i] + c * vector[half + i]
    return turned


def transformer(network, rows):
    """Rows of one clip, a list of vectors, without padding."""
    frequencies = array(network.frequencies)
    for block in network.blocks:
        heads, found = block.attention.heads, [[] for _ in rows]
        projected = [linear(block.attention.qkv, norm(block.attention_norm, x)) for x in rows]
        for head in range(heads):
            parts = [np.split(p, 3) for p in projected]
            q, k, v = ([np.split(p[i], heads)[head] for p in parts] for i in range(3))
            q = [rotate(x, t, frequencies) for t, x in enumerate(q)]
            k = [rotate(x, t, frequencies) for t, x in enumerate(k)]
            for t, query in enumerate(q):
                shares = softmax(np.array([query @ key for key in k]) / math.sqrt(len(query)))
                found[t].extend(sum(a * value for a, value in zip(shares, v, strict=True)))
        gate = array(block.attention_gate)
        rows = [
            x + gate * linear(block.attention.out, np.array(f))
            for x, f in zip(rows, found, strict=True)
        ]
        gate = array(block.feed_gate)
        rows = [
            x + gate * linear(block.feed[2], gelu(linear(block.feed[0], norm(block.feed_norm, x))))
            for x in rows
        ]
    return [norm(network.norm, x) for x in rows]


def log_durations(model, encoded):
    rows = encoded
    for convolution, layer in zip(model.durations.convolutions, model.durations.norms, strict=True):
        weight, bias = array(convolution.weight), array(convolution.bias)
        padded = [np.zeros_like(rows[0]), *rows, np.zeros_like(rows[0])]
        sums = [
            bias + sum(weight[:, :, k] @ padded[t + k] for k in range(3)) for t in range(len(rows))
        ]
        rows = [norm(layer, np.maximum(x, 0)) for x in sums]
    return [float(linear(model.durations.out, x)[0]) for x in rows]


def hidden(model, codes, visible, phones, durations, prompt, dropped=False):
    """Of each frame of one clip: codes (D, T), `visible` a list of T."""
    words, table = array(model.codebooks), array(model.phones.weight)
    encoded = transformer(model.text, [table[phone] for phone in phones])
    expanded = []
    for e, n in zip(encoded, durations, strict=True):
        for t in range(n):
            expanded.append(e)
            if model.settings.phone_positions:
                place = np.array([(t + 0.5) / n, math.log(t + 1), math.log(n - t)])
                expanded[-1] = e + linear(model.positions, place)
    rows = []
    for t, seen in enumerate(visible):
        seen = 0 if dropped and t < prompt else seen
        total = np.zeros(words.shape[2])
        for j in range(seen):
            total = total + words[j, codes[j][t]]
        row = linear(model.visible, total / float(model.scale))
        row = row + (array(model.no_text) if dropped else expanded[t])
        if model.settings.visible_counts:
            row = row + array(model.counts.weight)[seen]
        rows.append(row)
    return transformer(model.body, rows), log_durations(model, encoded)


def mixture(model, row):
    """(log pi, means of z, a) of one frame: every mean is built."""
    k, coordinates, _, latents = model.head.sizes
    out = linear(model.head.out, row)
    logits, out = out[:k], out[k:]
    low, out = out[:coordinates].reshape(k, -1), out[coordinates:]
    a, b = math.exp(out[0]), out[1:]
    bases, offsets = array(model.head.bases), array(model.head.offsets)
    means = [b + a * (bases[v] @ low[v] + offsets[v]) for v in range(k)]
    return np.log(softmax(logits)), means, a


def normal(z, mean, a):
    """log N(z; mean, a^2 I)."""
    return -sum((z - mean) ** 2) / (2 * a * a) - len(z) / 2 * math.log(2 * math.pi * a * a)


def bound(model, row, z):
    """(regression, classification) of one frame."""
    log_pi, means, a = mixture(model, row)
    logs = np.array([normal(z, mean, a) for mean in means])
    q = softmax(logs)
    regression = -sum(q * logs)
    divergence = sum(p * (math.log(p) - pi) for p, pi in zip(q, log_pi, strict=True) if p > 0)
    return regression, divergence


def loss(model, codes, visible, clip):
    """Sums over one clip: (regression, classification, squared errors of durations, phones)."""
    phones, durations, prompt = clip
    rows, logs = hidden(model, codes, visible, phones, durations, prompt)
    words, regression, classification = array(model.codebooks), 0.0, 0.0
    for t in range(prompt, len(visible)):
        if visible[t] < len(words):
            z = sum(words[j, codes[j][t]] for j in range(visible[t], len(words)))
            one, other = bound(model, rows[t], z / float(model.scale))
            regression, classification = regression + one, classification + other
    errors = []
    starts = itertools.accumulate(durations, initial=0)
    for log, duration, start in zip(logs, durations, starts, strict=False):
        if start >= prompt:
            errors.append((log - math.log(duration)) ** 2)
    return regression, classification, sum(errors), len(errors)


def truncated(log_pi, top_p):
    """Probabilities that top-p leaves."""
    shares, kept, total = softmax(log_pi), np.zeros(len(log_pi)), 0.0
    for v in np.argsort(-shares, kind="stable"):
        if total < top_p:
            kept[v] = shares[v]
        total += shares[v]
    return kept


def generate(model, codes, clip, options, generator):
    """One clip: codes (D, T) as lists, the prompt's in front."""
    phones, durations, prompt = clip
    words, sigma = array(model.codebooks), array(model.deviations)
    depth, latents = words.shape[0], words.shape[2]
    frames = sum(durations) - prompt
    codes = [list(row[:prompt]) + [0] * frames for row in codes]
    counts = [0] * frames
    for step in range(1, options.steps + 1):
        seen = [depth] * prompt + counts
        rows = hidden(model, codes, seen, phones, durations, prompt)[0][prompt:]
        free = None
        if options.guidance:
            free = hidden(model, codes, seen, phones, durations, prompt, True)[0][prompt:]
            w = 0.02 + (options.guidance - 0.02) * (step - 1) / (options.steps - 1)
        mixtures = [mixture(model, row) for row in rows]
        others = [mixture(model, row) for row in free] if free else [None] * frames
        shares = []
        for one, other in zip(mixtures, others, strict=True):
            logits = (1 + w) * one[0] - w * other[0] if other else one[0]
            shares.append(truncated(logits, options.top_p))
        chosen = torch.multinomial(torch.tensor(np.array(shares)), 1, generator=generator)[:, 0]
        noise = array(torch.randn(frames, latents, generator=generator, dtype=torch.float64))
        z = []
        for t, v in enumerate(chosen.tolist()):
            mean, variance = mixtures[t][1][v], mixtures[t][2] ** 2
            if others[t]:
                precision = (1 + w) / variance - w / others[t][2] ** 2
                if precision > 0:
                    mean = (1 + w) / variance * mean - w / others[t][2] ** 2 * others[t][1][v]
                    mean, variance = mean / precision, 1 / precision
            z.append(
                (mean + options.temperature * math.sqrt(variance) * noise[t]) * float(model.scale)
            )
        found, scores = [], []
        for t, latent in enumerate(z):
            left = torch.tensor(latent).float()[None]
            picked = reference.rvq_encode(left, model.codebooks[counts[t] :].float())[0].tolist()
            found.append([None] * counts[t] + picked)
            total, rest = 0.0, left[0].double().numpy()
            scores.append([-math.inf] * counts[t])
            for j in range(counts[t], depth):
                rest = rest - words[j, found[t][j]]
                total += normal(rest, 0.0, sigma[j])
                scores[t].append(total)
        stay = math.ceil(math.sqrt(1 - (step / options.steps) ** 2) * frames * depth)
        shown = sum(depth - n for n in counts) - stay
        more = [0] * frames
        if options.order == "random":
            balls = [t for t in range(frames) for _ in range(depth - counts[t])]
            for ball in torch.randperm(len(balls), generator=generator)[:shown].tolist():
                more[balls[ball]] += 1
        else:
            drawn = torch.empty(frames, depth).exponential_(generator=generator)
            gumbel = -np.log(array(drawn))
            noisy = [
                (scores[t][j] + options.tau * gumbel[t, j], t)
                for t in range(frames)
                for j in range(counts[t], depth)
            ]
            for _, t in sorted(noisy, reverse=True)[:shown]:
                more[t] += 1
        for t in range(frames):
            for j in range(counts[t], counts[t] + more[t]):
                codes[j][prompt + t] = found[t][j]
            counts[t] += more[t]
    return codes
