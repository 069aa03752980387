/* SPDX-License-Identifier: Apache-2.0 */
/* Coverage-guided fuzzing of the reject controller. The input is a program: what arrives, how time and belt go on.
 *
 * Whatever it is, nothing may crash; a part may pass only if an OK for just this part and recipe was among the input; a
 * held fault is never healthy, and while the places of the parts mean nothing everything is ejected. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../bytes.h"
#include "../controller.h"

enum { STATION = 5, CONTROLLER = 77, PARTS = 256 };

struct world {
    struct ei_controller controller;
    struct ei_hal hal;
    uint32_t time, encoder;
    uint8_t in[256];
    size_t in_size, in_at;
    struct ei_result good[PARTS]; /* every valid OK that was fed, however it came about */
    size_t good_count;
};

static size_t read_bytes(void *board, uint8_t *out, size_t size)
{
    struct world *world = board;
    size_t left = world->in_size - world->in_at, taken = size < left ? size : left;
    memcpy(out, world->in + world->in_at, taken);
    world->in_at += taken;
    return taken;
}

static size_t write_bytes(void *board, const uint8_t *bytes, size_t size)
{
    (void)board;
    (void)bytes;
    return size;
}

static uint32_t time_ms(void *board)
{
    return ((struct world *)board)->time;
}

static uint32_t encoder(void *board)
{
    return ((struct world *)board)->encoder;
}

static void set_outputs(void *board, uint8_t bits)
{
    const struct ei_controller *controller = &((struct world *)board)->controller;
    bool lost = (controller->trouble & (EI_TROUBLE_ENCODER | EI_TROUBLE_QUEUE | EI_TROUBLE_SETTINGS)) != 0;
    bool unhealthy = controller->trouble != 0 || controller->ejector.sweeping;
    if ((lost && !(bits & EI_OUTPUT_EJECT)) || (unhealthy && (bits & EI_OUTPUT_HEALTHY))) {
        abort();
    }
}

static void on_decided(void *user, const struct ei_part *part, bool passed)
{
    const struct world *world = user;
    for (size_t i = 0; passed && i < world->good_count; i++) {
        if (world->good[i].part_id == part->id && world->good[i].encoder == part->encoder &&
            (part->recipe == 0 || world->good[i].recipe == part->recipe)) {
            return;
        }
    }
    if (passed) {
        abort();
    }
}

static void poll(struct world *world, uint8_t inputs)
{
    do {
        ei_controller_poll(&world->controller, inputs);
    } while (world->in_at < world->in_size);
}

static void feed_body(struct world *world, const uint8_t *body, size_t size)
{
    struct ei_result result;
    if (size > EI_HEADER_SIZE && body[0] == EI_KIND_RESULT &&
        ei_unpack_result(body + EI_HEADER_SIZE, size - EI_HEADER_SIZE, &result) && result.verdict == EI_VERDICT_OK &&
        world->good_count < PARTS) {
        world->good[world->good_count++] = result;
    }
    world->in_size = ei_encode_frame(body, size, world->in);
    world->in_at = 0;
    poll(world, 0);
}

/* Aims a result at a part that exists, and completes the complement: else nothing would ever pass. */
static void aim(struct world *world, uint8_t *payload)
{
    uint32_t id = world->controller.first_id + payload[0] % 8;
    ei_put_u32(payload, id);
    for (uint8_t i = 0; i < world->controller.count && (payload[4] & 1); i++) {
        const struct ei_part *part = &world->controller.queue[(world->controller.first + i) % EI_QUEUE];
        if (part->id == id) {
            ei_put_u32(payload + 4, part->encoder);
        }
    }
    payload[9] = (uint8_t)(0xFF ^ payload[8]);
}

/* A message of the right length with the right session numbers, most of the time, so that the fuzzer gets behind them.
 * `amount`: four bits for the kind, one to be addressed to 0, one to complete the fields, two for the session. */
static void feed_message(struct world *world, uint8_t amount, const uint8_t *bytes, size_t size)
{
    static const uint8_t sizes[] = {EI_HELLO_SIZE,  0,           EI_HEARTBEAT_SIZE,  EI_TRIGGER_SIZE,  EI_RESULT_SIZE,
                                    EI_FAULT_SIZE,  EI_CHANGEOVER_SIZE, EI_SETTINGS_SIZE, EI_COUNTERS_SIZE, EI_OFFLINE_SIZE,
                                    EI_BELT_POSITION_SIZE,   EI_ACTIVE_ALARMS_SIZE};
    uint8_t body[EI_MAX_BODY] = {0}, *payload = body + EI_HEADER_SIZE;
    uint8_t kind = (uint8_t)((amount & 15) % sizeof sizes), length = sizes[kind];
    struct ei_header header = {(uint8_t)(kind + 1), (uint16_t)(STATION + (amount >> 6)),
                               amount & 16 ? 0 : CONTROLLER, size >= 2 ? ei_get_u16(bytes) : 0};
    size_t given = size >= 2 ? size - 2 : 0;
    ei_pack_header(&header, body);
    if (given > 0) {
        memcpy(payload, bytes + 2, given < length ? given : length);
    }
    if (amount & 32) {
        if (header.kind == EI_KIND_HELLO) {
            payload[0] = EI_ROLE_EDGE;
            payload[EI_HELLO_SIZE - 1] = EI_PROTOCOL_VERSION;
        } else if (header.kind == EI_KIND_RESULT) {
            aim(world, payload);
        }
    }
    feed_body(world, body, (size_t)EI_HEADER_SIZE + length);
}

static void feed_raw(struct world *world, const uint8_t *bytes, size_t size)
{
    memcpy(world->in, bytes, size);
    world->in_size = size;
    world->in_at = 0;
    poll(world, 0);
}

static void step(struct world *world, uint8_t what, uint8_t amount, const uint8_t *bytes, size_t size)
{
    switch (what % 10) { /* 7, 8 and 9: messages, of which there is most to say */
    case 0:
        feed_raw(world, bytes, size);
        break;
    case 1:
        world->time += amount;
        poll(world, 0);
        break;
    case 2:
        world->time += (uint32_t)amount << 24;
        world->encoder += (uint32_t)amount << (amount % 25);
        poll(world, 0);
        break;
    case 3:
        world->encoder += (uint32_t)amount * 8;
        poll(world, amount);
        break;
    case 4:
        poll(world, EI_INPUT_PART);
        poll(world, 0);
        break;
    case 5:
        if (size > 0) {
            feed_body(world, bytes, size < EI_MAX_BODY ? size : EI_MAX_BODY);
        }
        break;
    case 6:
        ei_controller_changeover(&world->controller, amount);
        break;
    default:
        feed_message(world, amount, bytes, size);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world world;
    static const struct ei_settings settings = {1000, 100, 300, 50, EI_ON_SILENCE_STOP_LINE, 1, 0};
    struct ei_hal hal = {read_bytes, write_bytes, time_ms, encoder, set_outputs, &world, 32};
    memset(&world, 0, sizeof world);
    world.hal = hal;
    world.time = world.encoder = 0u - 200;
    ei_controller_start(&world.controller, &world.hal, CONTROLLER, &settings, 115200);
    world.controller.on_decided = on_decided;
    world.controller.user = &world;
    feed_message(&world, 32, NULL, 0); /* the station's Hello */
    while (size >= 3) {
        size_t length = data[2] < size - 3 ? data[2] : size - 3;
        step(&world, data[0], data[1], data + 3, length);
        data += 3 + length;
        size -= 3 + length;
    }
    return 0;
}
