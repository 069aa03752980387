/* SPDX-License-Identifier: Apache-2.0 */
/* Little-endian numbers in byte buffers, whatever the processor's own order. */
#ifndef EI_BYTES_H
#define EI_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline void ei_put_u16(uint8_t *out, uint16_t value)
{
    out[0] = (uint8_t)value;
    out[1] = (uint8_t)(value >> 8);
}

static inline void ei_put_u32(uint8_t *out, uint32_t value)
{
    ei_put_u16(out, (uint16_t)value);
    ei_put_u16(out + 2, (uint16_t)(value >> 16));
}

static inline uint16_t ei_get_u16(const uint8_t *in)
{
    return (uint16_t)(in[0] | (uint16_t)in[1] << 8);
}

static inline uint32_t ei_get_u32(const uint8_t *in)
{
    return ei_get_u16(in) | (uint32_t)ei_get_u16(in + 2) << 16;
}

/* Whether the field holds printable ASCII, then nothing but NUL. */
static inline bool ei_is_text(const uint8_t *field, size_t size)
{
    while (size > 0 && field[size - 1] == 0) {
        size--;
    }
    for (size_t i = 0; i < size; i++) {
        if (field[i] < 0x20 || field[i] > 0x7E) {
            return false;
        }
    }
    return true;
}

#endif
