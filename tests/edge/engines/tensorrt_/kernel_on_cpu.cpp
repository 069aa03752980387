// Runs edge/engines/tensorrt_/preprocess.cu on the CPU: thread by thread, over buffers exactly as large as they may be.
// usage: kernel rows columns row_bytes samples red channels height width < frame > input
#include <cstdio>
#include <cstdlib>
#include <vector>

struct Index {
    unsigned x, y, z;
};
static Index blockIdx, blockDim, gridDim, threadIdx;
#define __global__
#define __device__

#include "preprocess.cu"

static unsigned blocks(int size, unsigned block) { return (size + block - 1) / block; }

int main(int, char **arguments)
{
    int value[8];
    for (int i = 0; i < 8; i++)
        value[i] = atoi(arguments[i + 1]);
    auto [rows, columns, row_bytes, samples, red, channels, height, width] = value;
    std::vector<uint8_t> frame((size_t)(rows - 1) * row_bytes + columns * samples), input(channels * height * width);
    if (fread(frame.data(), 1, frame.size(), stdin) != frame.size())
        return 2;
    blockDim = {32, 8, 1};
    gridDim = {blocks(width, blockDim.x), blocks(height, blockDim.y), (unsigned)channels};
    for (blockIdx.z = 0; blockIdx.z < gridDim.z; blockIdx.z++)
        for (blockIdx.y = 0; blockIdx.y < gridDim.y; blockIdx.y++)
            for (blockIdx.x = 0; blockIdx.x < gridDim.x; blockIdx.x++)
                for (threadIdx.y = 0; threadIdx.y < blockDim.y; threadIdx.y++)
                    for (threadIdx.x = 0; threadIdx.x < blockDim.x; threadIdx.x++)
                        preprocess(frame.data(), rows, columns, row_bytes, samples, red, input.data(), height, width);
    fwrite(input.data(), 1, input.size(), stdout);
}
