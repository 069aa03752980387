/* SPDX-License-Identifier: Apache-2.0 */
/* Written by `python -m firmware_bridge.generate` from firmware_bridge/messages.py; change it there. */

#include "message.h"

#include <string.h>

#include "bytes.h"

void ei_pack_header(const struct ei_header *message, uint8_t *out)
{
    out[0] = message->kind;
    ei_put_u16(out + 1, message->sender);
    ei_put_u16(out + 3, message->receiver);
    ei_put_u16(out + 5, message->sequence);
}

bool ei_unpack_header(const uint8_t *in, size_t size, struct ei_header *message)
{
    if (size != EI_HEADER_SIZE) {
        return false;
    }
    message->kind = in[0];
    message->sender = ei_get_u16(in + 1);
    message->receiver = ei_get_u16(in + 3);
    message->sequence = ei_get_u16(in + 5);
    return true;
}

void ei_pack_hello(const struct ei_hello *message, uint8_t *out)
{
    out[0] = message->role;
    memcpy(out + 1, message->name, 16);
    memcpy(out + 17, message->software, 16);
    memcpy(out + 33, message->bundle_id, 32);
    out[65] = message->protocol;
}

bool ei_unpack_hello(const uint8_t *in, size_t size, struct ei_hello *message)
{
    if (size != EI_HELLO_SIZE) {
        return false;
    }
    message->role = in[0];
    if (!(message->role == 1 || message->role == 2)) {
        return false;
    }
    memcpy(message->name, in + 1, 16);
    if (!(ei_is_text(message->name, 16))) {
        return false;
    }
    memcpy(message->software, in + 17, 16);
    if (!(ei_is_text(message->software, 16))) {
        return false;
    }
    memcpy(message->bundle_id, in + 33, 32);
    message->protocol = in[65];
    return true;
}

void ei_pack_heartbeat(const struct ei_heartbeat *message, uint8_t *out)
{
    out[0] = message->state;
    ei_put_u16(out + 1, message->count);
    out[3] = message->flags;
}

bool ei_unpack_heartbeat(const uint8_t *in, size_t size, struct ei_heartbeat *message)
{
    if (size != EI_HEARTBEAT_SIZE) {
        return false;
    }
    message->state = in[0];
    if (!(message->state == 1 || message->state == 2)) {
        return false;
    }
    message->count = ei_get_u16(in + 1);
    message->flags = in[3];
    return true;
}

void ei_pack_trigger(const struct ei_trigger *message, uint8_t *out)
{
    ei_put_u32(out + 0, message->part_id);
    ei_put_u32(out + 4, message->encoder);
    ei_put_u16(out + 8, message->age_ms);
    ei_put_u16(out + 10, message->recipe);
    out[12] = message->flags;
}

bool ei_unpack_trigger(const uint8_t *in, size_t size, struct ei_trigger *message)
{
    if (size != EI_TRIGGER_SIZE) {
        return false;
    }
    message->part_id = ei_get_u32(in + 0);
    message->encoder = ei_get_u32(in + 4);
    message->age_ms = ei_get_u16(in + 8);
    message->recipe = ei_get_u16(in + 10);
    message->flags = in[12];
    return true;
}

void ei_pack_result(const struct ei_result *message, uint8_t *out)
{
    ei_put_u32(out + 0, message->part_id);
    ei_put_u32(out + 4, message->encoder);
    out[8] = message->verdict;
    out[9] = (uint8_t)(0xFF ^ message->verdict);
    out[10] = message->class_index;
    ei_put_u16(out + 11, message->score);
    ei_put_u32(out + 13, message->area_px);
    ei_put_u16(out + 17, message->box[0]);
    ei_put_u16(out + 19, message->box[1]);
    ei_put_u16(out + 21, message->box[2]);
    ei_put_u16(out + 23, message->box[3]);
    ei_put_u32(out + 25, message->latency_us);
    ei_put_u16(out + 29, message->recipe);
    memcpy(out + 31, message->bundle, 4);
    out[35] = message->flags;
}

bool ei_unpack_result(const uint8_t *in, size_t size, struct ei_result *message)
{
    if (size != EI_RESULT_SIZE) {
        return false;
    }
    message->part_id = ei_get_u32(in + 0);
    message->encoder = ei_get_u32(in + 4);
    message->verdict = in[8];
    if ((in[8] ^ in[9]) != 0xFF || !(message->verdict == 0 || message->verdict == 1 || message->verdict == 2 || message->verdict == 3 || message->verdict == 4 || message->verdict == 5)) {
        return false;
    }
    message->class_index = in[10];
    message->score = ei_get_u16(in + 11);
    if (!(message->score <= 10000)) {
        return false;
    }
    message->area_px = ei_get_u32(in + 13);
    message->box[0] = ei_get_u16(in + 17);
    message->box[1] = ei_get_u16(in + 19);
    message->box[2] = ei_get_u16(in + 21);
    message->box[3] = ei_get_u16(in + 23);
    message->latency_us = ei_get_u32(in + 25);
    message->recipe = ei_get_u16(in + 29);
    memcpy(message->bundle, in + 31, 4);
    message->flags = in[35];
    return true;
}

void ei_pack_fault(const struct ei_fault *message, uint8_t *out)
{
    out[0] = message->code;
    ei_put_u32(out + 1, message->part_id);
    memcpy(out + 5, message->text, 32);
}

bool ei_unpack_fault(const uint8_t *in, size_t size, struct ei_fault *message)
{
    if (size != EI_FAULT_SIZE) {
        return false;
    }
    message->code = in[0];
    if (!(message->code == 1 || message->code == 2 || message->code == 3 || message->code == 4 || message->code == 5 || message->code == 6 || message->code == 7 || message->code == 8 || message->code == 255)) {
        return false;
    }
    message->part_id = ei_get_u32(in + 1);
    memcpy(message->text, in + 5, 32);
    if (!(ei_is_text(message->text, 32))) {
        return false;
    }
    return true;
}

void ei_pack_changeover(const struct ei_changeover *message, uint8_t *out)
{
    ei_put_u16(out + 0, message->recipe);
    memcpy(out + 2, message->bundle_id, 32);
}

bool ei_unpack_changeover(const uint8_t *in, size_t size, struct ei_changeover *message)
{
    if (size != EI_CHANGEOVER_SIZE) {
        return false;
    }
    message->recipe = ei_get_u16(in + 0);
    memcpy(message->bundle_id, in + 2, 32);
    return true;
}

void ei_pack_settings(const struct ei_settings *message, uint8_t *out)
{
    ei_put_u32(out + 0, message->eject_distance);
    ei_put_u32(out + 4, message->eject_length);
    ei_put_u32(out + 8, message->confirm_within);
    ei_put_u16(out + 12, message->deadline_ms);
    out[14] = message->on_silence;
    ei_put_u32(out + 15, message->least_travel);
    ei_put_u16(out + 19, message->longest_on_ms);
}

bool ei_unpack_settings(const uint8_t *in, size_t size, struct ei_settings *message)
{
    if (size != EI_SETTINGS_SIZE) {
        return false;
    }
    message->eject_distance = ei_get_u32(in + 0);
    if (!(message->eject_distance >= 1 && message->eject_distance <= 1073741824)) {
        return false;
    }
    message->eject_length = ei_get_u32(in + 4);
    if (!(message->eject_length >= 1 && message->eject_length <= 1073741824)) {
        return false;
    }
    message->confirm_within = ei_get_u32(in + 8);
    if (!(message->confirm_within <= 1073741824)) {
        return false;
    }
    message->deadline_ms = ei_get_u16(in + 12);
    if (!(message->deadline_ms >= 1)) {
        return false;
    }
    message->on_silence = in[14];
    if (!(message->on_silence == 0 || message->on_silence == 1)) {
        return false;
    }
    message->least_travel = ei_get_u32(in + 15);
    if (!(message->least_travel >= 1 && message->least_travel <= 1073741824)) {
        return false;
    }
    message->longest_on_ms = ei_get_u16(in + 19);
    return true;
}

void ei_pack_counters(const struct ei_counters *message, uint8_t *out)
{
    ei_put_u32(out + 0, message->triggered);
    ei_put_u32(out + 4, message->passed);
    ei_put_u32(out + 8, message->rejected);
    ei_put_u32(out + 12, message->unanswered);
    ei_put_u32(out + 16, message->late);
    ei_put_u32(out + 20, message->unconfirmed);
    ei_put_u32(out + 24, message->frame_errors);
}

bool ei_unpack_counters(const uint8_t *in, size_t size, struct ei_counters *message)
{
    if (size != EI_COUNTERS_SIZE) {
        return false;
    }
    message->triggered = ei_get_u32(in + 0);
    message->passed = ei_get_u32(in + 4);
    message->rejected = ei_get_u32(in + 8);
    message->unanswered = ei_get_u32(in + 12);
    message->late = ei_get_u32(in + 16);
    message->unconfirmed = ei_get_u32(in + 20);
    message->frame_errors = ei_get_u32(in + 24);
    return true;
}

void ei_pack_offline(const struct ei_offline *message, uint8_t *out)
{
    memcpy(out + 0, message->reason, 32);
}

bool ei_unpack_offline(const uint8_t *in, size_t size, struct ei_offline *message)
{
    if (size != EI_OFFLINE_SIZE) {
        return false;
    }
    memcpy(message->reason, in + 0, 32);
    if (!(ei_is_text(message->reason, 32))) {
        return false;
    }
    return true;
}

void ei_pack_belt_position(const struct ei_belt_position *message, uint8_t *out)
{
    ei_put_u32(out + 0, message->encoder);
    ei_put_u16(out + 4, message->arrived);
}

bool ei_unpack_belt_position(const uint8_t *in, size_t size, struct ei_belt_position *message)
{
    if (size != EI_BELT_POSITION_SIZE) {
        return false;
    }
    message->encoder = ei_get_u32(in + 0);
    message->arrived = ei_get_u16(in + 4);
    return true;
}

void ei_pack_active_alarms(const struct ei_active_alarms *message, uint8_t *out)
{
    ei_put_u16(out + 0, message->active);
}

bool ei_unpack_active_alarms(const uint8_t *in, size_t size, struct ei_active_alarms *message)
{
    if (size != EI_ACTIVE_ALARMS_SIZE) {
        return false;
    }
    message->active = ei_get_u16(in + 0);
    return true;
}

union any_message {
    struct ei_hello hello;
    struct ei_heartbeat heartbeat;
    struct ei_trigger trigger;
    struct ei_result result;
    struct ei_fault fault;
    struct ei_changeover changeover;
    struct ei_settings settings;
    struct ei_counters counters;
    struct ei_offline offline;
    struct ei_belt_position belt_position;
    struct ei_active_alarms active_alarms;
};

bool ei_is_valid(uint8_t kind, const uint8_t *in, size_t size)
{
    union any_message any;
    switch (kind) {
    case EI_KIND_HELLO:
        return ei_unpack_hello(in, size, &any.hello);
    case EI_KIND_ACK:
        return size == 0;
    case EI_KIND_HEARTBEAT:
        return ei_unpack_heartbeat(in, size, &any.heartbeat);
    case EI_KIND_TRIGGER:
        return ei_unpack_trigger(in, size, &any.trigger);
    case EI_KIND_RESULT:
        return ei_unpack_result(in, size, &any.result);
    case EI_KIND_FAULT:
        return ei_unpack_fault(in, size, &any.fault);
    case EI_KIND_CHANGEOVER:
        return ei_unpack_changeover(in, size, &any.changeover);
    case EI_KIND_SETTINGS:
        return ei_unpack_settings(in, size, &any.settings);
    case EI_KIND_COUNTERS:
        return ei_unpack_counters(in, size, &any.counters);
    case EI_KIND_OFFLINE:
        return ei_unpack_offline(in, size, &any.offline);
    case EI_KIND_BELT_POSITION:
        return ei_unpack_belt_position(in, size, &any.belt_position);
    case EI_KIND_ACTIVE_ALARMS:
        return ei_unpack_active_alarms(in, size, &any.active_alarms);
    default:
        return false;
    }
}

bool ei_repack(uint8_t kind, const uint8_t *in, size_t size, uint8_t *out)
{
    union any_message any;
    switch (kind) {
    case EI_KIND_HELLO:
        if (!ei_unpack_hello(in, size, &any.hello)) {
            return false;
        }
        ei_pack_hello(&any.hello, out);
        return true;
    case EI_KIND_ACK:
        return size == 0;
    case EI_KIND_HEARTBEAT:
        if (!ei_unpack_heartbeat(in, size, &any.heartbeat)) {
            return false;
        }
        ei_pack_heartbeat(&any.heartbeat, out);
        return true;
    case EI_KIND_TRIGGER:
        if (!ei_unpack_trigger(in, size, &any.trigger)) {
            return false;
        }
        ei_pack_trigger(&any.trigger, out);
        return true;
    case EI_KIND_RESULT:
        if (!ei_unpack_result(in, size, &any.result)) {
            return false;
        }
        ei_pack_result(&any.result, out);
        return true;
    case EI_KIND_FAULT:
        if (!ei_unpack_fault(in, size, &any.fault)) {
            return false;
        }
        ei_pack_fault(&any.fault, out);
        return true;
    case EI_KIND_CHANGEOVER:
        if (!ei_unpack_changeover(in, size, &any.changeover)) {
            return false;
        }
        ei_pack_changeover(&any.changeover, out);
        return true;
    case EI_KIND_SETTINGS:
        if (!ei_unpack_settings(in, size, &any.settings)) {
            return false;
        }
        ei_pack_settings(&any.settings, out);
        return true;
    case EI_KIND_COUNTERS:
        if (!ei_unpack_counters(in, size, &any.counters)) {
            return false;
        }
        ei_pack_counters(&any.counters, out);
        return true;
    case EI_KIND_OFFLINE:
        if (!ei_unpack_offline(in, size, &any.offline)) {
            return false;
        }
        ei_pack_offline(&any.offline, out);
        return true;
    case EI_KIND_BELT_POSITION:
        if (!ei_unpack_belt_position(in, size, &any.belt_position)) {
            return false;
        }
        ei_pack_belt_position(&any.belt_position, out);
        return true;
    case EI_KIND_ACTIVE_ALARMS:
        if (!ei_unpack_active_alarms(in, size, &any.active_alarms)) {
            return false;
        }
        ei_pack_active_alarms(&any.active_alarms, out);
        return true;
    default:
        return false;
    }
}
