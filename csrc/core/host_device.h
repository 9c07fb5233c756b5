#pragma once

/// Before what kernels call too.
#ifdef __CUDACC__
#define NMT_TRT_HOST_DEVICE __host__ __device__
#else
#define NMT_TRT_HOST_DEVICE
#endif
