/* SPDX-License-Identifier: Apache-2.0 */
/* Where the belt is, from a counter of any width, and whether that can be believed. */
#ifndef EI_BELT_H
#define EI_BELT_H

#include <stdbool.h>
#include <stdint.h>

struct ei_belt {
    uint32_t mask;     /* of the counter's bits */
    uint32_t raw;      /* last reading of the counter */
    uint32_t position; /* the same in 32 bits */
    uint32_t farthest; /* position from which travel back is measured */
    uint32_t last_part;
    bool any_part;
};

/* Begins with a counter of `bits` (2 to 32); position is its first reading. */
void ei_belt_start(struct ei_belt *belt, uint8_t bits, uint32_t raw);

/* Takes a reading, at least twice in a revolution of the counter; false if the belt is more than `back` behind. */
bool ei_belt_read(struct ei_belt *belt, uint32_t raw, uint32_t back);

/* Notes a part at the sensor; false if the belt moved by less than `least_travel` since the part before. */
bool ei_belt_part(struct ei_belt *belt, uint32_t least_travel);

/* Forgets the part before and the travel back. */
void ei_belt_reset(struct ei_belt *belt);

/* Whether the belt is at `place` or behind it; right within half a revolution of the 32-bit position. */
bool ei_belt_reached(const struct ei_belt *belt, uint32_t place);

#endif
