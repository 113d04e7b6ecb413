/* Errors on purpose, compiled with the flags of the sanitized core: each call must end its process. */
#include <stdint.h>
#include <stdlib.h>

int64_t read_past_the_end(int64_t count) {
    int64_t *pool = calloc((size_t)count, sizeof *pool);
    volatile int64_t *place = pool + count;
    int64_t seen = *place;
    free(pool);
    return seen;
}

int64_t write_before_the_start(int64_t count) {
    int64_t *pool = calloc((size_t)count, sizeof *pool);
    volatile int64_t *place = pool - 1;
    *place = count;
    int64_t seen = pool[0];
    free(pool);
    return seen;
}

int64_t read_after_free(int64_t count) {
    int64_t *pool = calloc((size_t)count, sizeof *pool);
    volatile int64_t *place = pool;
    free(pool);
    return *place;
}

int64_t overflow_a_product(int64_t factor) { return factor * INT64_MAX; }

int64_t overflow_a_sum(int64_t term) { return INT64_MAX + term; }

int64_t shift_out_of_the_word(int64_t bits) { return (int64_t)((uint64_t)1 << (bits + 64)); }

int64_t read_a_crooked_pointer(int64_t offset) {
    char *pool = calloc(4, sizeof(int64_t));
    volatile int64_t *place = (int64_t *)(pool + offset);
    int64_t seen = *place;
    free(pool);
    return seen;
}
