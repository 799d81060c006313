// Register tiles over rows and codewords. AUDIOTOK_LANES rows share a vector, so the codebook needs
// no other layout, one broadcast element is used for all rows of a tile, and the running minimum
// stays in vectors. Compiled with -DAUDIOTOK_LANES=16|8|4|1 and -DAUDIOTOK_KERNELS=<name>; uses no
// library templates, which the linker could share with code for other instruction sets.
#include "tile.h"

namespace audiotok {
namespace {

constexpr size_t LANES = AUDIOTOK_LANES;
#if AUDIOTOK_LANES == 1
using Floats = float;
using Ints = int32_t;
using LooseFloats = float;
using LooseInts = int32_t;
#else
typedef float Floats __attribute__((vector_size(4 * AUDIOTOK_LANES)));
typedef int32_t Ints __attribute__((vector_size(4 * AUDIOTOK_LANES)));
// the same types without alignment
typedef float LooseFloats
    __attribute__((vector_size(4 * AUDIOTOK_LANES), aligned(4), may_alias));
typedef int32_t LooseInts
    __attribute__((vector_size(4 * AUDIOTOK_LANES), aligned(4), may_alias));
#endif
typedef float Quad __attribute__((vector_size(16)));
typedef float LooseQuad __attribute__((vector_size(16), aligned(4), may_alias));

// accumulators of a tile, VECTORS x WORDS, fill the registers: 24 of 32, 12 of 16
constexpr int VECTORS = AUDIOTOK_LANES == 8 ? 2 : AUDIOTOK_LANES == 1 ? 2 : 4;
constexpr int WORDS = AUDIOTOK_LANES == 1 ? 4 : 6;

// The codewords of a group are too many short streams for the hardware prefetcher; with the few rows
// per tile of AVX2 there is not enough work to hide the latency.
constexpr bool PREFETCH = AUDIOTOK_LANES == 8;
constexpr size_t LINE = 16;  // floats in a cache line

inline Floats load(const float* from) { return *reinterpret_cast<const LooseFloats*>(from); }
inline Ints load(const int32_t* from) { return *reinterpret_cast<const LooseInts*>(from); }
inline void store(float* to, Floats value) { *reinterpret_cast<LooseFloats*>(to) = value; }
inline void store(int32_t* to, Ints value) { *reinterpret_cast<LooseInts*>(to) = value; }

inline Floats broadcast(float value) { return value - Floats{}; }

inline float sum(Floats value) {
    float lane[LANES];
    store(lane, value);
    if (LANES < 4) return lane[0];
    Quad total = {};
    for (size_t i = 0; i < LANES; i += 4)
        total += *reinterpret_cast<const LooseQuad*>(lane + i);
    return (total[0] + total[1]) + (total[2] + total[3]);
}

// WIDTH is D where it is known to the compiler (8, as in DAC), else 0.
// Comparisons with NaN are false, so a NaN score changes nothing.
// `next` is the first codeword of the next group.
template <int R, int C, bool COSINE, size_t WIDTH>
inline void words(const float* packed, size_t width, const float* codebook, const float* offset,
                  size_t first, size_t next, size_t dimension, Floats* best, Floats* second,
                  Ints* index) {
    const size_t D = WIDTH ? WIDTH : dimension;
    Floats score[C][R];
    const float* word[C];
    for (int j = 0; j < C; ++j) {
        word[j] = codebook + (first + j) * D;
        for (int r = 0; r < R; ++r) score[j][r] = broadcast(COSINE ? 0.0f : offset[first + j]);
    }
    constexpr bool AHEAD = PREFETCH && WIDTH == 0;
    const size_t step = AHEAD ? LINE : D;
    for (size_t start = 0; start < D; start += step) {
        for (int j = 0; AHEAD && j < C; ++j)
            __builtin_prefetch(codebook + (next + j) * D + start);
        const size_t end = D - start < step ? D : start + step;
        for (size_t d = start; d < end; ++d) {
            Floats x[R];
            for (int r = 0; r < R; ++r) x[r] = load(packed + d * width + r * LANES);
            for (int j = 0; j < C; ++j) {
                const Floats c = broadcast(word[j][d]);
                for (int r = 0; r < R; ++r) score[j][r] -= x[r] * c;
            }
        }
    }
    const Ints group = Ints{} + int32_t(first);
    for (int r = 0; r < R; ++r) {
        Floats low = broadcast(__builtin_inff());
        for (int j = 0; j < C; ++j) {
            const Floats s = COSINE ? score[j][r] * broadcast(offset[first + j]) : score[j][r];
            low = s < low ? s : low;
        }
        const Floats larger = best[r] > low ? best[r] : low;
        second[r] = larger < second[r] ? larger : second[r];
        index[r] = low < best[r] ? group : index[r];
        best[r] = low < best[r] ? low : best[r];
    }
}

template <int R, bool COSINE, size_t WIDTH>
void strip(const float* packed, size_t width, const float* codebook, const float* offset,
           size_t first, size_t last, size_t D, Running running) {
    Floats best[R], second[R];
    Ints index[R];
    for (int r = 0; r < R; ++r) {
        best[r] = load(running.best + r * LANES);
        second[r] = load(running.second + r * LANES);
        index[r] = load(running.index + r * LANES);
    }
    size_t k = first;
    for (; k + WORDS <= last; k += WORDS) {
        // after the last group comes the first, for the next tile
        const size_t next = k + 2 * WORDS <= last ? k + WORDS : first;
        words<R, WORDS, COSINE, WIDTH>(packed, width, codebook, offset, k, next, D, best, second,
                                       index);
    }
    for (; k < last; ++k)
        words<R, 1, COSINE, WIDTH>(packed, width, codebook, offset, k, k, D, best, second, index);
    for (int r = 0; r < R; ++r) {
        store(running.best + r * LANES, best[r]);
        store(running.second + r * LANES, second[r]);
        store(running.index + r * LANES, index[r]);
    }
}

template <bool COSINE, size_t WIDTH>
void search_by(const float* packed, size_t width, const float* codebook, const float* offset,
               size_t first, size_t last, size_t D, Running running) {
    const auto search_strip = width == LANES       ? strip<1, COSINE, WIDTH>
                              : width == 2 * LANES ? strip<2, COSINE, WIDTH>
                              : width == 3 * LANES ? strip<(VECTORS > 2 ? 3 : 2), COSINE, WIDTH>
                                                   : strip<VECTORS, COSINE, WIDTH>;
    search_strip(packed, width, codebook, offset, first, last, D, running);
}

void search(const float* packed, size_t width, const float* codebook, const float* offset,
            size_t first, size_t last, size_t D, bool cosine, Running running) {
    const auto search_tile = D == 8 ? (cosine ? search_by<true, 8> : search_by<false, 8>)
                                    : (cosine ? search_by<true, 0> : search_by<false, 0>);
    search_tile(packed, width, codebook, offset, first, last, D, running);
}

void pack(const float* rows, size_t count, size_t D, size_t width, float* packed, float* norms) {
    for (size_t row = 0; row < count; ++row)
        for (size_t d = 0; d < D; ++d) packed[d * width + row] = rows[row * D + d];
    for (size_t d = 0; d < D && count < width; ++d)
        for (size_t row = count; row < width; ++row) packed[d * width + row] = 0.0f;
    for (size_t row = 0; row < width; row += LANES) {
        Floats total = {};
        for (size_t d = 0; d < D; ++d) {
            const Floats x = load(packed + d * width + row);
            total += x * x;
        }
        store(norms + row, total);
    }
}

// The scan of one row is limited by memory: the codewords this many groups ahead are prefetched. A
// prefetch beyond the codebook has no effect.
constexpr int AHEAD = 4;

template <int C, bool COSINE, size_t WIDTH>
inline void scan_words(const float* row, const float* codebook, size_t dimension, float* costs) {
    const size_t D = WIDTH ? WIDTH : dimension;
    Floats total[C] = {};
    Quad quad[C] = {};
    size_t d = 0;
    for (; d + LANES <= D; d += LANES) {
        const Floats x = load(row + d);
        for (int j = 0; j < C; ++j) {
            if (WIDTH == 0 && C > 1) __builtin_prefetch(codebook + (j + AHEAD * C) * D + d);
            const Floats c = load(codebook + j * D + d);
            if (COSINE)
                total[j] -= x * c;
            else
                total[j] += (x - c) * (x - c);
        }
    }
    for (; LANES > 4 && d + 4 <= D; d += 4) {
        const Quad x = *reinterpret_cast<const LooseQuad*>(row + d);
        for (int j = 0; j < C; ++j) {
            const Quad c = *reinterpret_cast<const LooseQuad*>(codebook + j * D + d);
            if (COSINE)
                quad[j] -= x * c;
            else
                quad[j] += (x - c) * (x - c);
        }
    }
    for (int j = 0; j < C; ++j) {
        float rest = (quad[j][0] + quad[j][1]) + (quad[j][2] + quad[j][3]);
        if (D >= LANES) rest += sum(total[j]);
        for (size_t e = d; e < D; ++e) {
            const float x = row[e], c = codebook[j * D + e];
            rest += COSINE ? -x * c : (x - c) * (x - c);
        }
        costs[j] = rest;
    }
}

template <bool COSINE, size_t WIDTH>
void scan_by(const float* row, const float* codebook, size_t V, size_t D, float* costs) {
    size_t k = 0;
    for (; k + 6 <= V; k += 6) scan_words<6, COSINE, WIDTH>(row, codebook + k * D, D, costs + k);
    for (; k < V; ++k) scan_words<1, COSINE, WIDTH>(row, codebook + k * D, D, costs + k);
}

void scan(const float* row, const float* codebook, size_t V, size_t D, bool cosine, float* costs) {
    const auto scan_codebook = D == 8 ? (cosine ? scan_by<true, 8> : scan_by<false, 8>)
                                      : (cosine ? scan_by<true, 0> : scan_by<false, 0>);
    scan_codebook(row, codebook, V, D, costs);
}

}  // namespace

extern const Kernels AUDIOTOK_KERNELS;
const Kernels AUDIOTOK_KERNELS = {LANES, LANES * VECTORS, WORDS, pack, search, scan};

}  // namespace audiotok
