// Exact codebook search on the CPU; reference.py defines "exact".
//
// Rows go through a residual stack in blocks that stay in the cache. At each stage a block is cut
// into tiles. tile.cpp scores a tile in fp32 against small groups of codewords and keeps, for each
// row, the best group and the score of the second best group. If these scores differ by more than
// twice the rounding bound, the nearest codeword is in the best group; otherwise all codewords are
// candidates. The candidates are scanned by differences, whose error is relative to the distance
// itself, and near ties are decided in fp64 (this file is compiled without fused multiply-add).
// Each row is decided independently, so the codes do not depend on threads and blocks.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "threads.h"
#include "tile.h"

namespace audiotok {
namespace {

constexpr float INFINITE = std::numeric_limits<float>::infinity();
constexpr float ROUNDOFF = 5.9604645e-8f;        // 2^-24
constexpr float UNDERFLOW = 2.3509887e-38f;      // 2^-125: largest loss by a flush to zero
constexpr int64_t SCAN_ROWS = 3;                 // up to this many rows are scanned without tiles
constexpr int64_t TILE_DIMENSION = 1 << 14;      // larger tiles would not fit the scratch
constexpr size_t BLOCK_FLOATS = 1 << 15;         // of residual rows in one block
constexpr size_t CHUNK_FLOATS = 1 << 15;         // of codewords per pass over the tiles of a block
constexpr size_t SCRATCH_BYTES = 12 << 20;       // for all threads together

bool finite(const float* row, size_t D) {
    for (size_t d = 0; d < D; ++d)
        if (!std::isfinite(row[d])) return false;
    return true;
}

// The cost that the reference minimises, with the same order of operations.
double exact_cost(const float* x, const float* c, size_t D, bool cosine) {
    double dot = 0, square = 0;
    for (size_t d = 0; d < D; ++d) {
        if (cosine) {
            dot = dot + double(x[d]) * double(c[d]);
            square = square + double(c[d]) * double(c[d]);
        } else {
            const double difference = double(x[d]) - double(c[d]);
            square = square + difference * difference;
        }
    }
    if (!cosine) return square;
    return square > 0 ? -(dot / std::sqrt(square)) : 0.0;
}

struct Stage {
    const float* codebook;
    size_t V, D;
    bool cosine;
    // for tiles: half squared norms (Euclidean) or inverse norms (cosine), and the largest norm
    std::vector<float> offset;
    float largest = 0;

    void prepare(const Kernels& kernels) {
        offset.resize(V);
        if (cosine) {
            prepare_cosine();
            return;
        }
        const std::vector<float> zeros(D, 0.0f);
        kernels.scan(zeros.data(), codebook, V, D, false, offset.data());
        float square = 0;
        for (float& value : offset) {
            if (std::isnan(value))
                value = INFINITE;  // so that such a codeword is never chosen
            else
                square = std::max(square, value);  // infinite: all rows are scanned
            value *= 0.5f;
        }
        largest = std::sqrt(square) * 1.0001f;
    }

    void prepare_cosine() {
        largest = 1;
        for (size_t k = 0; k < V; ++k) {
            double square = 0;
            for (size_t d = 0; d < D; ++d) square += double(codebook[k * D + d]) * codebook[k * D + d];
            // outside of this range the fp32 score is not reliable
            if (square != 0 && !(square > 1e-30 && square < 1e30)) largest = INFINITE;
            offset[k] = square > 0 ? float(1 / std::sqrt(square)) : 0.0f;
        }
    }

    // Bound on |fp32 score - true score| of a row with this norm; infinite: no bound.
    float bound(float norm) const {
        const float scale = cosine ? norm * largest : largest * (norm + largest);
        const float slack = cosine ? 1e15f : 1.0f;  // factor by which an inverse norm may magnify
        const float units = 1.02f * float(D + 16) * ROUNDOFF;
        if (!(units < 0.02f) || !(scale * slack < 1e37f)) return INFINITE;
        return units * scale + float(D) * UNDERFLOW * slack;
    }
};

// The code of one finite row among codewords first..last-1, by a scan; costs is scratch.
int64_t scan_words(const Kernels& kernels, const Stage& stage, const float* row, size_t first,
                   size_t last, float* costs) {
    const size_t V = last - first, D = stage.D;
    const float* codebook = stage.codebook + first * D;
    float limit = INFINITE;
    if (!stage.cosine) {
        kernels.scan(row, codebook, V, D, false, costs);
        float best = INFINITE;
        for (size_t k = 0; k < V; ++k) best = costs[k] < best ? costs[k] : best;
        const float units = float(D + 8) * ROUNDOFF;
        if (units < 0.02f) limit = best * (1 + 2.2f * units) + 4 * float(D) * UNDERFLOW;
    } else if (std::isfinite(stage.largest)) {
        kernels.scan(row, codebook, V, D, true, costs);
        float best = INFINITE, square = 0;
        for (size_t d = 0; d < D; ++d) square += row[d] * row[d];
        for (size_t k = 0; k < V; ++k) {
            costs[k] *= stage.offset[first + k];
            best = costs[k] < best ? costs[k] : best;
        }
        limit = best + 2 * stage.bound(std::sqrt(square) * 1.0001f + 1e-18f);
    } else {
        std::fill(costs, costs + V, 0.0f);
    }
    if (std::isnan(limit)) limit = INFINITE;
    int64_t best_code = -1;
    double smallest = std::numeric_limits<double>::infinity();
    size_t candidates = 0, last_candidate = 0;
    for (size_t k = 0; k < V; ++k) {
        candidates += costs[k] <= limit;
        last_candidate = costs[k] <= limit ? k : last_candidate;
    }
    if (candidates == 1 && limit < INFINITE) return int64_t(first + last_candidate);
    for (size_t k = 0; k < V; ++k) {
        if (!(costs[k] <= limit) && !(limit == INFINITE)) continue;
        const float* word = codebook + k * D;
        if (best_code >= 0 && !memcmp(word, codebook + best_code * D, D * sizeof(float))) continue;
        const double cost = exact_cost(row, word, D, stage.cosine);
        if (cost < smallest && (!stage.cosine || finite(word, D)))
            smallest = cost, best_code = int64_t(k);
    }
    return best_code < 0 ? -1 : int64_t(first) + best_code;
}

// The code of one row, -1 if it is not finite; costs is scratch (V).
int64_t scan_row(const Kernels& kernels, const Stage& stage, const float* row, float* costs) {
    if (!finite(row, stage.D)) return -1;
    return scan_words(kernels, stage, row, 0, stage.V, costs);
}

struct Work {
    const Kernels& kernels;
    const std::vector<Stage>& stages;
    const float* latents;
    size_t N, D;
    const int64_t* strides;  // or null
    size_t unit;             // rows that must stay together
    bool tiles;
    int64_t* codes;          // (N, stages)

    size_t block_rows() const {
        const size_t tile = kernels.tile_rows;
        const size_t target_rows = std::min(BLOCK_FLOATS / (D + 1), 16 * tile);
        const size_t rows = tiles ? std::max(target_rows / tile * tile, tile) : 1;
        return (rows + unit - 1) / unit * unit;
    }
    // rows of a block, padded to whole vectors
    size_t padded_rows() const {
        return (block_rows() + kernels.lanes - 1) / kernels.lanes * kernels.lanes;
    }
    size_t scratch_bytes() const {
        return sizeof(float) * (padded_rows() * (3 * D + 6) + stages[0].V);
    }
    void run(size_t first, size_t last) const;
};

// The scratch of one thread, and its work on a block.
struct Worker {
    const Work& work;
    size_t D;
    std::vector<float> residual, pooled, packed, norms, best, second, costs;
    std::vector<int32_t> index;
    std::vector<int64_t> block_codes;

    explicit Worker(const Work& w) : work(w), D(w.D) {
        const size_t rows = w.padded_rows();
        if (w.stages.size() > 1 || w.strides) residual.resize(rows * D);
        if (w.strides) pooled.resize(rows * D);
        if (w.tiles) {
            packed.resize(rows * D);
            norms.resize(rows), best.resize(rows), second.resize(rows), index.resize(rows);
        }
        costs.resize(w.stages[0].V);
        block_codes.resize(rows);
    }

    void block(size_t first, size_t count) {
        const float* current = work.latents + first * D;
        if (!residual.empty()) {
            memcpy(residual.data(), current, count * D * sizeof(float));
            current = residual.data();
        }
        const size_t K = work.stages.size();
        for (size_t k = 0; k < K; ++k) {
            const size_t stride = work.strides ? size_t(work.strides[k]) : 1;
            const size_t groups = (count + stride - 1) / stride;
            if (stride > 1) pool(count, stride);
            search(work.stages[k], stride > 1 ? pooled.data() : current, groups);
            for (size_t n = 0; n < count; ++n) {
                const int64_t code = block_codes[n / stride];
                work.codes[(first + n) * K + k] = code;
                if (k + 1 < K) subtract(n, work.stages[k], code);
            }
        }
    }

    void pool(size_t count, size_t stride) {
        for (size_t start = 0; start < count; start += stride) {
            const size_t size = std::min(stride, count - start);
            const float* frame = residual.data() + start * D;
            float* mean = pooled.data() + start / stride * D;
            memcpy(mean, frame, D * sizeof(float));
            for (size_t i = 1; i < size; ++i)
                for (size_t d = 0; d < D; ++d) mean[d] += frame[i * D + d];
            for (size_t d = 0; d < D; ++d) mean[d] /= float(size);
        }
    }

    void subtract(size_t n, const Stage& stage, int64_t code) {
        float* row = residual.data() + n * D;
        if (code < 0)
            std::fill(row, row + D, std::numeric_limits<float>::quiet_NaN());
        else
            for (size_t d = 0; d < D; ++d) row[d] -= stage.codebook[code * D + d];
    }

    void search(const Stage& stage, const float* rows, size_t count) {
        if (work.tiles)
            search_tiles(stage, rows, count);
        else
            for (size_t n = 0; n < count; ++n)
                block_codes[n] = scan_row(work.kernels, stage, rows + n * D, costs.data());
    }

    void search_tiles(const Stage& stage, const float* rows, size_t count) {
        const size_t tile = work.kernels.tile_rows, lanes = work.kernels.lanes;
        const auto width = [&](size_t start) {
            return std::min(tile, (count - start + lanes - 1) / lanes * lanes);
        };
        for (size_t start = 0; start < count; start += tile)
            work.kernels.pack(rows + start * D, std::min(tile, count - start), D, width(start),
                              packed.data() + start * D, norms.data() + start);
        std::fill(best.begin(), best.end(), INFINITE);
        std::fill(second.begin(), second.end(), INFINITE);
        const size_t chunk = std::max<size_t>(CHUNK_FLOATS / std::max<size_t>(D, 1) / 48 * 48, 48);
        for (size_t k = 0; k < stage.V; k += chunk)
            for (size_t start = 0; start < count; start += tile)
                work.kernels.search(packed.data() + start * D, width(start), stage.codebook,
                                    stage.offset.data(), k, std::min(k + chunk, stage.V), D,
                                    stage.cosine,
                                    {best.data() + start, second.data() + start,
                                     index.data() + start});
        for (size_t n = 0; n < count; ++n) {
            const float gap = 2.02f * stage.bound(std::sqrt(norms[n]) * 1.0001f);
            const bool certain = std::isfinite(best[n]) && second[n] - best[n] > gap;
            const float* row = rows + n * D;
            if (!certain) {
                block_codes[n] = scan_row(work.kernels, stage, row, costs.data());
                continue;
            }
            const size_t group = size_t(index[n]);
            block_codes[n] = scan_words(work.kernels, stage, row, group,
                                        std::min(group + work.kernels.words, stage.V), costs.data());
        }
    }
};

void Work::run(size_t first, size_t last) const {
    const PlainArithmetic plain;
    Worker worker(*this);
    const size_t step = block_rows();
    for (size_t start = first; start < last; start += step)
        worker.block(start, std::min(step, last - start));
}

const Kernels* find_kernels(int64_t isa) {
    switch (isa) {
        case 0: return &kernels_scalar;
#if defined(__x86_64__)
        case 1: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
                           ? &kernels_avx2 : nullptr;
        case 2: return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                               __builtin_cpu_supports("avx512dq") &&
                               __builtin_cpu_supports("avx512bw")
                           ? &kernels_avx512 : nullptr;
#elif defined(__aarch64__)
        case 3: return &kernels_neon;
#endif
        default: return nullptr;
    }
}

}  // namespace
}  // namespace audiotok

using namespace audiotok;

extern "C" {

int audiotok_abi() { return 1; }

// Whether this machine runs instruction set 0 scalar, 1 avx2, 2 avx512, 3 neon.
int audiotok_supports(int64_t isa) { return find_kernels(isa) != nullptr; }

// codes (N, K) of latents (N, D) in codebooks (K, V, D); strides (K) or null; `unit` is a common
// multiple of the strides. Returns 0, or -1 when memory ran out.
int audiotok_encode(int64_t isa, const float* latents, int64_t N, int64_t D, const float* codebooks,
                    int64_t K, int64_t V, const int64_t* strides, int64_t unit, int64_t cosine,
                    int64_t threads, int64_t* codes) {
    return guarded([&] {
        const PlainArithmetic plain;
        const Kernels& kernels = *find_kernels(isa);
        std::vector<Stage> stages;
        for (int64_t k = 0; k < K; ++k)
            stages.push_back({codebooks + k * V * D, size_t(V), size_t(D), cosine != 0, {}, 0});
        Work work{kernels, stages, latents, size_t(N), size_t(D), strides, size_t(unit),
                  N > SCAN_ROWS && D <= TILE_DIMENSION, codes};
        if (work.tiles || cosine)
            in_threads(size_t(K), 1, size_t(threads), [&](size_t first, size_t last) {
                const PlainArithmetic plain_here;
                for (size_t k = first; k < last; ++k) stages[k].prepare(kernels);
            });
        const size_t max_threads = std::max<size_t>(SCRATCH_BYTES / work.scratch_bytes(), 1);
        const double flops = 2.0 * double(N) * double(D) * double(K) * double(V);
        const size_t useful_threads =
            std::min<size_t>(size_t(threads), 1 + size_t(flops / 4e6));
        const size_t granularity = size_t(unit) % kernels.lanes ? size_t(unit) * kernels.lanes
                                                                 : size_t(unit);
        in_threads(size_t(N), granularity, std::min(useful_threads, max_threads),
                   [&](size_t first, size_t last) { work.run(first, last); });
        return 0;
    });
}

}  // extern "C"
