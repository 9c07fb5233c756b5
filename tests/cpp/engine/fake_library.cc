#include <cstdint>

extern "C" __attribute__((visibility("default"))) int32_t getInferLibVersion() { return FAKE_VERSION; }
