// The inner loops of the codebook search, compiled once per instruction set (tile.cpp).
//
// They use fp32 and any order of operations: they are a prefilter. search.cpp decides near ties in
// fp64.
#pragma once
#include <cstddef>
#include <cstdint>

namespace audiotok {

// Running state of the rows of a tile. Codewords are compared in groups of up to Kernels::words:
// the smallest score, the first codeword of its group, and the smallest score of another group.
struct Running {
    float* best;
    float* second;
    int32_t* index;
};

struct Kernels {
    size_t lanes;       // rows in one vector
    size_t tile_rows;   // most rows in one tile, a multiple of lanes
    size_t words;       // most codewords in one group
    // Transposes `count` rows (count, D) into packed (D, width), zeros in missing rows;
    // norms (width) get the rows' squared norms.
    void (*pack)(const float* rows, size_t count, size_t D, size_t width, float* packed,
                 float* norms);
    // Scores a packed tile of `width` rows (a multiple of lanes) against codewords first..last-1
    // and updates the running state. Euclidean: offset[k] - x.c; cosine: -x.c * offset[k].
    void (*search)(const float* packed, size_t width, const float* codebook, const float* offset,
                   size_t first, size_t last, size_t D, bool cosine, Running running);
    // One row against V codewords: squared distances by differences, or -x.c for cosine.
    void (*scan)(const float* row, const float* codebook, size_t V, size_t D, bool cosine,
                 float* costs);
};

extern const Kernels kernels_scalar;
#if defined(__x86_64__)
extern const Kernels kernels_avx2, kernels_avx512;
#elif defined(__aarch64__)
extern const Kernels kernels_neon;
#endif

}  // namespace audiotok
