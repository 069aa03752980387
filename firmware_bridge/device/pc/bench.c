/* SPDX-License-Identifier: Apache-2.0 */
/* The reject controller on a test bench: a library whose caller provides time, encoder, inputs and bytes. */
#include <stdlib.h>
#include <string.h>

#include "../controller.h"

enum { ROOM = 65536, DECIDED = 256 };

struct bench {
    struct ei_controller controller;
    struct ei_hal hal;
    uint32_t time, encoder;
    uint8_t outputs;
    bool started;
    uint8_t in[ROOM], out[ROOM];
    size_t in_size, out_size;
    uint32_t decided[DECIDED][4]; /* id, encoder, verdict, passed */
    size_t decided_count;
};

static size_t read_bytes(void *board, uint8_t *out, size_t size)
{
    struct bench *bench = board;
    size_t taken = size < bench->in_size ? size : bench->in_size;
    memcpy(out, bench->in, taken);
    memmove(bench->in, bench->in + taken, bench->in_size - taken);
    bench->in_size -= taken;
    return taken;
}

static size_t write_bytes(void *board, const uint8_t *bytes, size_t size)
{
    struct bench *bench = board;
    size_t taken = size < ROOM - bench->out_size ? size : ROOM - bench->out_size;
    memcpy(bench->out + bench->out_size, bytes, taken);
    bench->out_size += taken;
    return taken;
}

static uint32_t time_ms(void *board)
{
    return ((struct bench *)board)->time;
}

static uint32_t encoder(void *board)
{
    return ((struct bench *)board)->encoder;
}

static void set_outputs(void *board, uint8_t bits)
{
    ((struct bench *)board)->outputs = bits;
}

static void on_decided(void *user, const struct ei_part *part, bool passed)
{
    struct bench *bench = user;
    uint32_t *line = bench->decided[bench->decided_count % DECIDED];
    line[0] = part->id;
    line[1] = part->encoder;
    line[2] = part->verdict;
    line[3] = passed;
    bench->decided_count++;
}

struct bench *bench_new(uint16_t number, const uint32_t *chosen, uint32_t time, uint32_t belt, uint8_t encoder_bits)
{
    /* Any numbers, so that invalid ones are for the controller to find. */
    struct ei_settings settings = {chosen[0], chosen[1], chosen[2], (uint16_t)chosen[3], (uint8_t)chosen[4],
                                   chosen[5], (uint16_t)chosen[6]};
    struct bench *bench = calloc(1, sizeof *bench);
    if (bench == NULL) {
        return NULL;
    }
    struct ei_hal hal = {read_bytes, write_bytes, time_ms, encoder, set_outputs, bench, encoder_bits};
    bench->hal = hal;
    bench->time = time;
    bench->encoder = belt;
    bench->started = ei_controller_start(&bench->controller, &bench->hal, number, &settings, 115200);
    bench->controller.on_decided = on_decided;
    bench->controller.user = bench;
    return bench;
}

bool bench_started(const struct bench *bench)
{
    return bench->started;
}

void bench_free(struct bench *bench)
{
    free(bench);
}

void bench_feed(struct bench *bench, const uint8_t *bytes, size_t size)
{
    size_t taken = size < ROOM - bench->in_size ? size : ROOM - bench->in_size;
    memcpy(bench->in + bench->in_size, bytes, taken);
    bench->in_size += taken;
}

uint8_t bench_poll(struct bench *bench, uint32_t time, uint32_t belt, uint8_t inputs)
{
    bench->time = time;
    bench->encoder = belt;
    ei_controller_poll(&bench->controller, inputs);
    return bench->outputs;
}

size_t bench_take(struct bench *bench, uint8_t *out)
{
    size_t size = bench->out_size;
    memcpy(out, bench->out, size);
    bench->out_size = 0;
    return size;
}

size_t bench_decided(struct bench *bench, uint32_t *out)
{
    size_t count = bench->decided_count;
    memcpy(out, bench->decided, sizeof bench->decided);
    bench->decided_count = 0;
    return count;
}

void bench_counters(const struct bench *bench, uint8_t *payload)
{
    ei_pack_counters(&bench->controller.counters, payload);
}

void bench_changeover(struct bench *bench, uint16_t recipe)
{
    ei_controller_changeover(&bench->controller, recipe);
}
