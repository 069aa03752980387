/* SPDX-License-Identifier: Apache-2.0 */
/* The ejector valve: one pulse for a rejected part, a sweep over parts that are not known, and the confirmations. */
#ifndef EI_EJECTOR_H
#define EI_EJECTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "belt.h"
#include "message.h"

enum { EI_CONFIRMATIONS = 64 /* ejects that wait for the sensor in the chute */ };

struct ei_confirmation {
    uint32_t by, part_id;
};

struct ei_ejector {
    bool ejecting, sweeping;
    uint32_t eject_until, sweep_until;
    uint32_t moved_at, moved_to; /* when the belt moved last, and where it has been since */
    bool standing;               /* for longer than one eject may hold the valve */
    struct ei_confirmation waiting[EI_CONFIRMATIONS]; /* a ring, oldest first */
    uint8_t first, count;
};

/* Throws out everything until the belt has moved by `distance`. */
void ei_ejector_sweep(struct ei_ejector *ejector, const struct ei_belt *belt, uint32_t distance);

/* Throws out the part that is at the ejector now; false if too many ejects wait for their confirmation. */
bool ei_ejector_fire(struct ei_ejector *ejector, const struct ei_belt *belt, const struct ei_settings *settings,
                     uint32_t part_id);

/* The sensor in the chute has seen a part. */
void ei_ejector_confirm(struct ei_ejector *ejector);

/* Ends pulse and sweep at their places; gives the ejects that were not confirmed in time, `part_id` the last of them. */
uint8_t ei_ejector_watch(struct ei_ejector *ejector, const struct ei_belt *belt, const struct ei_settings *settings,
                         uint32_t now, uint32_t *part_id);

/* Whether the valve is to be open. */
bool ei_ejector_open(const struct ei_ejector *ejector);

#endif
