/* SPDX-License-Identifier: Apache-2.0 */
/* What a board must provide: five functions and the width of its encoder's counter. */
#ifndef EI_HAL_H
#define EI_HAL_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#if INT_MAX < 2147483647
#error "the controller's arithmetic needs an int of at least 32 bits"
#endif

/* Bits of `outputs`. A bit that is not set is the safe state: no line runs on a broken wire. */
enum {
    EI_OUTPUT_EJECT = 1,   /* throw out what is in front of the ejector */
    EI_OUTPUT_RUN = 2,     /* the line may run */
    EI_OUTPUT_HEALTHY = 4, /* the inspection works */
    EI_OUTPUT_ALARM = 8,   /* it works, but needs attention */
};

struct ei_hal {
    /* Copies up to `size` received bytes to `out`, gives their number, and never waits. */
    size_t (*read)(void *board, uint8_t *out, size_t size);
    /* Queues bytes for sending, gives how many it took, and never waits. */
    size_t (*write)(void *board, const uint8_t *bytes, size_t size);
    /* Milliseconds since any moment; rolls over. */
    uint32_t (*time_ms)(void *board);
    /* Reading of the encoder's counter, which rolls over from 2^encoder_bits - 1 to 0 and counts up on a belt that runs
     * forward. Higher bits are ignored. */
    uint32_t (*encoder)(void *board);
    /* Sets all outputs at once. */
    void (*outputs)(void *board, uint8_t bits);
    void *board;
    /* Width of the counter, 2 to 32: 16 for most timers of an STM32, 32 for its TIM2 and TIM5. */
    uint8_t encoder_bits;
};

#endif
