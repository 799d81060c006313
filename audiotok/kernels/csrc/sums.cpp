// Decoding of codes to vectors, and the sums for updates of codebooks: added in a fixed order, so
// that the results are the same for any number of threads.
#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

#include "threads.h"

using namespace audiotok;

extern "C" {

// out (N, D): codewords of codes (N, K) added in order. Rows with -1 become NaN. Returns 0, 1 when
// a code is out of range, -1 when memory ran out.
int audiotok_decode(const int64_t* codes, int64_t N, int64_t K, const float* codebooks, int64_t V,
                    int64_t D, int64_t threads, float* out) {
    return guarded([&] {
        for (int64_t i = 0; i < N * K; ++i)
            if (codes[i] < -1 || codes[i] >= V) return 1;
        const size_t useful_threads = 1 + size_t(double(N) * double(K) * double(D) / 1e6);
        in_threads(size_t(N), 64, std::min<size_t>(size_t(threads), useful_threads),
                   [&](size_t first, size_t last) {
            const PlainArithmetic plain;
            for (size_t n = first; n < last; ++n) {
                const int64_t* row = codes + n * K;
                float* sum = out + n * D;
                if (std::any_of(row, row + K, [](int64_t code) { return code < 0; })) {
                    std::fill(sum, sum + D, std::numeric_limits<float>::quiet_NaN());
                    continue;
                }
                memcpy(sum, codebooks + row[0] * D, size_t(D) * sizeof(float));
                for (int64_t k = 1; k < K; ++k) {
                    const float* word = codebooks + (k * V + row[k]) * D;
                    for (int64_t d = 0; d < D; ++d) sum[d] += word[d];
                }
            }
        });
        return 0;
    });
}

// counts (V) and sums (V, D) of latents (N, D) by code (N); -1 is left out. Rows are sorted by
// code (stable), then each code's rows are added in fp64 in their order: the same for any number
// of threads. Returns 0, 1 when a code is out of range, -1 when memory ran out.
int audiotok_statistics(const float* latents, int64_t N, int64_t D, const int64_t* codes, int64_t V,
                        int64_t threads, float* counts, float* sums) {
    return guarded([&] {
        std::vector<int64_t> start(size_t(V) + 1, 0);
        for (int64_t n = 0; n < N; ++n) {
            if (codes[n] < -1 || codes[n] >= V) return 1;
            if (codes[n] >= 0) ++start[size_t(codes[n]) + 1];
        }
        std::partial_sum(start.begin(), start.end(), start.begin());
        std::vector<uint32_t> order(static_cast<size_t>(start.back()));
        std::vector<int64_t> next(start.begin(), start.end() - 1);
        for (int64_t n = 0; n < N; ++n)
            if (codes[n] >= 0) order[size_t(next[size_t(codes[n])]++)] = uint32_t(n);
        const size_t useful_threads = 1 + size_t(double(N) * double(D) / 1e6);
        in_threads(size_t(V), 1, std::min<size_t>(size_t(threads), useful_threads),
                   [&](size_t first, size_t last) {
            const PlainArithmetic plain;
            std::vector<double> total(static_cast<size_t>(D));
            for (size_t v = first; v < last; ++v) {
                std::fill(total.begin(), total.end(), 0.0);
                for (int64_t i = start[v]; i < start[v + 1]; ++i) {
                    const float* row = latents + size_t(order[size_t(i)]) * size_t(D);
                    for (int64_t d = 0; d < D; ++d) total[size_t(d)] += double(row[d]);
                }
                counts[v] = float(start[v + 1] - start[v]);
                for (int64_t d = 0; d < D; ++d) sums[v * D + d] = float(total[size_t(d)]);
            }
        });
        return 0;
    });
}

}  // extern "C"
