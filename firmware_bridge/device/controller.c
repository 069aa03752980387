/* SPDX-License-Identifier: Apache-2.0 */
#include "controller.h"

#include <string.h>

static void count_streak(uint8_t *streak)
{
    if (*streak < EI_STREAK) {
        (*streak)++;
    }
}

static void on_message(void *user, uint8_t kind, const uint8_t *payload, size_t size);

static uint32_t encoder_mask(const struct ei_hal *hal)
{
    bool wide = hal->encoder_bits >= 2 && hal->encoder_bits <= 32;
    return wide ? UINT32_MAX >> (32 - hal->encoder_bits) : 0;
}

static struct ei_timing timing_for(uint32_t baud)
{
    /* A full window of Results with the Acks of as many Triggers, 64 bytes of 10 bits each, and 20 ms to spare. */
    uint32_t retry = 20 + (uint32_t)EI_WINDOW * 64 * 10 * 1000 / baud;
    struct ei_timing timing = {250, retry > 250 ? 4 * retry : 1000, retry, retry > 125 ? 8 * retry : 1000};
    return timing;
}

static void introduce(struct ei_controller *controller, const struct ei_hal *hal, uint16_t number, uint32_t baud)
{
    static const char name[] = "controller";
    struct ei_session *session = &controller->session;
    session->hal = hal;
    session->timing = timing_for(baud);
    session->hello.role = EI_ROLE_PLC;
    session->hello.protocol = EI_PROTOCOL_VERSION;
    memcpy(session->hello.name, name, sizeof name - 1);
    session->number = number;
    session->on_message = on_message;
    session->user = controller;
    ei_session_start(session, hal->time_ms(hal->board));
}

/* Checks settings as those that come over the line are checked. */
static bool valid_settings(const struct ei_settings *settings)
{
    uint8_t payload[EI_SETTINGS_SIZE];
    struct ei_settings again;
    ei_pack_settings(settings, payload);
    return ei_unpack_settings(payload, sizeof payload, &again);
}

/* Every part that is on its way is unknown from here on. */
static void sweep(struct ei_controller *controller, uint32_t distance)
{
    controller->counters.rejected += controller->count;
    controller->count = 0;
    ei_belt_reset(&controller->belt);
    ei_ejector_sweep(&controller->ejector, &controller->belt, distance + controller->settings.eject_length);
}

bool ei_controller_start(struct ei_controller *controller, const struct ei_hal *hal, uint16_t number,
                         const struct ei_settings *settings, uint32_t baud)
{
    uint32_t now = hal->time_ms(hal->board);
    bool wide = hal->encoder_bits >= 2 && hal->encoder_bits <= 32;
    memset(controller, 0, sizeof *controller);
    controller->settings = *settings;
    controller->first_id = (uint32_t)number << 16;
    controller->counters_at = now + EI_COUNTERS_MS;
    /* A BeltPosition takes 20 bytes of 10 bits on the wire. */
    controller->belt_ms = (uint32_t)16 * 200 * 1000 / baud > EI_BELT_MS ? (uint32_t)16 * 200 * 1000 / baud : EI_BELT_MS;
    controller->belt_at = controller->alarms_at = now;
    ei_belt_start(&controller->belt, wide ? hal->encoder_bits : 32, hal->encoder(hal->board));
    controller->ejector.moved_at = now;
    controller->ejector.moved_to = controller->belt.position;
    controller->trouble = valid_settings(settings) && wide ? 0 : EI_TROUBLE_SETTINGS;
    sweep(controller, settings->eject_distance);
    introduce(controller, hal, number, baud);
    return controller->trouble == 0;
}

/* A new session of the inspection is on line until it says otherwise. */
static bool said_offline(const struct ei_controller *controller)
{
    const struct ei_peer *peer = &controller->session.peer;
    return (controller->offline_session != 0 && controller->offline_session == peer->number) ||
           peer->heartbeat.state == EI_STATE_OFFLINE;
}

/* Whether the line may run: the station answers, and nothing is wrong here. */
static bool may_run(const struct ei_controller *controller)
{
    return ei_session_is_open(&controller->session) && !said_offline(controller) && controller->trouble == 0 &&
           controller->late_streak < EI_STREAK && controller->foreign_streak < EI_STREAK;
}

bool ei_controller_healthy(const struct ei_controller *controller)
{
    return may_run(controller) && !controller->ejector.sweeping;
}

/* Whether the places of the parts mean nothing, so that everything is ejected. */
static bool is_lost(const struct ei_controller *controller)
{
    return (controller->trouble & (EI_TROUBLE_ENCODER | EI_TROUBLE_QUEUE | EI_TROUBLE_SETTINGS)) != 0;
}

static void send_fault(struct ei_controller *controller, uint8_t code, uint32_t part_id, const char *text, uint32_t now)
{
    uint8_t payload[EI_FAULT_SIZE];
    struct ei_fault fault = {code, part_id, {0}};
    for (size_t i = 0; text[i] != 0 && i < sizeof fault.text; i++) {
        fault.text[i] = (uint8_t)text[i];
    }
    ei_pack_fault(&fault, payload);
    ei_session_send(&controller->session, EI_KIND_FAULT, payload, sizeof payload, now);
}

/* Holds a trouble until the reset, and tells the station of its beginning. */
static void set_trouble(struct ei_controller *controller, uint8_t trouble, uint8_t code, uint32_t part_id,
                        const char *text, uint32_t now)
{
    if ((controller->trouble & trouble) == 0) {
        controller->trouble |= trouble;
        send_fault(controller, code, part_id, text, now);
    }
}

static struct ei_part *part_at(struct ei_controller *controller, uint8_t place)
{
    return &controller->queue[(controller->first + place) % EI_QUEUE];
}

static struct ei_part *find(struct ei_controller *controller, uint32_t id)
{
    for (uint8_t i = 0; i < controller->count; i++) {
        if (part_at(controller, i)->id == id) {
            return part_at(controller, i);
        }
    }
    return NULL;
}

static void on_result(struct ei_controller *controller, const struct ei_result *result)
{
    struct ei_part *part = find(controller, result->part_id);
    bool gone = part == NULL && result->part_id - controller->first_id < controller->issued;
    if (gone || (part != NULL && part->overdue && part->encoder == result->encoder)) {
        controller->counters.late++;
    } else if (part == NULL || part->encoder != result->encoder) {
        controller->foreign++;
        count_streak(&controller->foreign_streak);
    } else if (part->verdict == EI_VERDICT_NONE) {
        bool as_asked = part->recipe == 0 || part->recipe == result->recipe;
        part->verdict = as_asked ? result->verdict : EI_VERDICT_FAULT;
        controller->late_streak = controller->foreign_streak = 0;
    }
}

/* Takes settings that are valid; another distance makes the places of all parts on their way unknown. */
static void take_settings(struct ei_controller *controller, const struct ei_settings *settings)
{
    uint32_t before = controller->settings.eject_distance;
    bool new_distance = settings->eject_distance != before || (controller->trouble & EI_TROUBLE_SETTINGS) != 0;
    controller->settings = *settings;
    controller->settings_session = 0;
    if (controller->belt.mask == encoder_mask(controller->session.hal)) {
        controller->trouble &= (uint8_t)~EI_TROUBLE_SETTINGS;
    }
    if (new_distance) {
        sweep(controller, settings->eject_distance > before ? settings->eject_distance : before);
    }
}

static void on_message(void *user, uint8_t kind, const uint8_t *payload, size_t size)
{
    struct ei_controller *controller = user;
    struct ei_result result;
    struct ei_settings settings;
    struct ei_active_alarms alarms;
    if (kind == EI_KIND_RESULT && ei_unpack_result(payload, size, &result)) {
        on_result(controller, &result);
    } else if (kind == EI_KIND_SETTINGS && ei_unpack_settings(payload, size, &settings)) {
        take_settings(controller, &settings);
    } else if (kind == EI_KIND_ACTIVE_ALARMS && ei_unpack_active_alarms(payload, size, &alarms)) {
        controller->alarms = alarms.active;
    } else if (kind == EI_KIND_OFFLINE) {
        controller->offline_session = controller->session.peer.number;
    }
}

static void enqueue(struct ei_controller *controller, uint32_t id, uint32_t now)
{
    if (controller->count == EI_QUEUE) {
        controller->counters.rejected++;
        set_trouble(controller, EI_TROUBLE_QUEUE, EI_FAULT_CODE_BELT, id, "more parts than the queue holds", now);
        return;
    }
    struct ei_part part = {id, controller->belt.position, now, controller->recipe, EI_VERDICT_NONE, false};
    *part_at(controller, controller->count++) = part;
}

static void trigger(struct ei_controller *controller, uint32_t now)
{
    uint32_t id = controller->first_id + controller->issued++;
    controller->counters.triggered++;
    if (!ei_belt_part(&controller->belt, controller->settings.least_travel)) {
        set_trouble(controller, EI_TROUBLE_ENCODER, EI_FAULT_CODE_BELT, id, "encoder: no counts between parts", now);
    }
    enqueue(controller, id, now);
    uint8_t payload[EI_TRIGGER_SIZE];
    struct ei_trigger message = {id, controller->belt.position, 0, controller->recipe, 0};
    ei_pack_trigger(&message, payload);
    ei_session_send(&controller->session, EI_KIND_TRIGGER, payload, sizeof payload, now);
}

static void overdue(struct ei_controller *controller, struct ei_part *part)
{
    part->overdue = true;
    controller->counters.unanswered++;
    count_streak(&controller->late_streak);
}

static void watch_deadlines(struct ei_controller *controller, uint32_t now)
{
    for (uint8_t i = 0; i < controller->count; i++) {
        struct ei_part *part = part_at(controller, i);
        if (part->verdict == EI_VERDICT_NONE && !part->overdue &&
            now - part->triggered_ms >= controller->settings.deadline_ms) {
            overdue(controller, part);
        }
    }
}

static void eject(struct ei_controller *controller, const struct ei_part *part, uint32_t now)
{
    const struct ei_belt *belt = &controller->belt;
    if (ei_belt_reached(belt, part->encoder + controller->settings.eject_distance + controller->settings.eject_length)) {
        set_trouble(controller, EI_TROUBLE_ENCODER, EI_FAULT_CODE_BELT, part->id, "encoder: jumped past a part", now);
    }
    if (!ei_ejector_fire(&controller->ejector, belt, &controller->settings, part->id)) {
        set_trouble(controller, EI_TROUBLE_EJECTOR, EI_FAULT_CODE_OUTPUT, part->id, "eject not confirmed", now);
    }
}

static void decide(struct ei_controller *controller, uint32_t now)
{
    struct ei_part *part = part_at(controller, 0);
    if (part->verdict == EI_VERDICT_NONE && !part->overdue) {
        overdue(controller, part); /* at the ejector before its deadline: the belt is faster than thought */
    }
    bool passes = part->verdict == EI_VERDICT_OK && !part->overdue && ei_controller_healthy(controller);
    if (passes) {
        controller->counters.passed++;
    } else {
        controller->counters.rejected++;
        eject(controller, part, now);
    }
    if (controller->on_decided != NULL) {
        controller->on_decided(controller->user, part, passes);
    }
    controller->first = (uint8_t)((controller->first + 1) % EI_QUEUE);
    controller->count--;
}

static void watch_ejector(struct ei_controller *controller, uint32_t now)
{
    uint32_t part_id = 0;
    while (controller->count > 0 &&
           ei_belt_reached(&controller->belt, part_at(controller, 0)->encoder + controller->settings.eject_distance)) {
        decide(controller, now);
    }
    uint8_t missing = ei_ejector_watch(&controller->ejector, &controller->belt, &controller->settings, now, &part_id);
    if (missing > 0) {
        controller->counters.unconfirmed += missing;
        controller->trouble |= EI_TROUBLE_EJECTOR;
        send_fault(controller, EI_FAULT_CODE_OUTPUT, part_id, "eject not confirmed", now);
    }
}

static void reset(struct ei_controller *controller)
{
    if (is_lost(controller)) {
        sweep(controller, controller->settings.eject_distance);
    }
    controller->trouble &= EI_TROUBLE_SETTINGS;
    controller->late_streak = controller->foreign_streak = 0;
}

static void take_inputs(struct ei_controller *controller, uint8_t inputs, uint32_t now)
{
    uint8_t rising = (uint8_t)(inputs & ~controller->inputs);
    controller->inputs = inputs;
    if (rising & EI_INPUT_PART) {
        trigger(controller, now);
    }
    if (rising & EI_INPUT_EJECTED) {
        controller->arrived++;
        ei_ejector_confirm(&controller->ejector);
    }
    if (rising & EI_INPUT_RESET) {
        reset(controller);
    }
}

static void talk(struct ei_controller *controller, uint32_t now)
{
    uint8_t bytes[64];
    const struct ei_hal *hal = controller->session.hal;
    size_t size = hal->read(hal->board, bytes, sizeof bytes);
    ei_session_receive(&controller->session, bytes, size, now);
    ei_session_tick(&controller->session, now);
}

static void report_counters(struct ei_controller *controller, uint32_t now)
{
    if ((int32_t)(now - controller->counters_at) < 0) {
        return;
    }
    uint8_t payload[EI_COUNTERS_SIZE];
    controller->counters_at = now + EI_COUNTERS_MS;
    controller->counters.frame_errors = controller->session.decoder.damaged + controller->session.malformed;
    ei_pack_counters(&controller->counters, payload);
    ei_session_send(&controller->session, EI_KIND_COUNTERS, payload, sizeof payload, now);
}

/* Tells each session of the station which settings are in force, so that both can compare their deadlines. */
static void report_settings(struct ei_controller *controller, uint32_t now)
{
    uint16_t peer = controller->session.peer.number;
    if (!ei_session_is_open(&controller->session) || controller->settings_session == peer ||
        (controller->trouble & EI_TROUBLE_SETTINGS) != 0) {
        return;
    }
    uint8_t payload[EI_SETTINGS_SIZE];
    controller->settings_session = peer;
    ei_pack_settings(&controller->settings, payload);
    ei_session_send(&controller->session, EI_KIND_SETTINGS, payload, sizeof payload, now);
}

static void report_belt(struct ei_controller *controller, uint32_t now)
{
    if (!ei_session_is_open(&controller->session)) {
        controller->belt_at = now; /* else the comparison of the two turns around after 24 days without a station */
    } else if ((int32_t)(now - controller->belt_at) >= 0) {
        uint8_t payload[EI_BELT_POSITION_SIZE];
        struct ei_belt_position belt = {controller->belt.position, controller->arrived};
        controller->belt_at = now + controller->belt_ms;
        ei_pack_belt_position(&belt, payload);
        ei_session_tell(&controller->session, EI_KIND_BELT_POSITION, payload, sizeof payload, now);
    }
}

static void report_alarms(struct ei_controller *controller, uint32_t now)
{
    uint16_t alarms = 0;
    alarms |= controller->trouble & (EI_TROUBLE_ENCODER | EI_TROUBLE_QUEUE) ? 1u << EI_FAULT_CODE_BELT : 0;
    alarms |= controller->trouble & EI_TROUBLE_EJECTOR ? 1u << EI_FAULT_CODE_OUTPUT : 0;
    alarms |= controller->trouble & EI_TROUBLE_SETTINGS ? 1u : 0;
    if (!ei_session_is_open(&controller->session)) {
        controller->alarms_at = now;
    } else if (alarms != controller->alarms_told || (int32_t)(now - controller->alarms_at) >= 0) {
        uint8_t payload[EI_ACTIVE_ALARMS_SIZE];
        struct ei_active_alarms message = {alarms};
        controller->alarms_told = alarms;
        controller->alarms_at = now + EI_ALARMS_MS;
        ei_pack_active_alarms(&message, payload);
        ei_session_tell(&controller->session, EI_KIND_ACTIVE_ALARMS, payload, sizeof payload, now);
    }
}

static void set_outputs(const struct ei_controller *controller)
{
    const struct ei_hal *hal = controller->session.hal;
    bool healthy = ei_controller_healthy(controller);
    bool run = may_run(controller) || controller->settings.on_silence == EI_ON_SILENCE_REJECT_ALL;
    uint8_t bits = 0;
    bits |= is_lost(controller) || ei_ejector_open(&controller->ejector) ? EI_OUTPUT_EJECT : 0;
    bits |= run && (controller->trouble & EI_TROUBLE_SETTINGS) == 0 ? EI_OUTPUT_RUN : 0;
    bits |= healthy ? EI_OUTPUT_HEALTHY : 0;
    bool shadow = (controller->session.peer.heartbeat.flags & EI_SHADOW) != 0;
    bits |= healthy && (controller->alarms != 0 || shadow) ? EI_OUTPUT_ALARM : 0;
    hal->outputs(hal->board, bits);
}

static void read_belt(struct ei_controller *controller, uint32_t now)
{
    const struct ei_hal *hal = controller->session.hal;
    if (!ei_belt_read(&controller->belt, hal->encoder(hal->board), controller->settings.eject_length)) {
        set_trouble(controller, EI_TROUBLE_ENCODER, EI_FAULT_CODE_BELT, 0, "encoder: the belt runs back", now);
    }
}

void ei_controller_poll(struct ei_controller *controller, uint8_t inputs)
{
    const struct ei_hal *hal = controller->session.hal;
    uint32_t now = hal->time_ms(hal->board);
    read_belt(controller, now);
    talk(controller, now);
    take_inputs(controller, inputs, now);
    watch_deadlines(controller, now);
    watch_ejector(controller, now);
    report_settings(controller, now);
    report_counters(controller, now);
    report_belt(controller, now);
    report_alarms(controller, now);
    set_outputs(controller);
}

void ei_controller_changeover(struct ei_controller *controller, uint16_t recipe)
{
    uint8_t payload[EI_CHANGEOVER_SIZE];
    struct ei_changeover message = {recipe, {0}};
    controller->recipe = recipe;
    const struct ei_hal *hal = controller->session.hal;
    ei_pack_changeover(&message, payload);
    ei_session_send(&controller->session, EI_KIND_CHANGEOVER, payload, sizeof payload, hal->time_ms(hal->board));
}
