#include "fibres.h"

#include <stdio.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <vector>

__thread Dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace fibres {
namespace {

const size_t STACK = 128 * 1024, WARP = 32, MARGIN = 64 * 1024;
const unsigned char POISON = 0xAB;

struct Copy {
  void* to;
  const void* from;
  bool valid;
};

struct Fibre {
  Wait at;
  int collective;
  uint32_t thread, turn;
  std::vector<Copy> copies;      // under way, oldest first
  std::vector<uint32_t> groups;  // of them: how many copies each has
  uint32_t open;                 // copies behind the last group
#if defined(__x86_64__)
  void* stack;
#else
  ucontext_t context;
#endif
};

// Of the block that this thread of the system runs.
struct Block {
  std::vector<Fibre> fibres;
  Fibre* running = nullptr;
  std::vector<uint32_t> arrived;  // of each warp, lanes at a collective
  std::vector<unsigned char> shared;
  std::vector<uint64_t> slots;  // warp, turn, lane, 16 words
  uint64_t dice;                // which copies are early; 0 if none
  const char* fault;            // what a fibre did wrong
  char* stacks = nullptr;
  size_t stack_count = 0;
  Body body = nullptr;
  void** arguments = nullptr;
  char error[256];
#if defined(__x86_64__)
  void* scheduler = nullptr;
#else
  ucontext_t scheduler;
#endif
  ~Block() {
    if (stacks) munmap(stacks, stack_count * STACK);
  }
};
__thread Block* block;

#if defined(__x86_64__)
// Saves what a call must keep on this stack, and goes on with the other. An order of magnitude faster than swapcontext,
// which asks the system for the signal mask.
extern "C" void fibres_switch(void** save, void* to);
asm(R"(
.text
.globl fibres_switch
.type fibres_switch,@function
fibres_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp,(%rdi)
  movq %rsi,%rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size fibres_switch,.-fibres_switch
)");
#endif

void to_scheduler() {
#if defined(__x86_64__)
  fibres_switch(&block->running->stack, block->scheduler);
#else
  swapcontext(&block->running->context, &block->scheduler);
#endif
}

void begin() {
  block->body(block->arguments);
  block->running->at = ENDED;
  to_scheduler();
  abort();  // nobody goes on with a fibre that has ended
}

void go_on(Fibre& fibre) {
  block->running = &fibre;
  threadIdx = {fibre.thread, 0, 0};
#if defined(__x86_64__)
  fibres_switch(&block->scheduler, fibre.stack);
#else
  swapcontext(&block->scheduler, &fibre.context);
#endif
}

void prepare(Fibre& fibre, uint32_t thread) {
  fibre.at = RUNNING;
  fibre.collective = 0;
  fibre.thread = thread;
  fibre.turn = fibre.open = 0;
  fibre.copies.clear();
  fibre.groups.clear();
  char* bottom = block->stacks + thread * STACK;
#if defined(__x86_64__)
  uint64_t* top = (uint64_t*)(bottom + STACK);
  *--top = 0;  // where begin would return to; it also puts the stack where a call would
  *--top = (uint64_t)(uintptr_t)&begin;
  for (int i = 0; i < 6; i++) *--top = 0;
  fibre.stack = top;
#else
  getcontext(&fibre.context);
  fibre.context.uc_stack.ss_sp = bottom;
  fibre.context.uc_stack.ss_size = STACK;
  fibre.context.uc_link = nullptr;
  makecontext(&fibre.context, begin, 0);
#endif
}

uint64_t shuffled(uint64_t& state) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

template <class... A>
const char* failed(const char* format, A... a) {
  snprintf(block->error, sizeof block->error, format, a...);
  return block->error;
}

// Counts a lane that waits at a collective; whether it was the last of its warp. `same`: that all wait at the same one.
bool completes_warp(const Fibre& fibre, bool& same) {
  const size_t warp = fibre.thread / WARP, first = warp * WARP;
  const size_t lanes = block->fibres.size() - first < WARP ? block->fibres.size() - first : WARP;
  if (++block->arrived[warp] < lanes) return false;
  block->arrived[warp] = 0;
  for (size_t t = first; t < first + lanes; t++) same &= block->fibres[t].collective == fibre.collective;
  return true;
}

size_t count(Wait at) {
  size_t n = 0;
  for (const Fibre& fibre : block->fibres) n += fibre.at == at;
  return n;
}

void carry_out(const Copy& copy) {
  if (copy.valid) memcpy(copy.to, copy.from, 16);
  else memset(copy.to, 0, 16);
}

// Order 0: ascending; 1: descending; others shuffle, anew after each rendezvous, and do half of the copies early.
const char* run_block(uint32_t threads, uint32_t shared, uint64_t order) {
  block->slots.assign((threads + WARP - 1) / WARP * 2 * WARP * SHOWN, 0xDEADBEEFDEADBEEFull);
  block->shared.assign(shared + 128 + MARGIN, POISON);
  if (block->stack_count < threads) {
    if (block->stacks) munmap(block->stacks, block->stack_count * STACK);
    block->stack_count = threads;
    block->stacks = (char*)mmap(nullptr, threads * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (block->stacks == MAP_FAILED) {
      block->stacks = nullptr;
      block->stack_count = 0;
      return failed("no memory for the stacks of %u threads", threads);
    }
  }
  block->fibres.resize(threads);
  block->arrived.assign((threads + WARP - 1) / WARP, 0);
  for (uint32_t t = 0; t < threads; t++) prepare(block->fibres[t], t);
  // Who may run: at first and after a barrier all, after a collective its warp.
  std::vector<uint32_t> ready, next;
  const auto add = [&](uint32_t first, uint32_t end) {
    for (uint32_t i = first; i < end; i++) {
      const uint32_t t = order == 1 ? first + end - 1 - i : i;
      block->fibres[t].at = RUNNING;
      next.push_back(t);
    }
  };
  add(0, threads);
  uint64_t dice = order * 0x9E3779B97F4A7C15ull + 1;
  block->dice = order > 1 ? dice : 0;
  block->fault = nullptr;
  uint32_t at_barrier = 0, ended = 0;
  while (ended < threads) {
    ready.swap(next);
    next.clear();
    if (order > 1)
      for (size_t i = ready.size() - 1; i > 0; i--) std::swap(ready[i], ready[shuffled(dice) % (i + 1)]);
    bool same = true;
    for (uint32_t t : ready) {
      Fibre& fibre = block->fibres[t];
      go_on(fibre);
      ended += fibre.at == ENDED;
      at_barrier += fibre.at == AT_BARRIER;
      if (fibre.at == AT_COLLECTIVE && completes_warp(fibre, same)) {
        const uint32_t first = t / WARP * WARP;
        add(first, first + WARP < threads ? first + WARP : threads);
      }
    }
    if (block->fault) return failed("%s, block (%u, %u, %u)", block->fault, blockIdx.x, blockIdx.y, blockIdx.z);
    if (!same) return failed("lanes of a warp wait at different collectives, block (%u, %u, %u)", blockIdx.x, blockIdx.y, blockIdx.z);
    if (at_barrier == threads) {
      add(0, threads);
      at_barrier = 0;
    }
    if (next.empty() && ended < threads)
      return failed("divergent barrier: of %u threads %zu wait at it, %zu at a collective, %zu have ended, block (%u, %u, %u)", threads,
                    count(AT_BARRIER), count(AT_COLLECTIVE), count(ENDED), blockIdx.x, blockIdx.y, blockIdx.z);
  }
  const unsigned char* behind = dynamic_shared() + shared;
  for (size_t i = 0; i + 128 < MARGIN; i++)
    if (behind[i] != POISON) return failed("written %zu bytes behind %u bytes of shared memory", i + 1, shared);
  return nullptr;
}

}  // namespace

void wait(Wait where, int collective) {
  block->running->at = where;
  block->running->collective = collective;
  to_scheduler();
}

unsigned char* dynamic_shared() { return (unsigned char*)(((uintptr_t)block->shared.data() + 127) & ~(uintptr_t)127); }

uint32_t lane() { return block->running->thread % WARP; }

uint64_t* shown(uint32_t lane) {
  const Fibre& me = *block->running;
  return &block->slots[((me.thread / WARP * 2 + me.turn) * WARP + lane) * SHOWN];
}

void end_collective() { block->running->turn ^= 1; }

void must_be_aligned(const void* p, const char* otherwise) {
  if ((uintptr_t)p % 16 != 0) block->fault = otherwise;
}

void queue_copy(void* to, const void* from, bool valid) {
  must_be_aligned(to, "asynchronous copy to an address that is no multiple of 16");
  must_be_aligned(from, "asynchronous copy from an address that is no multiple of 16");
  const Copy copy = {to, from, valid};
  if (block->dice && shuffled(block->dice) % 2) carry_out(copy);
  block->running->copies.push_back(copy);
  block->running->open++;
}

void commit_copies() {
  Fibre& me = *block->running;
  me.groups.push_back(me.open);
  me.open = 0;
}

void await_copies(uint32_t pending) {
  Fibre& me = *block->running;
  if (me.groups.size() <= pending) return;
  const size_t done = me.groups.size() - pending;
  size_t end = 0;
  for (size_t g = 0; g < done; g++) end += me.groups[g];
  for (size_t i = 0; i < end; i++) carry_out(me.copies[i]);
  me.copies.erase(me.copies.begin(), me.copies.begin() + end);
  me.groups.erase(me.groups.begin(), me.groups.begin() + done);
}

const char* run(Body body, const uint32_t grid[3], uint32_t threads, uint32_t shared, void** arguments, uint64_t order) {
  thread_local Block mine;
  block = &mine;
  block->body = body;
  block->arguments = arguments;
  gridDim = {grid[0], grid[1], grid[2]};
  blockDim = {threads, 1, 1};
  for (uint32_t z = 0; z < grid[2]; z++)
    for (uint32_t y = 0; y < grid[1]; y++)
      for (uint32_t x = 0; x < grid[0]; x++) {
        blockIdx = {x, y, z};
        if (const char* error = run_block(threads, shared, order)) return error;
      }
  return nullptr;
}

}  // namespace fibres
