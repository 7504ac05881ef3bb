// SPDX-FileCopyrightText: 2026 panoptic_depth contributors
// SPDX-License-Identifier: Apache-2.0
//
// A libcuda.so.1 on the memory of the host, so that the packages for CUDA run where no GPU is.
//
// Work in a stream waits until something synchronizes, so that a missing wait is seen; a stream
// that is being captured records it. The n-th call of a function can be made to fail, or all (-1);
// codes of a lost GPU stay until the context is released, as they do. Names, numbers and
// signatures are those of cuda.h; host_cuda_* are for the tests.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS, INVALID_VALUE, OUT_OF_MEMORY, INVALID_DEVICE = 101, INVALID_CONTEXT = 201,
       INVALID_HANDLE = 400, ILLEGAL_STATE, NOT_FOUND = 500, ILLEGAL_ADDRESS = 700,
       LAUNCH_FAILED = 719, CAPTURE_UNSUPPORTED = 900, CAPTURE_INVALIDATED };
enum { DEVICE, HOST, KINDS, MOST = 4096, TOTAL = 1 << 30 };

typedef struct { char *dst; const char *src; size_t size; int add; } Op;
typedef struct { Op ops[MOST]; int count; } Ops;
typedef struct { Ops queue, captured; int capturing, invalid; } Stream;
typedef struct { char *start; size_t size; int kind; } Block;

static Block blocks[MOST];
static int retained, streams, graphs, leaked, unpinned, allocations;
static int lost, fail_code, fail_after;
static char fail_name[64];
static Stream *known[64];
static __thread void *stack[64];
static __thread int depth;

static int failing(const char *name)
{
    if (fail_after && !strcmp(name, fail_name) && (fail_after < 0 || --fail_after == 0)) {
        if (fail_code >= ILLEGAL_ADDRESS && fail_code <= LAUNCH_FAILED) lost = fail_code;
        return fail_code;
    }
    return SUCCESS;
}
static int entering(const char *name)
{
    int code = failing(name);
    if (code) return code;
    if (!retained || !depth || stack[depth - 1] != &retained) return INVALID_CONTEXT;
    return lost;
}

#define ENTER() do { int code_ = entering(__func__); if (code_) return code_; } while (0)
#define MAY_FAIL() do { int code_ = failing(__func__); if (code_) return code_; } while (0)
// for tests
void host_cuda_fail(const char *name, int after, int code)
{
    snprintf(fail_name, sizeof fail_name, "%s", name);
    fail_after = after, fail_code = code;
}
static int live(int kind)
{
    int n = 0;
    for (Block *b = blocks; b < blocks + MOST; b++) n += b->start && b->kind == kind;
    return n;
}
int host_cuda_count(const char *what)
{
    const struct { const char *name; int value; } table[] = {
        {"device", live(DEVICE)}, {"host", live(HOST)}, {"streams", streams},
        {"graphs", graphs}, {"contexts", retained}, {"stack", depth},
        {"leaked", leaked}, {"unpinned", unpinned}, {"allocations", allocations}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(what, table[i].name)) return table[i].value;
    return -1;
}
// memory
static Block *block_of(const char *p, size_t size, int kind)
{
    for (Block *b = blocks; b < blocks + MOST; b++)
        if (b->start && b->kind == kind && p >= b->start && p + size <= b->start + b->size)
            return b;
    return NULL;
}
static int not_while_capturing(void)
{
    for (int i = 0; i < 64; i++)
        if (known[i] && known[i]->capturing) {
            known[i]->invalid = 1;
            return CAPTURE_UNSUPPORTED;
        }
    return SUCCESS;
}
static int allocate(void **p, size_t size, int kind)
{
    if (not_while_capturing()) return CAPTURE_UNSUPPORTED;
    if (!size) return INVALID_VALUE;
    if (size > TOTAL) return OUT_OF_MEMORY;
    for (Block *b = blocks; b < blocks + MOST; b++)
        if (!b->start) {
            // Filled, so that nobody relies on zeros.
            *b = (Block){memset(malloc(size), 0xAB, size), size, kind};
            *p = b->start;
            allocations++;
            return SUCCESS;
        }
    return OUT_OF_MEMORY;
}
static int release(void *p, int kind)
{
    Block *b = block_of(p, 1, kind);
    if (!b || b->start != p) return INVALID_VALUE;
    free(b->start), b->start = NULL;
    return SUCCESS;
}
int cuMemAlloc_v2(void **p, size_t size) { ENTER(); return allocate(p, size, DEVICE); }
int cuMemFree_v2(void *p) { ENTER(); return release(p, DEVICE); }
int cuMemHostAlloc(void **p, size_t size, unsigned flags)
{
    ENTER();
    return flags ? INVALID_VALUE : allocate(p, size, HOST);
}
int cuMemFreeHost(void *p) { ENTER(); return release(p, HOST); }
int cuMemGetInfo_v2(size_t *unused, size_t *total)
{
    ENTER();
    *unused = *total = TOTAL;
    for (Block *b = blocks; b < blocks + MOST; b++)
        *unused -= b->start && b->kind == DEVICE ? b->size : 0;
    return SUCCESS;
}
// streams
static int put(Stream *stream, Op op)
{
    if (!stream || stream->queue.count == MOST) return INVALID_HANDLE;
    Ops *ops = stream->capturing ? &stream->captured : &stream->queue;
    ops->ops[ops->count++] = op;
    return SUCCESS;
}
static int run(Stream *stream)
{
    for (int i = 0; i < stream->queue.count && !lost; i++) {
        Op *op = stream->queue.ops + i;
        if (op->add && !block_of(op->dst, op->size, DEVICE)) return lost = ILLEGAL_ADDRESS;
        memmove(op->dst, op->src, op->size);
        for (size_t k = 0; op->add && k < op->size; k++) op->dst[k] += (char)op->add;
    }
    stream->queue.count = 0;
    return lost;
}
// What stands for a kernel: bytes of dst become those of src and a number.
int host_cuda_add(void *dst, void *src, size_t size, int number, Stream *stream)
{
    ENTER();
    return put(stream, (Op){dst, src, size, number});
}
int cuStreamCreate(Stream **stream, unsigned flags)
{
    ENTER();
    if (flags != 1) return INVALID_VALUE;
    for (int i = 0; i < 64; i++)
        if (!known[i]) {
            *stream = known[i] = calloc(1, sizeof **stream);
            streams++;
            return SUCCESS;
        }
    return OUT_OF_MEMORY;
}
int cuStreamDestroy_v2(Stream *stream)
{
    ENTER();
    for (int i = 0; i < 64; i++)
        if (stream && known[i] == stream) {
            known[i] = NULL;
            streams--;
            free(stream);
            return SUCCESS;
        }
    return INVALID_HANDLE;
}
int cuStreamSynchronize(Stream *stream)
{
    ENTER();
    return not_while_capturing() ? CAPTURE_UNSUPPORTED : run(stream);
}
static int copy(char *dst, const char *src, size_t size, Stream *stream, const char *host)
{
    unpinned += !block_of(host, size, HOST);
    if (!block_of(host == src ? dst : src, size, DEVICE)) return INVALID_VALUE;
    return put(stream, (Op){dst, src, size, 0});
}
int cuMemcpyHtoDAsync_v2(char *dst, const char *src, size_t size, Stream *stream)
{
    ENTER();
    return copy(dst, src, size, stream, src);
}
int cuMemcpyDtoHAsync_v2(char *dst, const char *src, size_t size, Stream *stream)
{
    ENTER();
    return copy(dst, src, size, stream, dst);
}
// graphs
int cuStreamBeginCapture_v2(Stream *stream, int mode)
{
    ENTER();
    if (stream->capturing || mode != 1) return INVALID_VALUE;
    stream->capturing = 1, stream->invalid = stream->captured.count = 0;
    return SUCCESS;
}
int cuStreamEndCapture(Stream *stream, Ops **graph)
{
    ENTER();
    *graph = NULL;
    if (!stream->capturing) return ILLEGAL_STATE;
    stream->capturing = 0;
    if (stream->invalid) return CAPTURE_INVALIDATED;
    *graph = malloc(sizeof **graph);
    memcpy(*graph, &stream->captured, sizeof **graph);
    graphs++;
    return SUCCESS;
}
int cuGraphInstantiateWithFlags(Ops **executable, Ops *graph, unsigned long long flags)
{
    ENTER();
    if (!graph || flags) return INVALID_VALUE;
    *executable = malloc(sizeof **executable);
    memcpy(*executable, graph, sizeof *graph);
    graphs++;
    return SUCCESS;
}
int cuGraphLaunch(Ops *executable, Stream *stream)
{
    ENTER();
    for (int i = 0; i < executable->count; i++)
        if (put(stream, executable->ops[i])) return INVALID_HANDLE;
    return SUCCESS;
}
// The real ones need no current context.
int cuGraphDestroy(Ops *graph) { MAY_FAIL(); free(graph); graphs--; return lost; }
int cuGraphExecDestroy(Ops *executable) { MAY_FAIL(); free(executable); graphs--; return lost; }
// contexts
int cuDevicePrimaryCtxRetain(void **context, int device)
{
    MAY_FAIL();
    if (device) return INVALID_DEVICE;
    retained++;
    *context = &retained;
    return SUCCESS;
}
int cuDevicePrimaryCtxRelease_v2(int device)
{
    MAY_FAIL();
    if (device || !retained) return INVALID_CONTEXT;
    if (--retained) return SUCCESS;
    // What goes with the context should have been freed before.
    leaked += live(DEVICE) + live(HOST) + streams + graphs;
    for (Block *b = blocks; b < blocks + MOST; b++) {
        free(b->start);
        b->start = NULL;
    }
    memset(known, 0, sizeof known);
    streams = graphs = lost = 0;
    return SUCCESS;
}
int cuCtxPushCurrent_v2(void *context)
{
    MAY_FAIL();
    if (context != &retained || depth == 64) return INVALID_CONTEXT;
    stack[depth++] = context;
    return SUCCESS;
}
int cuCtxPopCurrent_v2(void **context)
{
    MAY_FAIL();
    if (!depth) return INVALID_CONTEXT;
    *context = stack[--depth];
    return SUCCESS;
}
int cuCtxGetCurrent(void **context) { *context = depth ? stack[depth - 1] : NULL; return SUCCESS; }
// device
int cuInit(unsigned flags) { MAY_FAIL(); return flags ? INVALID_VALUE : SUCCESS; }
int cuDriverGetVersion(int *version) { *version = 13000; return SUCCESS; }
int cuDeviceGetCount(int *n) { MAY_FAIL(); *n = 1; return SUCCESS; }
int cuDeviceGet(int *device, int id) { return (*device = id) ? INVALID_DEVICE : SUCCESS; }
int cuDeviceGetName(char *name, int size, int device)
{
    snprintf(name, (size_t)size, "Host GPU %d", device);
    return SUCCESS;
}
int cuDeviceGetAttribute(int *value, int attribute, int device)
{
    *value = attribute == 75 ? 8 : attribute == 76 ? 6 : 0;
    return device ? INVALID_DEVICE : SUCCESS;
}
int cuGetErrorString(int code, const char **text)
{
    *text = code == OUT_OF_MEMORY ? "out of memory"
          : code == ILLEGAL_ADDRESS ? "an illegal memory access was encountered"
          : code == LAUNCH_FAILED ? "unspecified launch failure"
          : code == CAPTURE_UNSUPPORTED ? "operation not permitted when stream is capturing"
          : code == 100 ? "no CUDA-capable device is detected" : "another error";
    return SUCCESS;
}
int cuGetProcAddress_v2(const char *name, void **function, int version, uint64_t flags, int *found)
{
    (void)version, (void)flags;
    Dl_info self;
    dladdr((void *)cuGetProcAddress_v2, &self);
    void *library = dlopen(self.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    char newer[128];
    snprintf(newer, sizeof newer, "%s_v2", name);
    *function = dlsym(library, newer);
    if (!*function) *function = dlsym(library, name);
    if (found) *found = !*function;
    return *function ? SUCCESS : NOT_FOUND;
}
