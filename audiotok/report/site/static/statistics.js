// Paired differences with intervals over clusters of clips (speakers), as audiotok/results/statistics.py has them.
"use strict";

const DRAWS = 1000, FEW = 40, LEVEL = 0.05, DETAIL = /_seed_(\d+|std)$|_diverged$/, AT_16K = "_16k";

function uniform(index) { // mulberry32 with seed 0, by the index of the number
  let t = Math.imul(index + 1, 0x6d2b79f5);
  t = Math.imul(t ^ (t >>> 15), 1 | t);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}

function logGamma(x) { // Lanczos
  const c = [76.18009172947146, -86.50532032941677, 24.01409824083091, -1.231739572450155, 0.1208650973866179e-2, -0.5395239384953e-5];
  let sum = 1.000000000190015;
  c.forEach((value, i) => (sum += value / (x + 1 + i)));
  return (x + 0.5) * Math.log(x + 5.5) - x - 5.5 + Math.log((2.5066282746310005 * sum) / x);
}

function incompleteBeta(a, b, x) { // regularised, by its continued fraction
  if (x <= 0 || x >= 1) return x <= 0 ? 0 : 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(b, a, 1 - x);
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log(1 - x)) / a;
  let c = 1, d = 1 / (1 - ((a + b) * x) / (a + 1)), h = d;
  for (let m = 1; m < 1000; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / (1 + even * d); c = 1 + even / c; h *= d * c;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / (1 + odd * d); c = 1 + odd / c; h *= d * c;
    if (Math.abs(d * c - 1) < 1e-15) break;
  }
  return front * h;
}

const pOfT = (t, freedom) => incompleteBeta(freedom / 2, 0.5, freedom / (freedom + t * t)); // two-sided

function quantileOfT(freedom) { // beyond which LEVEL lies, on both sides
  let low = 0, high = 1e9;
  for (let i = 0; i < 200; i++) {
    const middle = (low + high) / 2;
    if (pOfT(middle, freedom) > LEVEL) low = middle; else high = middle;
  }
  return low;
}

function percentile(sorted, share) { // linear between neighbours, as numpy has it
  const at = share * (sorted.length - 1), low = Math.floor(at);
  return sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
}

function weightedMean(values, weights, picked) {
  let sum = 0, all = 0;
  for (const i of picked) (sum += values[i] * weights[i]), (all += weights[i]);
  return all ? sum / all : NaN;
}

function clustersOf(clips, codes) { // lists of clips; where all are of one cluster, each clip is one
  const groups = new Map();
  for (const clip of clips) groups.set(codes[clip], [...(groups.get(codes[clip]) || []), clip]);
  return groups.size === 1 ? clips.map((clip) => [clip]) : [...groups.values()];
}

function bootstrap(clusters) { // the clips of each draw: clusters first, then clips within them
  const total = DRAWS * clusters.length, draws = [];
  for (let which = 0; which < total; which++) {
    if (which % clusters.length === 0) draws.push([]);
    const cluster = clusters[Math.floor(uniform(which) * clusters.length)];
    cluster.forEach((_, place) => {
      draws[draws.length - 1].push(cluster[Math.floor(uniform(which + (place + 1) * total) * cluster.length)]);
    });
  }
  return draws;
}

function estimate(value, clusters, weights, difference) { // {interval, p}; null where there is none
  const sizes = clusters.map((cluster) => cluster.reduce((sum, i) => sum + weights(i), 0));
  const sum = sizes.reduce((p, q) => p + q, 0), squares = sizes.reduce((p, q) => p + q * q, 0);
  const freedom = squares ? (sum * sum) / squares - 1 : -1, few = freedom + 1 < FEW;
  if (freedom <= 1e-12) return { interval: null, p: null };
  const samples = few ? clusters.map((_, left) => clusters.flatMap((cluster, i) => (i === left ? [] : cluster))) : bootstrap(clusters);
  const all = samples.map(difference), finite = all.filter(Number.isFinite);
  if (finite.length < 2 || (few && finite.length < all.length)) return { interval: null, p: null };
  const mean = finite.reduce((p, q) => p + q, 0) / finite.length;
  const spread = Math.sqrt(finite.reduce((p, q) => p + (q - mean) ** 2, 0) / finite.length);
  const error = few ? spread * Math.sqrt(finite.length - 1) : spread;
  finite.sort((p, q) => p - q);
  const half = few ? quantileOfT(freedom) * error : 0;
  const interval = few ? [value - half, value + half] : [percentile(finite, LEVEL / 2), percentile(finite, 1 - LEVEL / 2)];
  return { interval, p: error ? pOfT(value / error, freedom) : value ? 0 : 1 };
}

function paired(data, a, b, name) { // means, interval and p of the difference in one column; null: no clips in common
  const one = a.rows[name], two = b.rows[name], about = data.columns[name];
  if (!one || !two || about.weight === "") return null;
  const ones = one.map(() => 1);
  const [wa, wb] = about.weight ? [a.rows[about.weight], b.rows[about.weight]] : [ones, ones];
  if (!wa || !wb) return null;
  const clips = one.map((_, i) => i).filter((i) => [one[i], two[i], wa[i], wb[i]].every((v) => v !== null));
  if (!clips.length) return null;
  const means = [weightedMean(one, wa, clips), weightedMean(two, wb, clips)];
  let value = means[0] - means[1];
  if (Math.abs(value) <= 1e-12 * Math.max(...means.map(Math.abs))) value = 0;
  const difference = (picked) => weightedMean(one, wa, picked) - weightedMean(two, wb, picked);
  const estimated = estimate(value, clustersOf(clips, data.clusters), (i) => (wa[i] + wb[i]) / 2, difference);
  if (about.share && estimated.interval) estimated.interval = estimated.interval.map((edge) => Math.min(Math.max(edge, -1), 1));
  return { name, means, value, n: clips.length, ...estimated };
}

function repeated(a, b, name) { // NAME, where the column is NAME_16k and has the same values for both; else null
  const base = name.endsWith(AT_16K) ? name.slice(0, -AT_16K.length) : null;
  const same = (rows) => rows[base]?.every((value, i) => value === rows[name][i]);
  return base && same(a.rows) && same(b.rows) ? base : null;
}

function holm(ps) {
  const order = ps.map((_, i) => i).sort((i, j) => ps[i] - ps[j]), corrected = [];
  let largest = 0;
  order.forEach((i, place) => (corrected[i] = largest = Math.min(1, Math.max(largest, ps[i] * (ps.length - place)))));
  return corrected;
}

function compared(data, a, b) { // all columns with a direction of two codecs, with verdicts, as comparison.py has them
  const names = Object.keys(data.columns).filter((n) => data.columns[n].better !== null && data.columns[n].weight !== "");
  const pairs = names.map((name) => paired(data, a, b, name)).filter(Boolean);
  const tested = pairs.filter((pair) => pair.p !== null && !DETAIL.test(pair.name)), of = {};
  for (const { name } of tested) of[name] = tested.find((pair) => pair.name === repeated(a, b, name))?.name ?? name;
  const family = tested.filter(({ name }) => of[name] === name);
  const corrected = holm(family.map((pair) => pair.p));
  for (const pair of pairs) {
    const place = family.findIndex(({ name }) => name === of[pair.name]), seed = new RegExp(`^${pair.name}_seed_\\d+$`);
    const side = ([low, high]) => (pair.value > 0 ? low > 0 : high < 0);
    pair.seeds = pairs.filter((other) => seed.test(other.name)).map((other) => Boolean(other.interval) && side(other.interval));
    pair.comparisons = family.length;
    pair.corrected = place < 0 ? null : corrected[place];
    pair.winner = "–";
    if (place < 0) continue;
    const [low, high] = pair.interval;
    const tie = (low <= 0 && high >= 0) || pair.corrected > LEVEL || pair.seeds.includes(false);
    pair.winner = tie ? "tie" : (low > 0) === data.columns[pair.name].better ? a.name : b.name;
  }
  return pairs;
}

if (typeof module !== "undefined") module.exports = { compared };
