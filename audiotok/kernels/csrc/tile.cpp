// Register tiles over rows and codewords. AUDIOTOK_LANES rows share a vector, so a codebook is
// read as it lies, one broadcast element serves a whole tile of rows, and the running minimum
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
// the same at any address
typedef float LooseFloats
    __attribute__((vector_size(4 * AUDIOTOK_LANES), aligned(4), may_alias));
typedef int32_t LooseInts
    __attribute__((vector_size(4 * AUDIOTOK_LANES), aligned(4), may_alias));
#endif
// accumulators of a tile, VECTORS x WORDS, fill the registers: 24 of 32, 12 of 16
constexpr int VECTORS = AUDIOTOK_LANES == 8 ? 2 : AUDIOTOK_LANES == 1 ? 2 : 4;
constexpr int WORDS = AUDIOTOK_LANES == 1 ? 4 : 6;

inline Floats load(const float* from) { return *reinterpret_cast<const LooseFloats*>(from); }
inline Ints load(const int32_t* from) { return *reinterpret_cast<const LooseInts*>(from); }
inline void store(float* to, Floats value) { *reinterpret_cast<LooseFloats*>(to) = value; }
inline void store(int32_t* to, Ints value) { *reinterpret_cast<LooseInts*>(to) = value; }

inline Floats broadcast(float value) { return Floats{} + value; }

inline float sum(Floats value) {
    float lane[LANES];
    store(lane, value);
    for (size_t width = LANES / 2; width > 0; width /= 2)
        for (size_t i = 0; i < width; ++i) lane[i] += lane[i + width];
    return lane[0];
}

// Comparisons with NaN are false, so a NaN score changes nothing.
template <int R, int C, bool COSINE>
inline void words(const float* packed, size_t width, const float* codebook, const float* offset,
                  size_t first, size_t D, Floats* best, Floats* second, Ints* index) {
    Floats score[C][R];
    const float* word[C];
    for (int j = 0; j < C; ++j) {
        word[j] = codebook + (first + j) * D;
        for (int r = 0; r < R; ++r) score[j][r] = broadcast(COSINE ? 0.0f : offset[first + j]);
    }
    for (size_t d = 0; d < D; ++d) {
        Floats x[R];
        for (int r = 0; r < R; ++r) x[r] = load(packed + d * width + r * LANES);
        for (int j = 0; j < C; ++j) {
            const Floats c = broadcast(word[j][d]);
            for (int r = 0; r < R; ++r) score[j][r] -= x[r] * c;
        }
    }
    for (int j = 0; j < C; ++j) {
        const Ints here = Ints{} + int32_t(first + j);
        for (int r = 0; r < R; ++r) {
            const Floats s = COSINE ? score[j][r] * broadcast(offset[first + j]) : score[j][r];
            const Floats larger = best[r] > s ? best[r] : s;
            second[r] = larger < second[r] ? larger : second[r];
            index[r] = s < best[r] ? here : index[r];
            best[r] = s < best[r] ? s : best[r];
        }
    }
}

template <int R, bool COSINE>
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
    for (; k + WORDS <= last; k += WORDS)
        words<R, WORDS, COSINE>(packed, width, codebook, offset, k, D, best, second, index);
    for (; k < last; ++k)
        words<R, 1, COSINE>(packed, width, codebook, offset, k, D, best, second, index);
    for (int r = 0; r < R; ++r) {
        store(running.best + r * LANES, best[r]);
        store(running.second + r * LANES, second[r]);
        store(running.index + r * LANES, index[r]);
    }
}

template <bool COSINE>
void search_by(const float* packed, size_t width, const float* codebook, const float* offset,
               size_t first, size_t last, size_t D, Running running) {
    const auto with = width == LANES       ? strip<1, COSINE>
                      : width == 2 * LANES ? strip<2, COSINE>
                      : width == 3 * LANES ? strip<(VECTORS > 2 ? 3 : 2), COSINE>
                                           : strip<VECTORS, COSINE>;
    with(packed, width, codebook, offset, first, last, D, running);
}

void search(const float* packed, size_t width, const float* codebook, const float* offset,
            size_t first, size_t last, size_t D, bool cosine, Running running) {
    (cosine ? search_by<true> : search_by<false>)(packed, width, codebook, offset, first, last, D,
                                                  running);
}

void pack(const float* rows, size_t count, size_t D, size_t width, float* packed, float* norms) {
    for (size_t row = 0; row < width; ++row)
        for (size_t d = 0; d < D; ++d)
            packed[d * width + row] = row < count ? rows[row * D + d] : 0.0f;
    for (size_t row = 0; row < width; row += LANES) {
        Floats total = {};
        for (size_t d = 0; d < D; ++d) {
            const Floats x = load(packed + d * width + row);
            total += x * x;
        }
        store(norms + row, total);
    }
}

template <int C, bool COSINE>
inline void scan_words(const float* row, const float* codebook, size_t D, float* costs) {
    Floats total[C] = {};
    size_t d = 0;
    for (; d + LANES <= D; d += LANES) {
        const Floats x = load(row + d);
        for (int j = 0; j < C; ++j) {
            const Floats c = load(codebook + j * D + d);
            if (COSINE)
                total[j] -= x * c;
            else
                total[j] += (x - c) * (x - c);
        }
    }
    for (int j = 0; j < C; ++j) {
        float rest = sum(total[j]);
        for (size_t e = d; e < D; ++e) {
            const float x = row[e], c = codebook[j * D + e];
            rest += COSINE ? -x * c : (x - c) * (x - c);
        }
        costs[j] = rest;
    }
}

template <bool COSINE>
void scan_by(const float* row, const float* codebook, size_t V, size_t D, float* costs) {
    size_t k = 0;
    for (; k + 8 <= V; k += 8) scan_words<8, COSINE>(row, codebook + k * D, D, costs + k);
    for (; k < V; ++k) scan_words<1, COSINE>(row, codebook + k * D, D, costs + k);
}

void scan(const float* row, const float* codebook, size_t V, size_t D, bool cosine, float* costs) {
    (cosine ? scan_by<true> : scan_by<false>)(row, codebook, V, D, costs);
}

}  // namespace

extern const Kernels AUDIOTOK_KERNELS;
const Kernels AUDIOTOK_KERNELS = {LANES, LANES * VECTORS, pack, search, scan};

}  // namespace audiotok
