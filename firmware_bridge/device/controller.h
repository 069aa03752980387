/* SPDX-License-Identifier: Apache-2.0 */
/* A reject controller: every part is ejected that the inspection did not prove good in time. */
#ifndef EI_CONTROLLER_H
#define EI_CONTROLLER_H

#include <stdbool.h>
#include <stdint.h>

#include "belt.h"
#include "ejector.h"
#include "session.h"

enum {
    EI_QUEUE = 64,          /* parts between sensor and ejector */
    EI_STREAK = 3,          /* this many late or foreign results in a row are a fault */
    EI_COUNTERS_MS = 10000, /* from one Counters message to the next */
    EI_ALARMS_MS = 1000,    /* from one ActiveAlarms message to the next, if nothing changes */
    EI_BELT_MS = 50,        /* from one BeltPosition to the next; longer on a slow line, which it takes 1/16 of */
};

/* Bits of the inputs that `ei_controller_poll` takes; each acts when it turns from 0 to 1. */
enum {
    EI_INPUT_PART = 1,    /* a part is in front of the camera */
    EI_INPUT_EJECTED = 2, /* the ejector has thrown a part out */
    EI_INPUT_RESET = 4,   /* an operator acknowledges the fault */
};

/* What is wrong with the controller's own line; each bit holds until EI_INPUT_RESET. */
enum {
    EI_TROUBLE_ENCODER = 1,  /* a part without counts, travel back, a jump: places mean nothing */
    EI_TROUBLE_QUEUE = 2,    /* more parts between sensor and ejector than the queue holds */
    EI_TROUBLE_EJECTOR = 4,  /* an eject was not confirmed */
    EI_TROUBLE_SETTINGS = 8, /* the board's settings are invalid; ended by valid ones of the station, not by a reset */
};

struct ei_part {
    uint32_t id, encoder, triggered_ms;
    uint16_t recipe; /* by which it is to be judged, 0 for any */
    uint8_t verdict; /* EI_VERDICT_NONE until the result comes */
    bool overdue;
};

struct ei_controller {
    struct ei_session session;
    struct ei_settings settings;
    /* Called for each part when it reaches the ejector; may be NULL. */
    void (*on_decided)(void *user, const struct ei_part *part, bool passed);
    void *user;
    struct ei_part queue[EI_QUEUE]; /* a ring, oldest first */
    uint8_t first, count;
    uint32_t first_id, issued;
    uint8_t inputs;
    uint8_t trouble; /* EI_TROUBLE_ bits */
    struct ei_belt belt;
    struct ei_ejector ejector;
    uint16_t recipe;           /* wanted, 0 for any */
    uint16_t offline_session;  /* the session of the inspection that said it goes off line, or 0 */
    uint16_t settings_session; /* the session that has been told the settings in force, or 0 */
    uint8_t late_streak, foreign_streak;
    uint32_t counters_at, foreign;
    uint32_t belt_at, belt_ms;
    uint32_t alarms_at;
    uint16_t alarms;       /* bits by the numbers of the faults, as the inspection said last */
    uint16_t alarms_told;  /* the same for the controller's own troubles */
    uint16_t arrived;      /* parts that the sensor in the chute has seen */
    struct ei_counters counters;
};

/* Begins with no part known: everything is ejected until the belt has moved by `eject_distance` and `eject_length`.
 * `number` is the session number (PROTOCOL.md, "Sessions"): it must differ from last time. False, with everything
 * ejected and RUN off, where `settings` are invalid or the HAL's `encoder_bits` are not 2 to 32. */
bool ei_controller_start(struct ei_controller *controller, const struct ei_hal *hal, uint16_t number,
                         const struct ei_settings *settings, uint32_t baud);

/* The whole work; to be called from the main loop at least every millisecond, with the inputs as they are. */
void ei_controller_poll(struct ei_controller *controller, uint8_t inputs);

/* Whether the inspection answers in time what it was asked, and every part between sensor and ejector is known. */
bool ei_controller_healthy(const struct ei_controller *controller);

/* Asks the inspection to change to a recipe; parts from now on pass only if they are judged by it. */
void ei_controller_changeover(struct ei_controller *controller, uint16_t recipe);

#endif
