/* SPDX-License-Identifier: Apache-2.0 */
#include "belt.h"

enum {
    LONG_WAY = 1 << 30, /* the most that `least_travel` may be; farther than that, the part before is forgotten */
};

void ei_belt_start(struct ei_belt *belt, uint8_t bits, uint32_t raw)
{
    belt->mask = UINT32_MAX >> (32 - bits);
    belt->raw = raw & belt->mask;
    belt->position = belt->raw;
    ei_belt_reset(belt);
}

bool ei_belt_read(struct ei_belt *belt, uint32_t raw, uint32_t back)
{
    uint32_t step = (raw - belt->raw) & belt->mask;
    if (step > belt->mask / 2) {
        step |= ~belt->mask; /* a step back, with its sign in 32 bits */
    }
    belt->raw = raw & belt->mask;
    belt->position += step;
    if (belt->any_part && ei_belt_reached(belt, belt->last_part + LONG_WAY)) {
        belt->any_part = false;
    }
    uint32_t behind = belt->farthest - belt->position;
    if (ei_belt_reached(belt, belt->farthest)) {
        belt->farthest = belt->position;
        behind = 0;
    }
    return behind <= back;
}

bool ei_belt_part(struct ei_belt *belt, uint32_t least_travel)
{
    bool moved = !belt->any_part || ei_belt_reached(belt, belt->last_part + least_travel);
    belt->any_part = true;
    belt->last_part = belt->position;
    return moved;
}

void ei_belt_reset(struct ei_belt *belt)
{
    belt->farthest = belt->position;
    belt->any_part = false;
}

bool ei_belt_reached(const struct ei_belt *belt, uint32_t place)
{
    return (int32_t)(belt->position - place) >= 0;
}
