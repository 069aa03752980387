/* SPDX-License-Identifier: Apache-2.0 */
#include "ejector.h"

#include <stddef.h>

void ei_ejector_sweep(struct ei_ejector *ejector, const struct ei_belt *belt, uint32_t distance)
{
    ejector->sweeping = true;
    ejector->sweep_until = belt->position + distance;
    ejector->ejecting = false;
    ejector->count = 0; /* what a sweep throws out is not confirmed part by part */
}

bool ei_ejector_fire(struct ei_ejector *ejector, const struct ei_belt *belt, const struct ei_settings *settings,
                     uint32_t part_id)
{
    ejector->ejecting = true;
    ejector->eject_until = belt->position + settings->eject_length;
    if (settings->confirm_within == 0) {
        return true;
    }
    if (ejector->count == EI_CONFIRMATIONS) {
        return false;
    }
    struct ei_confirmation one = {belt->position + settings->confirm_within, part_id};
    ejector->waiting[(ejector->first + ejector->count++) % EI_CONFIRMATIONS] = one;
    return true;
}

static void forget_oldest(struct ei_ejector *ejector)
{
    ejector->first = (uint8_t)((ejector->first + 1) % EI_CONFIRMATIONS);
    ejector->count--;
}

void ei_ejector_confirm(struct ei_ejector *ejector)
{
    if (ejector->count > 0) {
        forget_oldest(ejector);
    }
}

static void watch_standing(struct ei_ejector *ejector, const struct ei_belt *belt, uint16_t longest_on_ms, uint32_t now)
{
    if (belt->position != ejector->moved_to) {
        ejector->moved_to = belt->position;
        ejector->moved_at = now;
        ejector->standing = false;
    } else if (longest_on_ms > 0 && now - ejector->moved_at >= longest_on_ms) {
        ejector->standing = true;
    }
}

uint8_t ei_ejector_watch(struct ei_ejector *ejector, const struct ei_belt *belt, const struct ei_settings *settings,
                         uint32_t now, uint32_t *part_id)
{
    uint8_t missing = 0;
    watch_standing(ejector, belt, settings->longest_on_ms, now);
    if (ejector->ejecting && ei_belt_reached(belt, ejector->eject_until)) {
        ejector->ejecting = false;
    }
    if (ejector->sweeping && ei_belt_reached(belt, ejector->sweep_until)) {
        ejector->sweeping = false;
    }
    while (ejector->count > 0 && ei_belt_reached(belt, ejector->waiting[ejector->first].by)) {
        *part_id = ejector->waiting[ejector->first].part_id;
        forget_oldest(ejector);
        missing++;
    }
    return missing;
}

bool ei_ejector_open(const struct ei_ejector *ejector)
{
    return ejector->sweeping || (ejector->ejecting && !ejector->standing);
}
