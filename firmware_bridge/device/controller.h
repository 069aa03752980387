/* A reject controller: every part is ejected that the inspection did not prove good in time. */
#ifndef EI_CONTROLLER_H
#define EI_CONTROLLER_H

#include <stdbool.h>
#include <stdint.h>

#include "session.h"

enum {
    EI_QUEUE = 64,          /* parts between sensor and ejector */
    EI_STREAK = 3,          /* so many late or foreign results in a row are a fault */
    EI_COUNTERS_MS = 10000, /* from one Counters message to the next */
    EI_BELT_MS = 50,        /* from one Belt message to the next; longer on a slow line, which it takes 1/16 of */
};

/* Bits of the inputs that `ei_controller_poll` takes; each acts when it turns from 0 to 1. */
enum {
    EI_INPUT_PART = 1,    /* a part is in front of the camera */
    EI_INPUT_EJECTED = 2, /* the ejector has thrown a part out */
    EI_INPUT_RESET = 4,   /* somebody has looked after the fault */
};

struct ei_part {
    uint32_t id, encoder, triggered_ms;
    uint32_t last_encoder; /* of the last part that the full queue made this entry stand for, too */
    uint8_t verdict;       /* EI_VERDICT_NONE until the result comes */
    bool overdue, crowd;
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
    bool ejecting, unconfirmed;
    uint16_t offline_session; /* the session of the inspection that said it goes off line, or 0 */
    uint32_t eject_until, confirm_by, ejected_id;
    uint16_t to_confirm;
    uint8_t late_streak, foreign_streak;
    uint32_t counters_at, foreign;
    uint32_t belt_at, belt_ms;
    uint16_t alarms; /* bits by the numbers of the faults, as the inspection said last */
    uint16_t arrived; /* parts that the sensor in the chute has seen */
    struct ei_counters counters;
};

/* Begins with no part known. `number` is the session number (PROTOCOL.md, "Sessions"): it must differ from last time. */
void ei_controller_start(struct ei_controller *controller, const struct ei_hal *hal, uint16_t number,
                         const struct ei_settings *settings, uint32_t baud);

/* The whole work; to be called from the main loop at least every millisecond, with the inputs as they are. */
void ei_controller_poll(struct ei_controller *controller, uint8_t inputs);

/* Whether the inspection answers, answers in time, and answers what it was asked. */
bool ei_controller_healthy(const struct ei_controller *controller);

/* Asks the inspection to change to a recipe. */
void ei_controller_changeover(struct ei_controller *controller, uint16_t recipe);

#endif
