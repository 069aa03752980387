/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a byte stream, and writes each valid message in it again, from its structure: what Python must find as well. */
#include <stdio.h>
#include <string.h>

#include "../frame.h"

static void on_body(const uint8_t *body, size_t size)
{
    struct ei_header header;
    uint8_t again[EI_MAX_BODY] = {0}, frame[EI_MAX_FRAME];
    if (size < EI_HEADER_SIZE || !ei_unpack_header(body, EI_HEADER_SIZE, &header) ||
        !ei_repack(header.kind, body + EI_HEADER_SIZE, size - EI_HEADER_SIZE, again + EI_HEADER_SIZE)) {
        return;
    }
    ei_pack_header(&header, again);
    fwrite(frame, 1, ei_encode_frame(again, size, frame), stdout);
}

int main(void)
{
    static struct ei_decoder decoder;
    uint8_t bytes[4096];
    size_t size;
    while ((size = fread(bytes, 1, sizeof bytes, stdin)) > 0) {
        for (size_t i = 0; i < size; i++) {
            size_t body = ei_decode_byte(&decoder, bytes[i]);
            if (body > 0) {
                on_body(decoder.text, body);
            }
        }
    }
    return 0;
}
