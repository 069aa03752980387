/* How a camera's frame becomes the network's input: bundle.preprocess on the GPU.

   One thread makes one level of the input: the grey of each source pixel, the mean down each column, the mean of
   those along the row, with a rounding after each, as OpenCV does it in three passes. Integers throughout, so that
   every machine makes the same bytes. The tests compile this file for the CPU as well. */

#include <stdint.h>

/* The source pixels that one output pixel is made of, along one axis, with weights that sum up to `total`. */
struct Taps {
    int first, last;
    int head, body, tail; /* weights of the first pixel, of those between, of the last */
    int total;
    int dropped; /* bits that a weighted level loses before the sum */
    bool grows;
};

__device__ static int smaller(int a, int b) { return a < b ? a : b; }

/* Shrinking: output pixel i covers the source from i * source / made to (i + 1) * source / made; a pixel weighs as
   much as lies within. In units of 1 / made; 8192 * 8192 fits. */
__device__ static Taps area(int i, int source, int made)
{
    int from = i * source, to = from + source;
    Taps taps;
    taps.first = from / made;
    taps.last = (to - 1) / made;
    taps.head = smaller((taps.first + 1) * made, to) - from;
    taps.body = made;
    taps.tail = to - taps.last * made;
    taps.total = source;
    taps.dropped = 0;
    taps.grows = false;
    return taps;
}

/* Growing: between the two source pixels whose middles lie on either side; beyond the outermost, that one alone.
   Weights of 11 bits, of which OpenCV drops 9 down a column. */
__device__ static Taps linear(int i, int source, int made, int dropped)
{
    int unit = 2 * made, at = (2 * i + 1) * source - made;
    Taps taps;
    taps.first = at < 0 ? 0 : at / unit;
    taps.tail = at < 0 || taps.first == source - 1 ? 0 : (2048 * (at % unit) + made) / unit;
    taps.last = taps.first + (taps.tail > 0);
    taps.head = 2048 - taps.tail;
    taps.body = 0;
    taps.total = 2048 >> dropped;
    taps.dropped = dropped;
    taps.grows = true;
    return taps;
}

__device__ static int weighted(const Taps *taps, int at, int level)
{
    int weight = at == taps->first ? taps->head : at == taps->last ? taps->tail : taps->body;
    return (weight * level) >> taps->dropped;
}

/* Halves: up where OpenCV interpolates (fixed point), to the even level where it averages (floating point). */
__device__ static int rounded(int sum, const Taps *taps)
{
    int twice = 2 * sum + taps->total, level = twice / (2 * taps->total);
    bool half = twice % (2 * taps->total) == 0;
    return level - (half && !taps->grows ? level & 1 : 0);
}

/* One pixel's level: grey by ITU-R BT.601 in 15 bits, as OpenCV has it, or one of its colours. */
__device__ static int level_of(const uint8_t *pixel, int samples, int red, int channel, bool grey)
{
    if (samples == 1)
        return pixel[0];
    if (grey)
        return (9798 * pixel[red] + 19235 * pixel[1] + 3735 * pixel[2 - red] + (1 << 14)) >> 15;
    return pixel[channel == 0 ? red : channel == 1 ? 1 : 2 - red];
}

/* frame: rows x columns pixels of `samples` bytes each, rows row_bytes apart; the crop, if any, is where it starts
   and how large it is. red: the place of red in a pixel, 0 or 2.
   input: [channels, height, width], one plane for each blockIdx.z. */
extern "C" __global__ void preprocess(const uint8_t *frame, int rows, int columns, int row_bytes, int samples, int red,
                                      uint8_t *input, int height, int width)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y, channel = blockIdx.z;
    if (x >= width || y >= height)
        return;
    bool grey = gridDim.z == 1;
    Taps down = height > rows ? linear(y, rows, height, 9) : area(y, rows, height);
    Taps along = width > columns ? linear(x, columns, width, 0) : area(x, columns, width);
    int row_sum = 0;
    for (int column = along.first; column <= along.last; column++) {
        int column_sum = 0;
        for (int row = down.first; row <= down.last; row++) {
            const uint8_t *pixel = frame + (int64_t)row * row_bytes + column * samples;
            column_sum += weighted(&down, row, level_of(pixel, samples, red, channel, grey));
        }
        row_sum += weighted(&along, column, rounded(column_sum, &down));
    }
    input[((int64_t)channel * height + y) * width + x] = (uint8_t)rounded(row_sum, &along);
}
