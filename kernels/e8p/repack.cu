// Checkpoint layout <-> kernel layout (layout.h), bit for bit in both directions, and codes <-> checkpoint words.
// Runs when a weight is made or exported; one thread per lane of a unit.
#include "common/launch.h"
#include "e8p/launch.h"
#include "e8p/layout.h"

namespace glq::kernels {
namespace {

constexpr int kThreads = 256;

__host__ __device__ constexpr int64_t Units(int64_t cols) { return (cols + kUnitCols - 1) / kUnitCols; }

unsigned Blocks(int64_t n) { return static_cast<unsigned>((n + kThreads - 1) / kThreads); }

// The high half of a checkpoint word is a bit matrix: nibble j holds sign bit j of slots 0..3. The kernel wants a
// byte per slot. Both directions are the same transposition of 8 x 4 bits.
__device__ __forceinline__ uint32_t SignsToBytes(uint32_t matrix) {
  uint32_t bytes = 0;
#pragma unroll
  for (int slot = 0; slot < 4; ++slot) {
#pragma unroll
    for (int j = 0; j < 8; ++j) bytes |= ((matrix >> (4 * j + slot)) & 1u) << (8 * slot + j);
  }
  return bytes;
}
__device__ __forceinline__ uint32_t BytesToSigns(uint32_t bytes) {
  uint32_t matrix = 0;
#pragma unroll
  for (int slot = 0; slot < 4; ++slot) {
#pragma unroll
    for (int j = 0; j < 8; ++j) matrix |= ((bytes >> (8 * slot + j)) & 1u) << (4 * j + slot);
  }
  return matrix;
}

__global__ void RepackE8pKernel(const uint64_t* packed, int64_t row_tiles, int64_t col_tiles, int64_t units,
                                uint4* weights) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= row_tiles * units * 32) return;
  const int64_t tile = i / (units * 32), unit = i / 32 % units, lane = i % 32;
  const uint64_t* row = packed + tile * col_tiles * 32 + lane;
  const uint64_t w0 = row[2 * unit * 32];
  const uint64_t w1 = 2 * unit + 1 < col_tiles ? row[(2 * unit + 1) * 32] : 0;
  weights[i] = make_uint4(static_cast<uint32_t>(w0), SignsToBytes(static_cast<uint32_t>(w0 >> 32)),
                          static_cast<uint32_t>(w1), SignsToBytes(static_cast<uint32_t>(w1 >> 32)));
}

__global__ void ExportE8pKernel(const uint4* weights, int64_t row_tiles, int64_t col_tiles, int64_t units,
                                uint64_t* packed) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= row_tiles * units * 32) return;
  const int64_t tile = i / (units * 32), unit = i / 32 % units, lane = i % 32;
  const uint4 w = weights[i];
  uint64_t* row = packed + tile * col_tiles * 32 + lane;
  row[2 * unit * 32] = w.x | static_cast<uint64_t>(BytesToSigns(w.y)) << 32;
  if (2 * unit + 1 < col_tiles) row[(2 * unit + 1) * 32] = w.z | static_cast<uint64_t>(BytesToSigns(w.w)) << 32;
}

// codes u8 [rows][cols / 8]; slot s of lane (p, q): row 2p + (s & 1), group 2q + (s >> 1) of the k tile.
__global__ void RepackE81bKernel(const uint8_t* codes, int64_t row_tiles, int64_t groups, int64_t units,
                                 uint2* weights) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= row_tiles * units * 32) return;
  const int64_t tile = i / (units * 32), unit = i / 32 % units, lane = i % 32, p = lane >> 2, q = lane & 3;
  uint32_t words[2] = {0, 0};
  for (int h = 0; h < 2; ++h) {
    for (int s = 0; s < 4; ++s) {
      const int64_t group = (unit * 2 + h) * 8 + 2 * q + (s >> 1);
      if (group < groups) {
        words[h] |= static_cast<uint32_t>(codes[(tile * 16 + 2 * p + (s & 1)) * groups + group]) << (8 * s);
      }
    }
  }
  weights[i] = make_uint2(words[0], words[1]);
}

__global__ void ExportE81bKernel(const uint2* weights, int64_t row_tiles, int64_t groups, int64_t units,
                                 uint8_t* codes) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= row_tiles * units * 32) return;
  const int64_t tile = i / (units * 32), unit = i / 32 % units, lane = i % 32, p = lane >> 2, q = lane & 3;
  const uint32_t words[2] = {weights[i].x, weights[i].y};
  for (int h = 0; h < 2; ++h) {
    for (int s = 0; s < 4; ++s) {
      const int64_t group = (unit * 2 + h) * 8 + 2 * q + (s >> 1);
      if (group < groups) {
        codes[(tile * 16 + 2 * p + (s & 1)) * groups + group] = static_cast<uint8_t>(words[h] >> (8 * s));
      }
    }
  }
}

// One thread per checkpoint word: word (A, E, p, q) holds rows 16A + 2p + (s & 1), groups 8E + 2q + (s >> 1).
__global__ void PackKernel(const uint16_t* codes, int64_t words, int64_t groups, uint64_t* packed) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= words) return;
  const int64_t col_tiles = groups / 8, lane = i % 32, tile = i / 32;
  const int64_t row = tile / col_tiles * 16 + (lane >> 2) * 2, group = tile % col_tiles * 8 + (lane & 3) * 2;
  uint32_t rows = 0, signs = 0;
  for (int s = 0; s < 4; ++s) {
    const uint32_t code = codes[(row + (s & 1)) * groups + group + (s >> 1)];
    rows |= (code >> 8) << (8 * s);
    signs |= (code & 255) << (8 * s);
  }
  packed[i] = rows | static_cast<uint64_t>(BytesToSigns(signs)) << 32;
}

__global__ void UnpackKernel(const uint64_t* packed, int64_t words, int64_t groups, uint16_t* codes) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= words) return;
  const int64_t col_tiles = groups / 8, lane = i % 32, tile = i / 32;
  const int64_t row = tile / col_tiles * 16 + (lane >> 2) * 2, group = tile % col_tiles * 8 + (lane & 3) * 2;
  const uint32_t rows = static_cast<uint32_t>(packed[i]), signs = SignsToBytes(static_cast<uint32_t>(packed[i] >> 32));
  for (int s = 0; s < 4; ++s) {
    codes[(row + (s & 1)) * groups + group + (s >> 1)] =
        static_cast<uint16_t>(((rows >> (8 * s)) & 255) << 8 | ((signs >> (8 * s)) & 255));
  }
}

}  // namespace

void LaunchRepackE8p(const uint64_t* packed, int64_t rows, int64_t cols, uint4* weights, cudaStream_t stream) {
  const int64_t n = rows / 16 * Units(cols) * 32;
  Launch("repack_e8p", RepackE8pKernel, {dim3(Blocks(n)), dim3(kThreads)}, stream, packed, rows / 16, cols / 64,
         Units(cols), weights);
}
void LaunchExportE8p(const uint4* weights, int64_t rows, int64_t cols, uint64_t* packed, cudaStream_t stream) {
  const int64_t n = rows / 16 * Units(cols) * 32;
  Launch("export_e8p", ExportE8pKernel, {dim3(Blocks(n)), dim3(kThreads)}, stream, weights, rows / 16, cols / 64,
         Units(cols), packed);
}
void LaunchRepackE81b(const uint8_t* codes, int64_t rows, int64_t cols, uint2* weights, cudaStream_t stream) {
  const int64_t n = rows / 16 * Units(cols) * 32;
  Launch("repack_e81b", RepackE81bKernel, {dim3(Blocks(n)), dim3(kThreads)}, stream, codes, rows / 16, cols / 8,
         Units(cols), weights);
}
void LaunchExportE81b(const uint2* weights, int64_t rows, int64_t cols, uint8_t* codes, cudaStream_t stream) {
  const int64_t n = rows / 16 * Units(cols) * 32;
  Launch("export_e81b", ExportE81bKernel, {dim3(Blocks(n)), dim3(kThreads)}, stream, weights, rows / 16, cols / 8,
         Units(cols), codes);
}
void LaunchPack(const uint16_t* codes, int64_t rows, int64_t cols, uint64_t* packed, cudaStream_t stream) {
  const int64_t words = rows / 16 * (cols / 64) * 32;
  if (words == 0) return;
  Launch("pack", PackKernel, {dim3(Blocks(words)), dim3(kThreads)}, stream, codes, words, cols / 8, packed);
}
void LaunchUnpack(const uint64_t* packed, int64_t rows, int64_t cols, uint16_t* codes, cudaStream_t stream) {
  const int64_t words = rows / 16 * (cols / 64) * 32;
  if (words == 0) return;
  Launch("unpack", UnpackKernel, {dim3(Blocks(words)), dim3(kThreads)}, stream, packed, words, cols / 8, codes);
}

void LoadRepackKernels() {
  LoadKernels(RepackE8pKernel, ExportE8pKernel, RepackE81bKernel, ExportE81bKernel, PackKernel, UnpackKernel);
}

}  // namespace glq::kernels
