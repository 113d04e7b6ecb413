# cython: language_level=3
"""Eight Keccak-f[1600] permutations side by side: word w of state k is `lanes[8 * w + k]`.

One lane of a vector register belongs to one state, so that no instruction waits for its neighbour. The widest
registers that the processor has are asked for once, at import: eight states at a time, four, or what the compiler
makes of vectors on a machine without them. All three give the same words.
"""

from libc.stdint cimport uint64_t

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    typedef uint64_t offbook_lanes4 __attribute__((vector_size(32)));
    typedef uint64_t offbook_lanes8 __attribute__((vector_size(64)));
    typedef void (*offbook_permute)(uint64_t *);

    #define OFFBOOK_TURN(word, count) (((word) << (count)) | ((word) >> (64 - (count))))
    #define OFFBOOK_UNROLLED _Pragma("GCC unroll 25")

    static const uint64_t offbook_round[24] = {
        0x0000000000000001ULL, 0x0000000000008082ULL, 0x800000000000808AULL, 0x8000000080008000ULL,
        0x000000000000808BULL, 0x0000000080000001ULL, 0x8000000080008081ULL, 0x8000000000008009ULL,
        0x000000000000008AULL, 0x0000000000000088ULL, 0x0000000080008009ULL, 0x000000008000000AULL,
        0x000000008000808BULL, 0x800000000000008BULL, 0x8000000000008089ULL, 0x8000000000008003ULL,
        0x8000000000008002ULL, 0x8000000000000080ULL, 0x000000000000800AULL, 0x800000008000000AULL,
        0x8000000080008081ULL, 0x8000000000008080ULL, 0x0000000080000001ULL, 0x8000000080008008ULL};

    /* theta, rho and pi in one walk along pi's only cycle, chi, iota: the specification's order and names. */
    #define OFFBOOK_PERMUTATION(name, lanes_t, attributes) \\
        attributes static void name(uint64_t *words) { \\
            static const uint8_t rho[24] = {1,  3,  6,  10, 15, 21, 28, 36, 45, 55, 2,  14, \\
                                            27, 41, 56, 8,  25, 43, 62, 18, 39, 61, 20, 44}; \\
            static const uint8_t pi[24] = {10, 7,  11, 17, 18, 3, 5,  16, 8,  21, 24, 4, \\
                                           15, 23, 19, 13, 12, 2, 20, 14, 22, 9,  6,  1}; \\
            lanes_t a[25], row[5], moved, kept; \\
            int turn, x, y; \\
            OFFBOOK_UNROLLED for (x = 0; x < 25; x++) memcpy(&a[x], words + 8 * x, sizeof(lanes_t)); \\
            for (turn = 0; turn < 24; turn++) { \\
                OFFBOOK_UNROLLED for (x = 0; x < 5; x++) \\
                    row[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20]; \\
                OFFBOOK_UNROLLED for (x = 0; x < 5; x++) { \\
                    moved = row[(x + 4) % 5] ^ OFFBOOK_TURN(row[(x + 1) % 5], 1); \\
                    OFFBOOK_UNROLLED for (y = 0; y < 25; y += 5) a[y + x] ^= moved; \\
                } \\
                moved = a[1]; \\
                OFFBOOK_UNROLLED for (x = 0; x < 24; x++) { \\
                    kept = a[pi[x]]; \\
                    a[pi[x]] = OFFBOOK_TURN(moved, rho[x]); \\
                    moved = kept; \\
                } \\
                OFFBOOK_UNROLLED for (y = 0; y < 25; y += 5) { \\
                    OFFBOOK_UNROLLED for (x = 0; x < 5; x++) row[x] = a[y + x]; \\
                    OFFBOOK_UNROLLED for (x = 0; x < 5; x++) \\
                        a[y + x] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5]); \\
                } \\
                a[0] ^= offbook_round[turn]; \\
            } \\
            OFFBOOK_UNROLLED for (x = 0; x < 25; x++) memcpy(words + 8 * x, &a[x], sizeof(lanes_t)); \\
        }

    OFFBOOK_PERMUTATION(offbook_plain_half, offbook_lanes4, )
    static void offbook_plain(uint64_t *words) { offbook_plain_half(words); offbook_plain_half(words + 4); }

    #if defined(__x86_64__)
    OFFBOOK_PERMUTATION(offbook_avx2_half, offbook_lanes4, __attribute__((target("avx2"))))
    OFFBOOK_PERMUTATION(offbook_avx512, offbook_lanes8, __attribute__((target("avx512f"))))
    static void offbook_avx2(uint64_t *words) { offbook_avx2_half(words); offbook_avx2_half(words + 4); }
    #endif

    /* The way by its name, NULL where this processor or compiler lacks it; "" asks for the fastest. */
    static offbook_permute offbook_way(const char *name) {
        int any = name[0] == 0;
    #if defined(__x86_64__)
        if ((any || !strcmp(name, "avx512f")) && __builtin_cpu_supports("avx512f")) return offbook_avx512;
        if ((any || !strcmp(name, "avx2")) && __builtin_cpu_supports("avx2")) return offbook_avx2;
    #endif
        return any || !strcmp(name, "plain") ? offbook_plain : NULL;
    }
    """
    ctypedef void (*offbook_permute)(uint64_t* words) noexcept nogil
    offbook_permute offbook_way(const char* name) noexcept nogil
