/* SPDX-License-Identifier: Apache-2.0 */
/* The reject controller as a process of this computer, at the far end of a pseudo-terminal, with a simulated belt. */
#define _XOPEN_SOURCE 600
#define _DEFAULT_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "../controller.h"

struct line {
    int terminal;
    uint32_t counts_per_ms, spacing, parts, decided;
    uint32_t next_part, belt, belt_ms;
    bool started, sensor;
};

static uint32_t time_ms(void *board)
{
    struct timespec now;
    (void)board;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
}

static uint32_t encoder(void *board)
{
    return ((struct line *)board)->belt;
}

static size_t read_bytes(void *board, uint8_t *out, size_t size)
{
    ssize_t got = read(((struct line *)board)->terminal, out, size);
    return got > 0 ? (size_t)got : 0;
}

static size_t write_bytes(void *board, const uint8_t *bytes, size_t size)
{
    ssize_t took = write(((struct line *)board)->terminal, bytes, size);
    return took > 0 ? (size_t)took : 0;
}

static void set_outputs(void *board, uint8_t bits)
{
    (void)board;
    (void)bits;
}

static void on_decided(void *user, const struct ei_part *part, bool passed)
{
    ((struct line *)user)->decided++;
    printf("part %u %u %u %s\n", (unsigned)part->id, (unsigned)part->encoder, (unsigned)part->verdict,
           passed ? "passed" : "rejected");
}

/* Opens the pseudo-terminal and keeps its near end open, so that nothing is lost while no other process has it open. */
static int open_terminal(void)
{
    struct termios mode;
    int far = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (far < 0 || grantpt(far) != 0 || unlockpt(far) != 0) {
        return -1;
    }
    int near = open(ptsname(far), O_RDWR | O_NOCTTY);
    if (near < 0 || tcgetattr(near, &mode) != 0) {
        return -1;
    }
    cfmakeraw(&mode);
    return tcsetattr(near, TCSANOW, &mode) == 0 ? far : -1;
}

static uint32_t option(int count, char **words, const char *name, uint32_t otherwise)
{
    for (int i = 1; i + 1 < count; i++) {
        if (strcmp(words[i], name) == 0) {
            return (uint32_t)strtoul(words[i + 1], NULL, 10);
        }
    }
    return otherwise;
}

/* The belt stands still while the inspection still has time for a part, so that a loaded computer rejects none. */
static void move_belt(struct line *line, const struct ei_controller *controller, uint32_t now)
{
    bool waits = false;
    for (uint8_t i = 0; i < controller->count; i++) {
        const struct ei_part *part = &controller->queue[(controller->first + i) % EI_QUEUE];
        waits = waits || (part->verdict == EI_VERDICT_NONE && !part->overdue);
    }
    line->belt += waits ? 0 : (now - line->belt_ms) * line->counts_per_ms;
    line->belt_ms = now;
}

/* The parts lie at equal distances on the belt; the first one comes when a station is there. */
static uint8_t inputs(struct line *line, const struct ei_controller *controller)
{
    if (!line->started && ei_controller_healthy(controller)) {
        line->started = true;
        line->next_part = line->belt;
    }
    bool due = line->started && controller->issued < line->parts && (int32_t)(line->belt - line->next_part) >= 0;
    line->sensor = due && !line->sensor;
    line->next_part += line->sensor ? line->spacing : 0;
    return line->sensor ? EI_INPUT_PART : 0;
}

int main(int count, char **words)
{
    static struct ei_controller controller;
    struct line line = {open_terminal(), option(count, words, "--counts-per-ms", 10),
                        option(count, words, "--spacing", 200), option(count, words, "--parts", 100), 0, 0, 0, 0, false, false};
    struct ei_settings settings = {option(count, words, "--distance", 1000), 100, 0,
                                   (uint16_t)option(count, words, "--deadline-ms", 250), EI_ON_SILENCE_REJECT_ALL, 1, 0};
    struct ei_hal hal = {read_bytes, write_bytes, time_ms, encoder, set_outputs, &line, 32};
    struct timespec pause = {0, 500000};
    if (line.terminal < 0) {
        fprintf(stderr, "no pseudo-terminal: %s\n", strerror(errno));
        return 2;
    }
    printf("serial://%s\n", ptsname(line.terminal));
    fflush(stdout);
    ei_controller_start(&controller, &hal, (uint16_t)option(count, words, "--session", 1 + (unsigned)getpid() % 65535),
                        &settings, 115200);
    controller.on_decided = on_decided;
    controller.user = &line;
    uint32_t end = time_ms(&line) + option(count, words, "--seconds", 60) * 1000;
    while (line.decided < line.parts && (int32_t)(time_ms(&line) - end) < 0) {
        move_belt(&line, &controller, time_ms(&line));
        ei_controller_poll(&controller, inputs(&line, &controller));
        nanosleep(&pause, NULL);
    }
    const struct ei_counters *counters = &controller.counters;
    printf("counters triggered=%u passed=%u rejected=%u unanswered=%u late=%u foreign=%u repeated=%u\n",
           (unsigned)counters->triggered, (unsigned)counters->passed, (unsigned)counters->rejected,
           (unsigned)counters->unanswered, (unsigned)counters->late, (unsigned)controller.foreign,
           (unsigned)controller.session.duplicates);
    return counters->unanswered > 0;
}
