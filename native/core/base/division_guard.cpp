#include "core/base/division_guard.h"

#include <atomic>
#include <mutex>

#if defined(__linux__) && defined(__x86_64__)
#include <signal.h>
#include <ucontext.h>

#include <cstddef>
#endif

namespace torchsearch {
namespace {

std::atomic<uint64_t> divisions{0};
std::atomic<int> guards{0};
static_assert(std::atomic<uint64_t>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

#if defined(__linux__) && defined(__x86_64__)

struct sigaction before;

// The bytes of the DIV or IDIV at `at`, or 0 if it is neither (Intel 64 manual, volume 2, "Instruction
// format").
size_t lengthOfDivision(const unsigned char* at) {
  size_t length = 0;
  while (at[length] == 0x66 || at[length] == 0x2E || at[length] == 0x3E) ++length;
  if ((at[length] & 0xF0) == 0x40) ++length;  // REX
  if (at[length] != 0xF6 && at[length] != 0xF7) return 0;
  ++length;
  const unsigned char modes = at[length++];
  const int mode = modes >> 6;
  const int operation = (modes >> 3) & 7;
  const int base = modes & 7;
  if (operation != 6 && operation != 7) return 0;
  if (mode == 3) return length;
  const bool indexed = base == 4;
  const bool absolute = mode == 0 && (indexed ? (at[length] & 7) == 5 : base == 5);
  if (indexed) ++length;
  if (mode == 1) return length + 1;
  return length + (mode == 2 || absolute ? 4 : 0);
}

void passOn(int signal, siginfo_t* info, void* context) {
  if ((before.sa_flags & SA_SIGINFO) != 0) {
    before.sa_sigaction(signal, info, context);
  } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    before.sa_handler(signal);
  } else {
    // The instruction faults again, and ends the process.
    ::sigaction(signal, &before, nullptr);
  }
}

void onFault(int signal, siginfo_t* info, void* context) {
  greg_t* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const size_t length = info->si_code == FPE_INTDIV && guards.load() > 0
                            ? lengthOfDivision(reinterpret_cast<const unsigned char*>(registers[REG_RIP]))
                            : 0;
  if (length == 0) return passOn(signal, info, context);
  ++divisions;
  registers[REG_RAX] = 0;
  registers[REG_RDX] = 0;
  registers[REG_RIP] += static_cast<greg_t>(length);
}

void install() {
  struct sigaction action = {};
  action.sa_sigaction = &onFault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGFPE, &action, &before);
}

#else

void install() {}

#endif

}  // namespace

DivisionGuard::DivisionGuard() : before_(divisions.load()) {
  static std::once_flag once;
  std::call_once(once, install);
  ++guards;
}

DivisionGuard::~DivisionGuard() {
  --guards;
}

bool DivisionGuard::divided() const {
  return divisions.load() != before_;
}

}  // namespace torchsearch
