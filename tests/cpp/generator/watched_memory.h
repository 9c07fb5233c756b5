#pragma once

#include <cstddef>
#include <functional>

namespace nmt_trt::testing {

/// Host memory that the device sees at another address, of which the first kWatchedHead bytes can be told
/// from the rest: `looked` is called before the host reads one after the other, so that the device can do
/// anything between any two such reads.
inline constexpr size_t kWatchedHead = 4;

struct WatchedMemory {
  void* host;
  void* device;
};

/// Zeroed; null when it cannot be had. `bytes`: at most a page.
WatchedMemory allocate_watched(size_t bytes);
/// False when `host` is not such memory.
bool free_watched(void* host);
/// The address for the device, null when `host` is not such memory.
void* device_address(void* host);

/// From now on; an empty function ends it.
void watch(std::function<void()> looked);
/// The next look at any part is one after another: to be called now and then, because many looks without such
/// a call are taken for one access to both parts, which must be let through.
void watch_again();

}  // namespace nmt_trt::testing
