/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"

#include <string.h>

/* Whether `now` is `moment` or later; right as long as they are less than 24 days apart. */
static bool reached(uint32_t now, uint32_t moment)
{
    return (int32_t)(now - moment) >= 0;
}

static void put(struct ei_session *session, uint8_t kind, const uint8_t *payload, size_t size, uint16_t sequence,
                uint32_t now)
{
    uint8_t body[EI_MAX_BODY], frame[EI_MAX_FRAME];
    /* A Hello addressed to 0 tells a silent peer that it is not heard, so that it introduces itself again. */
    bool heard = session->peer.heard && !reached(now, session->peer.heard_at + session->timing.silence_ms);
    struct ei_header header = {kind, session->number, heard ? session->peer.number : 0, sequence};
    ei_pack_header(&header, body);
    memcpy(body + EI_HEADER_SIZE, payload, size);
    size_t length = ei_encode_frame(body, EI_HEADER_SIZE + size, frame);
    session->hal->write(session->hal->board, frame, length); /* what is not taken is lost, and repeated if it matters */
}

static void greet(struct ei_session *session, uint32_t now)
{
    uint8_t payload[EI_HELLO_SIZE];
    ei_pack_hello(&session->hello, payload);
    session->hello_wanted = false;
    session->hello_at = now + session->timing.retry_ms;
    session->beat_at = now + session->timing.heartbeat_ms;
    put(session, EI_KIND_HELLO, payload, sizeof payload, 0, now);
}

static void want_hello(struct ei_session *session, uint32_t now)
{
    session->hello_wanted = true;
    if (reached(now, session->hello_at)) {
        greet(session, now);
    }
}

void ei_session_start(struct ei_session *session, uint32_t now)
{
    session->next_sequence = 1;
    session->peer.answered_at = now;
    greet(session, now);
    session->hello_at = now; /* the first Hello is no answer, and does not hold up the answer to the peer's first */
}

bool ei_session_is_open(const struct ei_session *session)
{
    return session->peer.hears_us && !session->peer.lost;
}

static struct ei_pending *free_slot(struct ei_session *session)
{
    struct ei_pending *found = NULL;
    for (size_t i = 0; i < EI_WINDOW; i++) {
        const struct ei_pending *one = &session->flight[i];
        if (!one->used) {
            found = &session->flight[i];
        } else if ((uint16_t)(session->next_sequence - one->sequence) >= EI_HISTORY / 2) {
            return NULL; /* the receiver must be able to tell each repetition */
        }
    }
    return found;
}

/* Says in a trigger how long ago its part came. */
static void age_trigger(struct ei_pending *one, uint32_t elapsed_ms)
{
    struct ei_trigger trigger;
    if (ei_unpack_trigger(one->payload, one->size, &trigger)) {
        trigger.age_ms = elapsed_ms < EI_AGE_LIMIT_MS ? (uint16_t)elapsed_ms : EI_AGE_LIMIT_MS;
        ei_pack_trigger(&trigger, one->payload);
    }
}

static void transmit_one(struct ei_session *session, struct ei_pending *one, uint32_t now)
{
    uint8_t doublings = one->tries < 3 ? one->tries : 3;
    one->repeat_at = now + (session->timing.retry_ms << doublings);
    one->tries++;
    if (one->kind == EI_KIND_TRIGGER) {
        age_trigger(one, now - (one->deadline - session->timing.deliver_ms));
    }
    put(session, one->kind, one->payload, one->size, one->sequence, now);
}

static void transmit(struct ei_session *session, uint32_t now)
{
    if (!ei_session_is_open(session)) {
        return;
    }
    for (size_t i = 0; i < EI_WINDOW; i++) {
        if (session->flight[i].used && reached(now, session->flight[i].repeat_at)) {
            transmit_one(session, &session->flight[i], now);
        }
    }
    while (session->waiting_count > 0) {
        struct ei_pending *slot = free_slot(session);
        if (slot == NULL) {
            return;
        }
        *slot = session->waiting[session->waiting_first];
        session->waiting_first = (uint8_t)((session->waiting_first + 1) % EI_WAITING);
        session->waiting_count--;
        slot->sequence = session->next_sequence++;
        transmit_one(session, slot, now);
    }
}

bool ei_session_send(struct ei_session *session, uint8_t kind, const uint8_t *payload, size_t size, uint32_t now)
{
    if (session->waiting_count == EI_WAITING || size > EI_MAX_RELIABLE) {
        session->given_up++;
        return false;
    }
    struct ei_pending *last = &session->waiting[(session->waiting_first + session->waiting_count) % EI_WAITING];
    memset(last, 0, sizeof *last);
    last->used = true;
    last->kind = kind;
    last->size = (uint8_t)size;
    last->deadline = now + session->timing.deliver_ms;
    memcpy(last->payload, payload, size);
    session->waiting_count++;
    transmit(session, now);
    return true;
}

static void expire(struct ei_session *session, uint32_t now)
{
    for (size_t i = 0; i < EI_WINDOW; i++) {
        if (session->flight[i].used && reached(now, session->flight[i].deadline)) {
            session->flight[i].used = false;
            session->given_up++;
        }
    }
    while (session->waiting_count > 0 && reached(now, session->waiting[session->waiting_first].deadline)) {
        session->waiting_first = (uint8_t)((session->waiting_first + 1) % EI_WAITING);
        session->waiting_count--;
        session->given_up++;
    }
}

/* Notes a sequence number; false if it was seen before, or is too old to tell. */
static bool first_time(struct ei_peer *peer, uint16_t sequence)
{
    if (!peer->any_seen) {
        peer->any_seen = true;
        peer->newest = sequence;
    }
    int16_t ahead = (int16_t)(uint16_t)(sequence - peer->newest);
    if (ahead > 0) {
        peer->seen = ahead < EI_HISTORY ? peer->seen << ahead : 0;
        peer->newest = sequence;
        ahead = 0;
    }
    if (-ahead >= EI_HISTORY || (peer->seen >> -ahead & 1) != 0) {
        return false;
    }
    peer->seen |= (uint64_t)1 << -ahead;
    return true;
}

/* The peer lives, but does not know this session. */
static void not_heard(struct ei_session *session, uint32_t now)
{
    session->peer.hears_us = false;
    want_hello(session, now);
}

static void good_frame(struct ei_session *session, uint32_t now)
{
    session->peer.answered_at = now;
    session->peer.lost = false;
    session->peer.hears_us = true;
    transmit(session, now);
}

/* Takes up a new session of the peer; what was meant for the former one is given up. */
static void adopt(struct ei_session *session, uint16_t number, uint32_t now)
{
    bool was_lost = session->peer.lost;
    if (session->peer.number != 0) {
        session->retired = session->peer.number;
        session->retired_at = now;
        memset(session->flight, 0, sizeof session->flight);
        session->waiting_count = 0;
    }
    memset(&session->peer, 0, sizeof session->peer);
    session->peer.number = number;
    session->peer.lost = was_lost;
    session->peer.answered_at = now;
}

static void on_hello(struct ei_session *session, const struct ei_header *header, const struct ei_hello *hello,
                     uint32_t now)
{
    bool late = header->sender == session->retired && !reached(now, session->retired_at + session->timing.silence_ms);
    if (header->sender == 0 || late || hello->protocol != EI_PROTOCOL_VERSION || hello->role == session->hello.role) {
        session->strangers++;
        return;
    }
    bool is_new = header->sender != session->peer.number;
    if (is_new) {
        adopt(session, header->sender, now);
    }
    session->peer.heard = true;
    session->peer.heard_at = now;
    if (header->receiver != session->number) {
        not_heard(session, now);
        return;
    }
    if (is_new) {
        want_hello(session, now);
    }
    good_frame(session, now);
}

static void acknowledged(struct ei_session *session, uint16_t sequence)
{
    for (size_t i = 0; i < EI_WINDOW; i++) {
        if (session->flight[i].used && session->flight[i].sequence == sequence) {
            session->flight[i].used = false;
        }
    }
}

static void on_frame(struct ei_session *session, const struct ei_header *header, const uint8_t *payload, size_t size,
                     uint32_t now)
{
    if (header->sender == 0 || header->sender != session->peer.number) {
        session->strangers++;
        want_hello(session, now);
        return;
    }
    session->peer.heard = true;
    session->peer.heard_at = now;
    if (header->receiver != session->number) {
        not_heard(session, now);
        return;
    }
    good_frame(session, now);
    if (header->kind == EI_KIND_ACK) {
        acknowledged(session, header->sequence);
        transmit(session, now);
    } else if (header->kind == EI_KIND_HEARTBEAT) {
        ei_unpack_heartbeat(payload, size, &session->peer.heartbeat);
    } else if (header->kind == EI_KIND_ACTIVE_ALARMS) {
        session->on_message(session->user, header->kind, payload, size);
    } else if (header->kind != EI_KIND_BELT_POSITION) {
        put(session, EI_KIND_ACK, payload, 0, header->sequence, now);
        if (first_time(&session->peer, header->sequence)) {
            session->on_message(session->user, header->kind, payload, size);
        } else {
            session->duplicates++;
        }
    }
}

static void on_body(struct ei_session *session, const uint8_t *body, size_t size, uint32_t now)
{
    struct ei_header header;
    struct ei_hello hello;
    if (size < EI_HEADER_SIZE || !ei_unpack_header(body, EI_HEADER_SIZE, &header) ||
        !ei_is_valid(header.kind, body + EI_HEADER_SIZE, size - EI_HEADER_SIZE)) {
        session->malformed++;
    } else if (header.kind == EI_KIND_HELLO) {
        ei_unpack_hello(body + EI_HEADER_SIZE, size - EI_HEADER_SIZE, &hello);
        on_hello(session, &header, &hello, now);
    } else {
        on_frame(session, &header, body + EI_HEADER_SIZE, size - EI_HEADER_SIZE, now);
    }
}

void ei_session_tell(struct ei_session *session, uint8_t kind, const uint8_t *payload, size_t size, uint32_t now)
{
    if (ei_session_is_open(session)) {
        put(session, kind, payload, size, 0, now);
    }
}

void ei_session_receive(struct ei_session *session, const uint8_t *bytes, size_t size, uint32_t now)
{
    for (size_t i = 0; i < size; i++) {
        size_t body = ei_decode_byte(&session->decoder, bytes[i]);
        if (body > 0) {
            on_body(session, session->decoder.text, body, now);
        }
    }
}

static void beat(struct ei_session *session, uint32_t now)
{
    if (!ei_session_is_open(session)) {
        greet(session, now);
        return;
    }
    uint8_t payload[EI_HEARTBEAT_SIZE];
    struct ei_heartbeat heartbeat = {EI_STATE_RUNNING, ++session->beats, 0};
    ei_pack_heartbeat(&heartbeat, payload);
    session->beat_at = now + session->timing.heartbeat_ms;
    put(session, EI_KIND_HEARTBEAT, payload, sizeof payload, 0, now);
}

/* 24 days later the comparison of two times turns around; so no time is kept that long. */
static void forget_old_times(struct ei_session *session, uint32_t now)
{
    if (session->peer.heard && reached(now, session->peer.heard_at + session->timing.silence_ms)) {
        session->peer.heard = false;
    }
    if (reached(now, session->retired_at + session->timing.silence_ms)) {
        session->retired = 0;
        session->retired_at = now;
    }
    if (reached(now, session->hello_at)) {
        session->hello_at = now;
    }
}

void ei_session_tick(struct ei_session *session, uint32_t now)
{
    expire(session, now);
    if (!session->peer.lost && reached(now, session->peer.answered_at + session->timing.silence_ms)) {
        session->peer.lost = true;
        session->peer.hears_us = false;
    }
    if (session->hello_wanted && reached(now, session->hello_at)) {
        greet(session, now);
    }
    forget_old_times(session, now);
    if (reached(now, session->beat_at)) {
        beat(session, now);
    }
    transmit(session, now);
}
