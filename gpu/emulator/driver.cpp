// A driver for one device that is the emulator: what `tacit_gpu::cuda` asks of libcuda.so.1, for tests of that file without a
// device. tests/driver.rs compiles and loads it.
//
// Streams do nothing before somebody waits for them, but that a launch is done at once, behind all that its stream was asked.
// So a page that is used again too early, or memory that is freed under a copy, is seen: what is freed is overwritten. In
// which order lanes are is for tests/engine/lazy.rs. Whatever no driver would do ends the process, with a word why.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <deque>
#include <functional>
#include <map>
#include <mutex>

namespace {

typedef int Result;
const Result OK = 0, INVALID = 1, NO_MEMORY = 2, NO_IMAGE = 200, NOT_FOUND = 500, FAILED = 719;

struct Stream {
  std::deque<std::function<void()>> waiting;
  size_t asked = 0, done = 0;

  void ask(std::function<void()> task) {
    waiting.push_back(task);
    asked++;
  }
  void run(size_t upto) {
    while (done < upto) {
      const auto task = waiting.front();
      waiting.pop_front();
      done++;
      task();
    }
  }
};

// A place in what a stream was asked. Streams are never deleted.
struct Event {
  Stream* stream = nullptr;
  size_t upto = 0;
};

typedef const char* (*Emulated)(const uint32_t* grid, uint32_t threads, uint32_t shared, void** arguments, uint64_t order);

std::recursive_mutex everything;
thread_local void* current = nullptr;
int context;
std::map<uint64_t, size_t> memory, pages;  // address, bytes
std::map<void*, uint32_t> allowed;         // dynamic shared memory of a kernel
void* (*find_kernel)(const char* name);
bool pages_refused;
uint32_t shared_memory = 227 << 10;

void must(bool right, const char* what) {
  if (right) return;
  fprintf(stderr, "driver: %s\n", what);
  abort();
}

// Most calls need a context.
struct Call {
  std::lock_guard<std::recursive_mutex> lock{everything};
  Call() { must(current == &context, "no context is current"); }
};

void must_lie_within(uint64_t at, size_t bytes) {
  auto found = memory.upper_bound(at);
  must(found != memory.begin(), "a copy outside of memory");
  --found;
  must(at + bytes <= found->first + found->second, "a copy beyond memory");
}

}  // namespace

#define CALL extern "C" Result

// For the test: where kernels are; how much is held, of the device and of pages; what is refused.
extern "C" void driver_kernels(void* (*find)(const char*)) { find_kernel = find; }
extern "C" size_t driver_held() { return memory.size() + pages.size(); }
extern "C" void driver_refuses_pages(bool yes) { pages_refused = yes; }
extern "C" void driver_has_shared(uint32_t bytes) { shared_memory = bytes; }

CALL cuInit(unsigned) { return OK; }
CALL cuDriverGetVersion(int* version) { return *version = 13000, OK; }
CALL cuDeviceGetCount(int* count) { return *count = 1, OK; }
CALL cuDeviceGet(int* device, int) { return *device = 0, OK; }
CALL cuDeviceGetName(char* name, int length, int) { return snprintf(name, length, "no device"), OK; }
CALL cuDeviceGetAttribute(int* value, int attribute, int) {
  switch (attribute) {
    case 75: *value = 9; break;               // compute capability
    case 97: *value = (int)shared_memory; break;  // of a block, if asked for
    case 115: *value = 1; break;              // memory pools
    default: *value = 0;
  }
  return OK;
}
CALL cuGetErrorString(int error, const char** said) {
  static thread_local char text[20];
  snprintf(text, sizeof text, "error %d", error);
  return *said = text, OK;
}
CALL cuGetErrorName(int error, const char** said) { return cuGetErrorString(error, said); }

CALL cuDevicePrimaryCtxRetain(void** to, int) { return *to = &context, OK; }
CALL cuDevicePrimaryCtxRelease_v2(int) { return OK; }
CALL cuCtxGetCurrent(void** to) { return *to = current, OK; }
CALL cuCtxSetCurrent(void* to) { return current = to, OK; }
CALL cuCtxSynchronize() { return OK; }

CALL cuStreamCreate(void** stream, unsigned) {
  Call call;
  return *stream = new Stream, OK;
}
CALL cuStreamDestroy_v2(void* stream) {
  std::lock_guard<std::recursive_mutex> lock(everything);
  Stream* s = (Stream*)stream;
  return s->run(s->asked), OK;
}
CALL cuStreamSynchronize(void* stream) {
  Call call;
  Stream* s = (Stream*)stream;
  return s->run(s->asked), OK;
}
CALL cuStreamWaitEvent(void* stream, void* event, unsigned) {
  Call call;
  const Event e = *(Event*)event;
  return ((Stream*)stream)->ask([e] { e.stream->run(e.upto); }), OK;
}
CALL cuEventCreate(void** event, unsigned) {
  Call call;
  return *event = new Event, OK;
}
CALL cuEventDestroy_v2(void* event) {
  Call call;
  return delete (Event*)event, OK;
}
CALL cuEventRecord(void* event, void* stream) {
  Call call;
  return *(Event*)event = {(Stream*)stream, ((Stream*)stream)->asked}, OK;
}
CALL cuEventSynchronize(void* event) {
  Call call;
  Event* e = (Event*)event;
  return e->stream->run(e->upto), OK;
}

CALL cuMemAllocAsync(uint64_t* to, size_t bytes, void*) {
  Call call;
  void* at;
  if (bytes == 0) return INVALID;
  if (posix_memalign(&at, 256, bytes)) return NO_MEMORY;
  memset(at, 0xCD, bytes);
  memory[*to = (uint64_t)at] = bytes;
  return OK;
}
CALL cuMemFreeAsync(uint64_t at, void* stream) {
  Call call;
  must(memory.count(at), "memory that is not there is freed");
  const size_t bytes = memory[at];
  ((Stream*)stream)->ask([at, bytes] {
    memset((void*)at, 0xEE, bytes);  // and not given to others, who would hide who uses it too late
    memory.erase(at);
  });
  return OK;
}
CALL cuMemHostAlloc(void** to, size_t bytes, unsigned) {
  Call call;
  if (pages_refused) return NO_MEMORY;
  pages[(uint64_t)(*to = malloc(bytes))] = bytes;
  return OK;
}
CALL cuMemFreeHost(void* at) {
  Call call;
  must(pages.count((uint64_t)at), "pages that are not there are freed");
  memset(at, 0xDD, pages[(uint64_t)at]);
  pages.erase((uint64_t)at);
  return OK;
}
CALL cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, void* stream) {
  Call call;
  must_lie_within(to, bytes);
  return ((Stream*)stream)->ask([=] { memcpy((void*)to, from, bytes); }), OK;
}
CALL cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, void* stream) {
  Call call;
  must_lie_within(from, bytes);
  return ((Stream*)stream)->ask([=] { memcpy(to, (const void*)from, bytes); }), OK;
}
CALL cuDeviceGetDefaultMemPool(void** pool, int) { return *pool = &context, OK; }
CALL cuMemPoolSetAttribute(void*, int, void*) { return OK; }

CALL cuModuleLoadData(void** module, const void* image) {
  Call call;
  must((uint64_t)image % 16 == 0, "code that does not lie as words do");
  return *module = (void*)image, *(const uint32_t*)image == 0xBA55ED50 ? OK : NO_IMAGE;
}
CALL cuModuleGetFunction(void** kernel, void*, const char* name) {
  Call call;
  return (*kernel = find_kernel(name)) ? OK : NOT_FOUND;
}
CALL cuFuncSetAttribute(void* kernel, int attribute, int value) {
  Call call;
  if (attribute == 8) allowed[kernel] = (uint32_t)value;  // dynamic shared memory
  return OK;
}
CALL cuLaunchKernel(void* kernel, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned, unsigned, unsigned shared,
                    void* stream, void** arguments, void**) {
  Call call;
  const uint32_t grid[3] = {x, y, z};
  if (!x || !y || !z || y > 65535 || z > 65535 || threads > 1024) return INVALID;
  if (shared > 48 << 10 && shared > allowed[kernel]) return INVALID;
  Stream* s = (Stream*)stream;
  s->run(s->asked);
  const char* wrong = ((Emulated)kernel)(grid, threads, shared, arguments, 2);
  if (wrong) fprintf(stderr, "driver: %s\n", wrong);
  return wrong ? FAILED : OK;
}
