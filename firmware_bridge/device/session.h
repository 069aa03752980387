/* SPDX-License-Identifier: Apache-2.0 */
/* One end of the framed line, the PLC's. See PROTOCOL.md, "Sessions" and "Delivery". */
#ifndef EI_SESSION_H
#define EI_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frame.h"
#include "hal.h"
#include "message.h"

enum {
    EI_WINDOW = 8,   /* messages on their way */
    EI_WAITING = 16, /* messages behind them */
    EI_HISTORY = 64, /* sequence numbers that a receiver remembers */
};

struct ei_timing {
    uint32_t heartbeat_ms, silence_ms, retry_ms, deliver_ms;
};

struct ei_pending {
    uint32_t deadline, repeat_at;
    uint16_t sequence;
    uint8_t kind, size, tries;
    bool used;
    uint8_t payload[EI_MAX_RELIABLE];
};

struct ei_peer {
    uint16_t number; /* 0: has not introduced itself */
    bool heard, hears_us, lost;
    uint32_t heard_at;    /* the last frame of any kind */
    uint32_t answered_at; /* the last one addressed to us */
    struct ei_heartbeat heartbeat; /* the last one, all 0 before it */
    bool any_seen;
    uint16_t newest;
    uint64_t seen; /* bit n: `newest - n` has been seen */
};

struct ei_session {
    const struct ei_hal *hal;
    struct ei_timing timing;
    struct ei_hello hello;
    uint16_t number;
    /* Called once for each reliable message, which is valid. */
    void (*on_message)(void *user, uint8_t kind, const uint8_t *payload, size_t size);
    void *user;
    struct ei_decoder decoder;
    struct ei_peer peer;
    uint16_t retired; /* the peer's former session */
    uint32_t retired_at;
    struct ei_pending flight[EI_WINDOW];
    struct ei_pending waiting[EI_WAITING]; /* a ring */
    uint8_t waiting_first, waiting_count;
    uint16_t next_sequence, beats;
    uint32_t beat_at, hello_at;
    bool hello_wanted;
    uint32_t malformed, duplicates, strangers, given_up;
};

/* Begins, with a Hello on the wire. The caller has set hal, timing, hello, number, on_message and user; all else is 0. */
void ei_session_start(struct ei_session *session, uint32_t now);

/* Takes a reliable message for delivery; false where too many wait. */
bool ei_session_send(struct ei_session *session, uint8_t kind, const uint8_t *payload, size_t size, uint32_t now);

/* Says a message that is not reliable once, if the line is open. */
void ei_session_tell(struct ei_session *session, uint8_t kind, const uint8_t *payload, size_t size, uint32_t now);

void ei_session_receive(struct ei_session *session, const uint8_t *bytes, size_t size, uint32_t now);

/* Repeats, beats, gives up and notices silence; to be called every few milliseconds. */
void ei_session_tick(struct ei_session *session, uint32_t now);

/* Whether both ends know each other and the peer is not silent. */
bool ei_session_is_open(const struct ei_session *session);

#endif
