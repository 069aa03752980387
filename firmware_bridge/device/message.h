/* SPDX-License-Identifier: Apache-2.0 */
/* Written by `python -m firmware_bridge.generate` from firmware_bridge/messages.py; change it there. */

#ifndef EI_MESSAGE_H
#define EI_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    EI_PROTOCOL_VERSION = 3,
    EI_MAX_BODY = 128,
    EI_MAX_RELIABLE = 37,
    EI_AGE_LIMIT_MS = 65535,
    EI_AGE_UNKNOWN = 1,
    EI_SHADOW = 1,
};

enum {
    EI_HEADER_SIZE = 7,
    EI_HELLO_SIZE = 66,
    EI_HEARTBEAT_SIZE = 4,
    EI_TRIGGER_SIZE = 13,
    EI_RESULT_SIZE = 36,
    EI_FAULT_SIZE = 37,
    EI_CHANGEOVER_SIZE = 34,
    EI_SETTINGS_SIZE = 21,
    EI_COUNTERS_SIZE = 28,
    EI_OFFLINE_SIZE = 32,
    EI_BELT_POSITION_SIZE = 6,
    EI_ACTIVE_ALARMS_SIZE = 2,
};

enum {
    EI_KIND_HELLO = 1,
    EI_KIND_ACK = 2,
    EI_KIND_HEARTBEAT = 3,
    EI_KIND_TRIGGER = 4,
    EI_KIND_RESULT = 5,
    EI_KIND_FAULT = 6,
    EI_KIND_CHANGEOVER = 7,
    EI_KIND_SETTINGS = 8,
    EI_KIND_COUNTERS = 9,
    EI_KIND_OFFLINE = 10,
    EI_KIND_BELT_POSITION = 11,
    EI_KIND_ACTIVE_ALARMS = 12,
};

enum {
    EI_VERDICT_NONE = 0,
    EI_VERDICT_OK = 1,
    EI_VERDICT_NG = 2,
    EI_VERDICT_UNSURE = 3,
    EI_VERDICT_TIMEOUT = 4,
    EI_VERDICT_FAULT = 5,
};

enum {
    EI_ROLE_EDGE = 1,
    EI_ROLE_PLC = 2,
};

enum {
    EI_STATE_RUNNING = 1,
    EI_STATE_OFFLINE = 2,
};

enum {
    EI_FAULT_CODE_CAMERA = 1,
    EI_FAULT_CODE_ENGINE = 2,
    EI_FAULT_CODE_BUNDLE = 3,
    EI_FAULT_CODE_DISK = 4,
    EI_FAULT_CODE_LINK = 5,
    EI_FAULT_CODE_OUTPUT = 6,
    EI_FAULT_CODE_DRIFT = 7,
    EI_FAULT_CODE_BELT = 8,
    EI_FAULT_CODE_OTHER = 255,
};

enum {
    EI_ON_SILENCE_REJECT_ALL = 0,
    EI_ON_SILENCE_STOP_LINE = 1,
};

struct ei_header {
    uint8_t kind;
    uint16_t sender;
    uint16_t receiver;
    uint16_t sequence;
};
void ei_pack_header(const struct ei_header *message, uint8_t *out);
bool ei_unpack_header(const uint8_t *in, size_t size, struct ei_header *message);

struct ei_hello {
    uint8_t role;
    uint8_t name[16];
    uint8_t software[16];
    uint8_t bundle_id[32];
    uint8_t protocol;
};
void ei_pack_hello(const struct ei_hello *message, uint8_t *out);
bool ei_unpack_hello(const uint8_t *in, size_t size, struct ei_hello *message);

struct ei_heartbeat {
    uint8_t state;
    uint16_t count;
    uint8_t flags;
};
void ei_pack_heartbeat(const struct ei_heartbeat *message, uint8_t *out);
bool ei_unpack_heartbeat(const uint8_t *in, size_t size, struct ei_heartbeat *message);

struct ei_trigger {
    uint32_t part_id;
    uint32_t encoder;
    uint16_t age_ms;
    uint16_t recipe;
    uint8_t flags;
};
void ei_pack_trigger(const struct ei_trigger *message, uint8_t *out);
bool ei_unpack_trigger(const uint8_t *in, size_t size, struct ei_trigger *message);

struct ei_result {
    uint32_t part_id;
    uint32_t encoder;
    uint8_t verdict;
    uint8_t class_index;
    uint16_t score;
    uint32_t area_px;
    uint16_t box[4];
    uint32_t latency_us;
    uint16_t recipe;
    uint8_t bundle[4];
    uint8_t flags;
};
void ei_pack_result(const struct ei_result *message, uint8_t *out);
bool ei_unpack_result(const uint8_t *in, size_t size, struct ei_result *message);

struct ei_fault {
    uint8_t code;
    uint32_t part_id;
    uint8_t text[32];
};
void ei_pack_fault(const struct ei_fault *message, uint8_t *out);
bool ei_unpack_fault(const uint8_t *in, size_t size, struct ei_fault *message);

struct ei_changeover {
    uint16_t recipe;
    uint8_t bundle_id[32];
};
void ei_pack_changeover(const struct ei_changeover *message, uint8_t *out);
bool ei_unpack_changeover(const uint8_t *in, size_t size, struct ei_changeover *message);

struct ei_settings {
    uint32_t eject_distance;
    uint32_t eject_length;
    uint32_t confirm_within;
    uint16_t deadline_ms;
    uint8_t on_silence;
    uint32_t least_travel;
    uint16_t longest_on_ms;
};
void ei_pack_settings(const struct ei_settings *message, uint8_t *out);
bool ei_unpack_settings(const uint8_t *in, size_t size, struct ei_settings *message);

struct ei_counters {
    uint32_t triggered;
    uint32_t passed;
    uint32_t rejected;
    uint32_t unanswered;
    uint32_t late;
    uint32_t unconfirmed;
    uint32_t frame_errors;
};
void ei_pack_counters(const struct ei_counters *message, uint8_t *out);
bool ei_unpack_counters(const uint8_t *in, size_t size, struct ei_counters *message);

struct ei_offline {
    uint8_t reason[32];
};
void ei_pack_offline(const struct ei_offline *message, uint8_t *out);
bool ei_unpack_offline(const uint8_t *in, size_t size, struct ei_offline *message);

struct ei_belt_position {
    uint32_t encoder;
    uint16_t arrived;
};
void ei_pack_belt_position(const struct ei_belt_position *message, uint8_t *out);
bool ei_unpack_belt_position(const uint8_t *in, size_t size, struct ei_belt_position *message);

struct ei_active_alarms {
    uint16_t active;
};
void ei_pack_active_alarms(const struct ei_active_alarms *message, uint8_t *out);
bool ei_unpack_active_alarms(const uint8_t *in, size_t size, struct ei_active_alarms *message);

/* Whether the payload is a message of this kind. */
bool ei_is_valid(uint8_t kind, const uint8_t *in, size_t size);

/* Reads a payload and writes it again; what is invalid gives false. For tests. */
bool ei_repack(uint8_t kind, const uint8_t *in, size_t size, uint8_t *out);

#endif
