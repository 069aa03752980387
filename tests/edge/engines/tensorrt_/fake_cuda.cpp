// A libcuda.so.1 in host memory, for the calls that edge/engines/tensorrt_/pycuda_driver.py makes, most of them through pycuda. Device memory is
// malloc's, streams do their work at once unless they are in a capture, and the one kernel there is runs on the CPU.
// Whatever else pycuda wants to link is made by the test.
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

struct Index {
    unsigned x, y, z;
};
static Index blockIdx, blockDim, gridDim, threadIdx;
#define __global__
#define __device__

#include "preprocess.cu"

static std::string failing;
static int failure, live, pushed, retained;

using Work = std::vector<std::function<void()>>;
static Work *captured;  // what is queued in a capture
static void *capturing; // the stream that is in it
static int queue(void *stream, std::function<void()> work)
{
    if (capturing == nullptr || stream != capturing)
        work();
    else
        captured->push_back(work);
    return 0;
}

#define CALL(name, ...)                                                                                                \
    extern "C" int name(__VA_ARGS__)                                                                                   \
    {                                                                                                                  \
        if (failing == #name)                                                                                          \
            return failure;

// how many things are alive, pushes without a pop, retained contexts; and which call is to fail with which code
extern "C" int fake_live() { return live + 1000 * pushed + 1000000 * retained; }
extern "C" void fake_fail(const char *name, int code) { failing = name, failure = code; }

CALL(cuInit, unsigned) return 0; }
CALL(cuDriverGetVersion, int *version) *version = 13000; return 0; }
CALL(cuDeviceGet, int *device, int) *device = 0; return 0; }
CALL(cuDeviceGetCount, int *count) *count = 1; return 0; }
CALL(cuDeviceGetName, char *name, int size, int) strncpy(name, "Fake", size); return 0; }
CALL(cuDeviceGetAttribute, int *value, int attribute, int) *value = 1000 + attribute; return 0; }
CALL(cuDeviceComputeCapability, int *major, int *minor, int) *major = 8, *minor = 7; return 0; }
CALL(cuDevicePrimaryCtxRetain, void **context, int) *context = &live, retained++; return 0; }
CALL(cuDevicePrimaryCtxRelease_v2, int) retained--; return 0; }
CALL(cuDevicePrimaryCtxRelease, int) retained--; return 0; }
CALL(cuCtxPushCurrent_v2, void *) pushed++; return 0; }
CALL(cuCtxPopCurrent_v2, void **) pushed--; return 0; }
CALL(cuStreamCreate, void **stream, unsigned flags) if (flags != 1) return 1; *stream = malloc(1), live++; return 0; }
CALL(cuStreamDestroy_v2, void *stream) free(stream), live--; return 0; }
CALL(cuStreamWaitEvent, void *, void *, unsigned) return 0; }
CALL(cuEventCreate, void **event, unsigned) *event = malloc(1), live++; return 0; }
CALL(cuEventDestroy_v2, void *event) free(event), live--; return 0; }
CALL(cuEventRecord, void *, void *) return 0; }
CALL(cuEventSynchronize, void *) return capturing ? 900 : 0; }
CALL(cuMemAlloc_v2, void **memory, size_t size) *memory = malloc(size), live++; return 0; }
CALL(cuMemFree_v2, void *memory) free(memory), live--; return 0; }
CALL(cuMemHostAlloc, void **memory, size_t size, unsigned) *memory = malloc(size), live++; return 0; }
CALL(cuMemFreeHost, void *memory) free(memory), live--; return 0; }
CALL(cuMemcpyHtoDAsync_v2, void *to, const void *from, size_t size, void *stream)
    return queue(stream, [=] { memcpy(to, from, size); }); }
CALL(cuMemcpyDtoHAsync_v2, void *to, const void *from, size_t size, void *stream)
    return queue(stream, [=] { memcpy(to, from, size); }); }
CALL(cuLaunchHostFunc, void *stream, void (*function)(void *), void *data)
    return queue(stream, [=] { function(data); }); }
CALL(cuStreamBeginCapture_v2, void *stream, int mode)
    if (capturing || mode != 1) return 1; capturing = stream, captured = new Work, live++; return 0; }
CALL(cuStreamEndCapture, void *stream, Work **graph)
    if (stream != capturing) return 903; *graph = captured, capturing = nullptr; return 0; }
CALL(cuGraphInstantiateWithFlags, Work **made, Work *graph, unsigned long long flags)
    if (flags) return 1; *made = new Work(*graph), live++; return 0; }
CALL(cuGraphLaunch, Work *graph, void *stream) for (auto &work : *graph) queue(stream, work); return 0; }
CALL(cuGraphDestroy, Work *graph) delete graph, live--; return 0; }
CALL(cuGraphExecDestroy, Work *graph) delete graph, live--; return 0; }
CALL(cuModuleLoadDataEx, void **module, const void *, unsigned, void *, void *) *module = malloc(1), live++; return 0; }
CALL(cuModuleUnload, void *module) free(module), live--; return 0; }
CALL(cuModuleGetFunction, void **function, void *, const char *name) *function = &live; return strcmp(name, "preprocess"); }
CALL(cuMemGetInfo_v2, size_t *available, size_t *all) *available = 1 << 20, *all = 1 << 21; return 0; }
CALL(cuFuncSetBlockShape, void *, int, int, int) return 0; }
CALL(cuGetErrorString, int, const char **text) *text = "as asked"; return 0; }
CALL(cuGetErrorName, int, const char **text) *text = "CUDA_ERROR_AS_ASKED"; return 0; }

struct Arguments { // as a C compiler lays out the kernel's
    const uint8_t *frame;
    int rows, columns, row_bytes, samples, red;
    uint8_t *input;
    int height, width;
};

CALL(cuLaunchKernel, void *, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned,
     void *, void **, void **extra)
    const Arguments *a = (const Arguments *)extra[1]; // after CU_LAUNCH_PARAM_BUFFER_POINTER
    if (*(size_t *)extra[3] != sizeof *a)
        return 1;
    gridDim = {gx, gy, gz}, blockDim = {bx, by, bz};
    for (blockIdx.z = 0; blockIdx.z < gz; blockIdx.z++)
        for (blockIdx.y = 0; blockIdx.y < gy; blockIdx.y++)
            for (blockIdx.x = 0; blockIdx.x < gx; blockIdx.x++)
                for (threadIdx.y = 0; threadIdx.y < by; threadIdx.y++)
                    for (threadIdx.x = 0; threadIdx.x < bx; threadIdx.x++)
                        preprocess(a->frame, a->rows, a->columns, a->row_bytes, a->samples, a->red, a->input, a->height,
                                   a->width);
    return 0;
}
