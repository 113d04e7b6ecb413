/* The floor of any engine with 32-byte commands and events: copy each command into an event and take one
 * unpredictable four-way branch on it, nothing more.
 *
 *   floor COMMANDS ROUNDS        a file of packed commands, as the core takes them
 *
 * Prints "<floor ns> <copy ns> <least cycles>" per command: the second is a plain copy of the same bytes into the same
 * buffer, the third the sum over batches of the least cycles that any of the rounds took for it (0 rounds: 0). Events
 * go to a buffer of one batch, as the core's do. Both run once before they are timed, so that no page is touched first.
 * Time is the thread's own: what other processes of the machine take is not counted.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cycles.h"

enum { BATCH = 256 };

struct command {
    uint8_t kind, side;
    uint16_t flags;
    uint32_t instrument;
    int64_t price, quantity;
    uint32_t owner, cell; /* the handle of a cancel or amend; its lower half is the slot */
};

struct event {
    uint8_t kind, side;
    uint16_t code;
    uint32_t instrument;
    uint64_t handle;
    int64_t price, quantity;
};

static struct event events[BATCH];
static uint64_t taken[4];
static uint64_t *least;

static double now_ns(void) {
    struct timespec at;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
    return 1e9 * (double)at.tv_sec + (double)at.tv_nsec;
}

/* Quantities of new orders and slots of canceled ones are evenly spread, so no predictor sees the branch coming. The
 * computed goto keeps it one jump: a compiler may turn a switch into two compares or into no branch at all. */
static void copy_and_branch(const struct command *command, struct event *event) {
    static void *const ways[4] = {&&way0, &&way1, &&way2, &&way3};
    event->kind = command->kind;
    event->side = command->side;
    event->code = command->flags;
    event->instrument = command->instrument;
    event->handle = (uint64_t)command->cell << 32 | command->owner;
    event->price = command->price;
    event->quantity = command->quantity;
    goto *ways[(command->quantity ^ command->owner) & 3];
way0:
    taken[0]++;
    return;
way1:
    taken[1]++;
    return;
way2:
    taken[2]++;
    return;
way3:
    taken[3]++;
}

static void run_floor(const struct command *commands, size_t count) {
    for (size_t at = 0; at < count; at += BATCH) {
        size_t some = count - at < BATCH ? count - at : BATCH;
        for (size_t index = 0; index < some; index++) copy_and_branch(&commands[at + index], &events[index]);
        __asm__ volatile("" ::: "memory");
    }
}

static void run_copy(const struct command *commands, size_t count) {
    for (size_t at = 0; at < count; at += BATCH) {
        size_t some = count - at < BATCH ? count - at : BATCH;
        memcpy(events, &commands[at], some * sizeof(struct event));
        __asm__ volatile("" ::: "memory");
    }
}

static double timed_ns(void (*run)(const struct command *, size_t), const struct command *commands, size_t count) {
    run(commands, count);
    double start = now_ns();
    run(commands, count);
    return (now_ns() - start) / (double)count;
}

static double least_cycles(const struct command *commands, size_t count, int rounds) {
    uint64_t sum = 0;
    for (size_t at = 0; rounds > 0 && at < count; at += BATCH) least[at / BATCH] = UINT64_MAX;
    for (int round = 0; round < rounds; round++)
        for (size_t at = 0; at < count; at += BATCH) {
            uint64_t start = cycles_start();
            run_floor(&commands[at], count - at < BATCH ? count - at : BATCH);
            uint64_t took = cycles_end() - start;
            if (took < least[at / BATCH]) least[at / BATCH] = took;
        }
    for (size_t at = 0; rounds > 0 && at < count; at += BATCH) sum += least[at / BATCH];
    return (double)sum / (double)count;
}

int main(int argc, char **argv) {
    FILE *file = argc == 3 ? fopen(argv[1], "rb") : NULL;
    if (!file || fseek(file, 0, SEEK_END)) return fprintf(stderr, "usage: floor COMMANDS ROUNDS\n"), 2;
    size_t count = (size_t)ftell(file) / sizeof(struct command);
    struct command *commands = malloc(count * sizeof(struct command));
    least = calloc(count / BATCH + 1, sizeof *least);
    rewind(file);
    if (!count || !commands || !least || fread(commands, sizeof(struct command), count, file) != count) return 1;
    double floor_ns = timed_ns(run_floor, commands, count);
    double copy_ns = timed_ns(run_copy, commands, count);
    /* Each run adds its counts twice: once to warm up, once timed. */
    if (taken[0] + taken[1] + taken[2] + taken[3] != 2 * count) return 1;
    printf("%.4f %.4f %.4f\n", floor_ns, copy_ns, least_cycles(commands, count, atoi(argv[2])));
    return 0;
}
