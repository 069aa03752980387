/* What a board must provide: five functions. */
#ifndef EI_HAL_H
#define EI_HAL_H

#include <stddef.h>
#include <stdint.h>

/* Bits of `outputs`. A bit that is not set is the safe state: no line runs on a broken wire. */
enum {
    EI_OUTPUT_EJECT = 1,   /* throw out what is in front of the ejector */
    EI_OUTPUT_RUN = 2,     /* the line may run */
    EI_OUTPUT_HEALTHY = 4, /* the inspection works */
    EI_OUTPUT_ALARM = 8,   /* it works, but somebody should look after it */
};

struct ei_hal {
    /* Copies up to `size` received bytes to `out`, gives their number, and never waits. */
    size_t (*read)(void *board, uint8_t *out, size_t size);
    /* Queues bytes for sending, gives how many it took, and never waits. */
    size_t (*write)(void *board, const uint8_t *bytes, size_t size);
    /* Milliseconds since any moment; rolls over. */
    uint32_t (*time_ms)(void *board);
    /* Position of the belt in counts; rolls over. */
    uint32_t (*encoder)(void *board);
    /* Sets all outputs at once. */
    void (*outputs)(void *board, uint8_t bits);
    void *board;
};

#endif
