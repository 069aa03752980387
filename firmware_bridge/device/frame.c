/* SPDX-License-Identifier: Apache-2.0 */
#include "frame.h"

#include <string.h>

#include "bytes.h"

/* CRC-32 of IEEE 802.3, four bits at a time: 64 bytes of table instead of 1024. */
uint32_t ei_crc32(const uint8_t *bytes, size_t size)
{
    static const uint32_t table[16] = {
        0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
        0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C,
    };
    uint32_t crc = 0xFFFFFFFF;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return crc ^ 0xFFFFFFFF;
}

static size_t stuff(const uint8_t *in, size_t size, uint8_t *out)
{
    size_t code_at = 0, end = 1;
    for (size_t i = 0; i < size; i++) {
        if (in[i] == 0) {
            out[code_at] = (uint8_t)(end - code_at);
            code_at = end++;
        } else {
            out[end++] = in[i];
        }
    }
    out[code_at] = (uint8_t)(end - code_at); /* never above 133, so COBS's special code 255 does not occur */
    return end;
}

/* In place; gives 0 for a text that `stuff` cannot have made. */
static size_t unstuff(uint8_t *text, size_t size)
{
    size_t in = 0, out = 0;
    while (in < size) {
        size_t code = text[in++];
        if (code == 0 || code - 1 > size - in) {
            return 0;
        }
        memmove(text + out, text + in, code - 1);
        out += code - 1;
        in += code - 1;
        if (in < size) {
            text[out++] = 0;
        }
    }
    return out;
}

static size_t end_of_frame(struct ei_decoder *decoder)
{
    if (decoder->size > EI_MAX_STUFFED) {
        return 0;
    }
    size_t size = unstuff(decoder->text, decoder->size);
    if (size <= EI_CRC_SIZE) {
        return 0;
    }
    size -= EI_CRC_SIZE;
    return ei_crc32(decoder->text, size) == ei_get_u32(decoder->text + size) ? size : 0;
}

size_t ei_decode_byte(struct ei_decoder *decoder, uint8_t byte)
{
    if (byte != 0) {
        if (decoder->size < EI_MAX_STUFFED) {
            decoder->text[decoder->size++] = byte;
        } else {
            decoder->size = EI_MAX_STUFFED + 1;
        }
        return 0;
    }
    if (decoder->size == 0) {
        return 0;
    }
    size_t size = end_of_frame(decoder);
    decoder->size = 0;
    decoder->good += size > 0;
    decoder->damaged += size == 0;
    return size;
}

size_t ei_encode_frame(const uint8_t *body, size_t size, uint8_t *out)
{
    uint8_t checked[EI_MAX_BODY + EI_CRC_SIZE];
    memcpy(checked, body, size);
    ei_put_u32(checked + size, ei_crc32(body, size));
    out[0] = 0;
    size_t stuffed = stuff(checked, size + EI_CRC_SIZE, out + 1);
    out[1 + stuffed] = 0;
    return stuffed + 2;
}
