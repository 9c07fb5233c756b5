#include "watched_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <utility>
#include <vector>

namespace nmt_trt::testing {
namespace {

/// Two pages, mapped twice: the head ends the first one, the rest begins the second.
struct Pages {
  std::byte* host;
  std::byte* device;
};

constexpr int32_t kMostLooks = 16;

std::vector<Pages> all_pages;
std::function<void()> when_looked;
int32_t looks = 0;

size_t page_size() {
  static const auto size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

void protect(const Pages& pages, bool head, bool rest) {
  mprotect(pages.host, page_size(), head ? PROT_READ | PROT_WRITE : PROT_NONE);
  mprotect(pages.host + page_size(), page_size(), rest ? PROT_READ | PROT_WRITE : PROT_NONE);
}

void protect_all() {
  const bool open = !when_looked;
  for (const Pages& pages : all_pages) protect(pages, open, open);
}

// A fault comes from an access to watched memory and from nothing else, so what is called here need not fear
// to interrupt an allocation.
void on_fault(int /*signal*/, siginfo_t* info, void* /*context*/) {
  const auto* address = static_cast<const std::byte*>(info->si_addr);
  for (const Pages& pages : all_pages) {
    if (address < pages.host || address >= pages.host + 2 * page_size()) continue;
    if (++looks > kMostLooks) return protect(pages, true, true);
    when_looked();
    const bool head = address < pages.host + page_size();
    return protect(pages, head, !head);
  }
  signal(SIGSEGV, SIG_DFL);  // the fault comes again, and is nobody's
}

void catch_faults() {
  struct sigaction action{};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &action, nullptr);
}

std::byte* map(int file) {
  void* address = mmap(nullptr, 2 * page_size(), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  return address == MAP_FAILED ? nullptr : static_cast<std::byte*>(address);
}

std::byte* start_of(std::byte* pages) { return pages + page_size() - kWatchedHead; }

std::vector<Pages>::iterator find(void* host) {
  auto pages = all_pages.begin();
  while (pages != all_pages.end() && start_of(pages->host) != host) ++pages;
  return pages;
}

}  // namespace

WatchedMemory allocate_watched(size_t bytes) {
  if (bytes > page_size()) return {};
  const int file = memfd_create("watched", 0);
  if (file < 0) return {};
  if (ftruncate(file, static_cast<off_t>(2 * page_size())) != 0) {
    close(file);
    return {};
  }
  const Pages pages = {map(file), map(file)};
  close(file);
  if (pages.host == nullptr || pages.device == nullptr) return {};
  catch_faults();
  all_pages.push_back(pages);
  return {start_of(pages.host), start_of(pages.device)};
}

bool free_watched(void* host) {
  const auto pages = find(host);
  if (pages == all_pages.end()) return false;
  munmap(pages->host, 2 * page_size());
  munmap(pages->device, 2 * page_size());
  all_pages.erase(pages);
  return true;
}

void* device_address(void* host) {
  const auto pages = find(host);
  return pages == all_pages.end() ? nullptr : start_of(pages->device);
}

void watch(std::function<void()> looked) {
  when_looked = std::move(looked);
  looks = 0;
  protect_all();
}

void watch_again() {
  if (looks == 0) return;
  looks = 0;
  protect_all();
}

}  // namespace nmt_trt::testing
