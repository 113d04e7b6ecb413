/* The cycle counter around a piece of work, ordered against it; nanoseconds where there is none. */
#ifndef OFFBOOK_CYCLES_H
#define OFFBOOK_CYCLES_H
#include <stdint.h>
#if defined(__x86_64__)
#include <x86intrin.h>
static inline uint64_t cycles_start(void) {
    _mm_lfence();
    uint64_t now = __rdtsc();
    _mm_lfence();
    return now;
}
static inline uint64_t cycles_end(void) {
    unsigned core;
    uint64_t now = __rdtscp(&core);
    _mm_lfence();
    return now;
}
#else
#include <time.h>
static inline uint64_t cycles_start(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
static inline uint64_t cycles_end(void) { return cycles_start(); }
#endif
#endif
