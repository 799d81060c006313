// Work in threads with default floating-point settings; exceptions are rethrown in the caller.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <system_error>
#include <thread>
#include <vector>

namespace audiotok {

// Round to nearest, with denormals, independent of the settings of the thread.
class PlainArithmetic {
  public:
    PlainArithmetic() {
#if defined(__x86_64__)
        saved_ = __builtin_ia32_stmxcsr();
        __builtin_ia32_ldmxcsr(0x1F80);
#elif defined(__aarch64__)
        uint64_t plain = 0;
        __asm__ volatile("mrs %0, fpcr" : "=r"(saved_));
        __asm__ volatile("msr fpcr, %0" : : "r"(plain));
#endif
    }
    ~PlainArithmetic() {
#if defined(__x86_64__)
        __builtin_ia32_ldmxcsr(saved_);
#elif defined(__aarch64__)
        __asm__ volatile("msr fpcr, %0" : : "r"(saved_));
#endif
    }

  private:
#if defined(__x86_64__)
    unsigned saved_;
#elif defined(__aarch64__)
    uint64_t saved_;
#endif
};

// Calls part(first, last) on pieces of 0..total in `threads` threads, cut at multiples of unit.
template <class Part>
void in_threads(size_t total, size_t unit, size_t threads, const Part& part) {
    const size_t units = (total + unit - 1) / unit;
    threads = std::max<size_t>(std::min(threads, units), 1);
    std::vector<std::thread> pool;
    std::vector<std::exception_ptr> failed(threads);
    const auto piece = [&](size_t i) {
        try {
            part(std::min(units * i / threads * unit, total),
                 std::min(units * (i + 1) / threads * unit, total));
        } catch (...) {
            failed[i] = std::current_exception();
        }
    };
    for (size_t i = 1; i < threads; ++i) {
        try {
            pool.emplace_back(piece, i);
        } catch (const std::system_error&) {
            piece(i);  // the system has no more threads
        }
    }
    piece(0);
    for (std::thread& thread : pool) thread.join();
    for (const std::exception_ptr& failure : failed)
        if (failure) std::rethrow_exception(failure);
}

template <class Body>
int guarded(const Body& body) {
    try {
        return body();
    } catch (...) {
        return -1;  // out of memory
    }
}

}  // namespace audiotok
