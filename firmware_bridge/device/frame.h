/* SPDX-License-Identifier: Apache-2.0 */
/* Frames on a byte stream: zero, COBS of (body + CRC-32), zero. See PROTOCOL.md, "Frame". */
#ifndef EI_FRAME_H
#define EI_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message.h"

enum {
    EI_CRC_SIZE = 4,
    EI_MAX_STUFFED = EI_MAX_BODY + EI_CRC_SIZE + 1,
    EI_MAX_FRAME = EI_MAX_STUFFED + 2,
};

struct ei_decoder {
    uint8_t text[EI_MAX_STUFFED];
    size_t size; /* EI_MAX_STUFFED + 1: longer than any frame */
    uint32_t good;
    uint32_t damaged;
};

/* Takes one byte; gives the size of the body that it completes, in `text`, or 0. The body lasts until the next call. */
size_t ei_decode_byte(struct ei_decoder *decoder, uint8_t byte);

/* Writes the frame of a body of 1 to EI_MAX_BODY bytes to `out` (EI_MAX_FRAME bytes); gives its size. */
size_t ei_encode_frame(const uint8_t *body, size_t size, uint8_t *out);

uint32_t ei_crc32(const uint8_t *bytes, size_t size);

#endif
