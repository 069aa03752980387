#include "controller.h"

#include <string.h>

/* Whether the belt at `encoder` has reached `position`; right within half a revolution of the 32-bit count. */
static bool passed_by(uint32_t encoder, uint32_t position)
{
    return (int32_t)(encoder - position) >= 0;
}

static void count_streak(uint8_t *streak)
{
    if (*streak < EI_STREAK) {
        (*streak)++;
    }
}

static void on_message(void *user, uint8_t kind, const uint8_t *payload, size_t size);

static struct ei_timing timing_for(uint32_t baud)
{
    /* A full window of Results with the Acks of as many Triggers, 57 bytes of 10 bits each, and 20 ms to spare. */
    uint32_t retry = 20 + EI_WINDOW * 57 * 10 * 1000 / baud;
    struct ei_timing timing = {250, retry > 250 ? 4 * retry : 1000, retry, retry > 125 ? 8 * retry : 1000};
    return timing;
}

void ei_controller_start(struct ei_controller *controller, const struct ei_hal *hal, uint16_t number,
                         const struct ei_settings *settings, uint32_t baud)
{
    static const char name[] = "controller";
    uint32_t now = hal->time_ms(hal->board);
    memset(controller, 0, sizeof *controller);
    controller->settings = *settings;
    controller->first_id = (uint32_t)number << 16;
    controller->counters_at = now + EI_COUNTERS_MS;
    /* A Belt takes 20 bytes of 10 bits on the wire. */
    controller->belt_ms = 16 * 200 * 1000 / baud > EI_BELT_MS ? 16 * 200 * 1000 / baud : EI_BELT_MS;
    controller->belt_at = now;
    struct ei_session *session = &controller->session;
    session->hal = hal;
    session->timing = timing_for(baud);
    session->hello.role = EI_ROLE_PLC;
    session->hello.protocol = EI_PROTOCOL_VERSION;
    memcpy(session->hello.name, name, sizeof name - 1);
    session->number = number;
    session->on_message = on_message;
    session->user = controller;
    ei_session_start(session, now);
}

/* A new session of the inspection is on line until it says otherwise. */
static bool said_offline(const struct ei_controller *controller)
{
    return controller->offline_session != 0 && controller->offline_session == controller->session.peer.number;
}

bool ei_controller_healthy(const struct ei_controller *controller)
{
    return ei_session_is_open(&controller->session) && !said_offline(controller) && !controller->unconfirmed &&
           controller->late_streak < EI_STREAK && controller->foreign_streak < EI_STREAK;
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
        part->verdict = result->verdict;
        controller->late_streak = controller->foreign_streak = 0;
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
        controller->settings = settings;
    } else if (kind == EI_KIND_ACTIVE_ALARMS && ei_unpack_active_alarms(payload, size, &alarms)) {
        controller->alarms = alarms.active;
    } else if (kind == EI_KIND_OFFLINE) {
        controller->offline_session = controller->session.peer.number;
    }
}

static void trigger(struct ei_controller *controller, uint32_t now, uint32_t encoder)
{
    uint32_t id = controller->first_id + controller->issued++;
    controller->counters.triggered++;
    if (controller->count == EI_QUEUE) {
        /* The newest entry stands for this part as well, and whatever its verdict, both are ejected. */
        struct ei_part *newest = part_at(controller, EI_QUEUE - 1);
        newest->crowd = true;
        newest->last_encoder = encoder;
        controller->counters.rejected++;
        return;
    }
    struct ei_part part = {id, encoder, now, encoder, EI_VERDICT_NONE, false, false};
    *part_at(controller, controller->count++) = part;
    uint8_t payload[EI_TRIGGER_SIZE];
    struct ei_trigger message = {id, encoder, 0};
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

static void eject(struct ei_controller *controller, const struct ei_part *part, uint32_t encoder)
{
    controller->ejecting = true;
    controller->eject_until = encoder + (part->last_encoder - part->encoder) + controller->settings.eject_length;
    controller->ejected_id = part->id;
    if (controller->settings.confirm_within > 0) {
        controller->to_confirm++;
        controller->confirm_by = encoder + controller->settings.confirm_within;
    }
}

static void decide(struct ei_controller *controller, uint32_t encoder)
{
    struct ei_part *part = part_at(controller, 0);
    if (part->verdict == EI_VERDICT_NONE && !part->overdue) {
        overdue(controller, part); /* at the ejector before its deadline: the belt is faster than thought */
    }
    bool passes = part->verdict == EI_VERDICT_OK && !part->overdue && !part->crowd && ei_controller_healthy(controller);
    if (passes) {
        controller->counters.passed++;
    } else {
        controller->counters.rejected++;
        eject(controller, part, encoder);
    }
    if (controller->on_decided != NULL) {
        controller->on_decided(controller->user, part, passes);
    }
    controller->first = (uint8_t)((controller->first + 1) % EI_QUEUE);
    controller->count--;
}

static void report_unconfirmed(struct ei_controller *controller, uint32_t now)
{
    static const char text[] = "eject not confirmed";
    uint8_t payload[EI_FAULT_SIZE];
    struct ei_fault fault = {EI_FAULT_CODE_OUTPUT, controller->ejected_id, {0}};
    memcpy(fault.text, text, sizeof text - 1);
    ei_pack_fault(&fault, payload);
    controller->counters.unconfirmed += controller->to_confirm;
    controller->to_confirm = 0;
    controller->unconfirmed = true;
    ei_session_send(&controller->session, EI_KIND_FAULT, payload, sizeof payload, now);
}

static void watch_ejector(struct ei_controller *controller, uint32_t now, uint32_t encoder)
{
    while (controller->count > 0 &&
           passed_by(encoder, part_at(controller, 0)->encoder + controller->settings.eject_distance)) {
        decide(controller, encoder);
    }
    if (controller->ejecting && passed_by(encoder, controller->eject_until)) {
        controller->ejecting = false;
    }
    if (controller->to_confirm > 0 && passed_by(encoder, controller->confirm_by)) {
        report_unconfirmed(controller, now);
    }
}

static void take_inputs(struct ei_controller *controller, uint8_t inputs, uint32_t now, uint32_t encoder)
{
    uint8_t rising = (uint8_t)(inputs & ~controller->inputs);
    controller->inputs = inputs;
    if (rising & EI_INPUT_PART) {
        trigger(controller, now, encoder);
    }
    if (rising & EI_INPUT_EJECTED) {
        controller->arrived++;
        if (controller->to_confirm > 0) {
            controller->to_confirm--;
        }
    }
    if (rising & EI_INPUT_RESET) {
        controller->unconfirmed = false;
        controller->late_streak = controller->foreign_streak = 0;
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

static void report_belt(struct ei_controller *controller, uint32_t now, uint32_t encoder)
{
    if (!ei_session_is_open(&controller->session) || (int32_t)(now - controller->belt_at) < 0) {
        return;
    }
    uint8_t payload[EI_BELT_POSITION_SIZE];
    struct ei_belt_position belt = {encoder, controller->arrived};
    controller->belt_at = now + controller->belt_ms;
    ei_pack_belt_position(&belt, payload);
    ei_session_tell(&controller->session, EI_KIND_BELT_POSITION, payload, sizeof payload, now);
}

static void set_outputs(const struct ei_controller *controller)
{
    const struct ei_hal *hal = controller->session.hal;
    bool healthy = ei_controller_healthy(controller);
    uint8_t bits = 0;
    bits |= controller->ejecting ? EI_OUTPUT_EJECT : 0;
    bits |= healthy || controller->settings.on_silence == EI_ON_SILENCE_REJECT_ALL ? EI_OUTPUT_RUN : 0;
    bits |= healthy ? EI_OUTPUT_HEALTHY : 0;
    bits |= healthy && controller->alarms != 0 ? EI_OUTPUT_ALARM : 0;
    hal->outputs(hal->board, bits);
}

void ei_controller_poll(struct ei_controller *controller, uint8_t inputs)
{
    const struct ei_hal *hal = controller->session.hal;
    uint32_t now = hal->time_ms(hal->board), encoder = hal->encoder(hal->board);
    talk(controller, now);
    take_inputs(controller, inputs, now, encoder);
    watch_deadlines(controller, now);
    watch_ejector(controller, now, encoder);
    report_counters(controller, now);
    report_belt(controller, now, encoder);
    set_outputs(controller);
}

void ei_controller_changeover(struct ei_controller *controller, uint16_t recipe)
{
    uint8_t payload[EI_CHANGEOVER_SIZE];
    struct ei_changeover message = {recipe, {0}};
    const struct ei_hal *hal = controller->session.hal;
    ei_pack_changeover(&message, payload);
    ei_session_send(&controller->session, EI_KIND_CHANGEOVER, payload, sizeof payload, hal->time_ms(hal->board));
}
