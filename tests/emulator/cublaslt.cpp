// A library that can stand for cuBLASLt: the functions that lib/cuda/cublaslt.cpp looks for, and the two products that
// it asks for, in plain loops on the CPU. Whatever else it is asked for it refuses.
#include <cublasLt.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <cstring>
#include <vector>

namespace {

struct Desc {
  cublasComputeType_t compute;
  cudaDataType_t scale;
  cublasOperation_t transpose_a = CUBLAS_OP_N;
};
struct Layout {
  cudaDataType_t type;
  uint64_t rows, cols;
  int64_t stride;
};
struct Preference {
  uint64_t workspace_bytes = 0;
  uint32_t alignment_c = 256, alignment_d = 256;
};

Desc* Of(cublasLtMatmulDesc_t d) { return reinterpret_cast<Desc*>(d); }
Layout* Of(cublasLtMatrixLayout_t l) { return reinterpret_cast<Layout*>(l); }
Preference* Of(cublasLtMatmulPreference_t p) { return reinterpret_cast<Preference*>(p); }

bool IsInt8(const Desc& d, const Layout& a, const Layout& b, const Layout& c) {
  return d.compute == CUBLAS_COMPUTE_32I && d.scale == CUDA_R_32I && a.type == CUDA_R_8I && b.type == CUDA_R_8I &&
         c.type == CUDA_R_32I;
}
bool IsF16(const Desc& d, const Layout& a, const Layout& b, const Layout& c) {
  return d.compute == CUBLAS_COMPUTE_32F && d.scale == CUDA_R_32F && a.type == CUDA_R_16F && b.type == CUDA_R_16F &&
         c.type == CUDA_R_32F;
}
// Column-major c (n x t) = a^T (n x k) b (k x t), everything compact.
bool Fits(const Desc& d, const Layout& a, const Layout& b, const Layout& c) {
  const auto compact = [](const Layout& l) { return l.stride == static_cast<int64_t>(l.rows); };
  return d.transpose_a == CUBLAS_OP_T && a.rows == b.rows && a.cols == c.rows && b.cols == c.cols && compact(a) &&
         compact(b) && compact(c) && (IsInt8(d, a, b, c) || IsF16(d, a, b, c));
}

std::vector<float> Floats(const __half* from, size_t n) {
  std::vector<float> all(n);
  for (size_t i = 0; i < n; ++i) all[i] = __half2float(from[i]);
  return all;
}

// Eight sums side by side, so that compilers make vectors of them.
template <typename Sum, typename T>
Sum Dot(const T* a, const T* b, size_t k) {
  Sum part[8] = {};
  for (size_t i = 0; i < k; i += 8) {  // k is a multiple of 64
    for (size_t j = 0; j < 8; ++j) part[j] += static_cast<Sum>(a[i + j]) * static_cast<Sum>(b[i + j]);
  }
  Sum sum = 0;
  for (const Sum p : part) sum += p;
  return sum;
}

template <typename Sum, typename T>
void Product(const T* a, const T* b, Sum factor, Sum* c, size_t n, size_t k, size_t t) {
  for (size_t j = 0; j < t; ++j) {
    for (size_t i = 0; i < n; ++i) c[j * n + i] = factor * Dot<Sum>(a + i * k, b + j * k, k);
  }
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  static int object;
  *handle = reinterpret_cast<cublasLtHandle_t>(&object);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t) { return CUBLAS_STATUS_SUCCESS; }
size_t cublasLtGetVersion() { return CUBLAS_VERSION; }

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* desc, cublasComputeType_t compute, cudaDataType_t scale) {
  *desc = reinterpret_cast<cublasLtMatmulDesc_t>(new Desc{compute, scale});
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) {
  delete Of(desc);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, size_t bytes) {
  if (attribute != CUBLASLT_MATMUL_DESC_TRANSA || bytes != sizeof(cublasOperation_t))
    return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(&Of(desc)->transpose_a, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type, uint64_t rows,
                                          uint64_t cols, int64_t stride) {
  *layout = reinterpret_cast<cublasLtMatrixLayout_t>(new Layout{type, rows, cols, stride});
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  delete Of(layout);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  *preference = reinterpret_cast<cublasLtMatmulPreference_t>(new Preference);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete Of(preference);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute, const void* value,
                                                    size_t bytes) {
  Preference& p = *Of(preference);
  if (attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES && bytes == 8) {
    std::memcpy(&p.workspace_bytes, value, bytes);
  } else if (attribute == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES && bytes == 4) {
    std::memcpy(&p.alignment_c, value, bytes);
  } else if (attribute == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES && bytes == 4) {
    std::memcpy(&p.alignment_d, value, bytes);
  } else {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,
                                              cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                                              cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t preference,
                                              int wanted, cublasLtMatmulHeuristicResult_t* results, int* found) {
  *found = 0;
  if (wanted < 1 || c != d || !Fits(*Of(desc), *Of(a), *Of(b), *Of(c))) return CUBLAS_STATUS_NOT_SUPPORTED;
  *results = {};
  results->workspaceSize = Of(preference)->workspace_bytes;
  results->algo.data[0] = Of(preference)->alignment_c;
  results->algo.data[1] = Of(preference)->workspace_bytes;
  *found = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t desc, const void* alpha, const void* a,
                              cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout,
                              const void* beta, const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* algo, void* workspace,
                              size_t workspace_bytes, cudaStream_t) {
  const Layout &la = *Of(a_layout), &lb = *Of(b_layout);
  const auto aligned = [](const void* p, uint64_t bytes) { return reinterpret_cast<uintptr_t>(p) % bytes == 0; };
  if (c != d || c_layout != d_layout || !Fits(*Of(desc), la, lb, *Of(c_layout)) || workspace_bytes < algo->data[1] ||
      !aligned(a, 256) || !aligned(b, 256) || !aligned(d, algo->data[0]) || !aligned(workspace, 256)) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  std::memset(workspace, 0xA5, workspace_bytes);  // it is the library's
  if (Of(desc)->compute == CUBLAS_COMPUTE_32I) {
    if (*static_cast<const int32_t*>(beta) != 0) return CUBLAS_STATUS_NOT_SUPPORTED;
    Product(static_cast<const int8_t*>(a), static_cast<const int8_t*>(b), *static_cast<const int32_t*>(alpha),
            static_cast<int32_t*>(d), la.cols, la.rows, lb.cols);
  } else {
    if (*static_cast<const float*>(beta) != 0) return CUBLAS_STATUS_NOT_SUPPORTED;
    const std::vector<float> fa = Floats(static_cast<const __half*>(a), la.rows * la.cols),
                             fb = Floats(static_cast<const __half*>(b), lb.rows * lb.cols);
    Product(fa.data(), fb.data(), *static_cast<const float*>(alpha), static_cast<float*>(d), la.cols, la.rows, lb.cols);
  }
  return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
#pragma GCC visibility pop
