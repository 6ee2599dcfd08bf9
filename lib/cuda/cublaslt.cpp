#include "cuda/cublaslt.h"

#include <dlfcn.h>

#include <vector>

#include "core/cuda_device.h"
#include "core/error.h"

namespace glq::cuda {

struct CublasLt::Functions {
  decltype(&cublasLtCreate) create;
  decltype(&cublasLtDestroy) destroy;
  decltype(&cublasLtGetVersion) version;
  decltype(&cublasLtMatmul) matmul;
  decltype(&cublasLtMatmulDescCreate) desc_create;
  decltype(&cublasLtMatmulDescDestroy) desc_destroy;
  decltype(&cublasLtMatmulDescSetAttribute) desc_set;
  decltype(&cublasLtMatrixLayoutCreate) layout_create;
  decltype(&cublasLtMatrixLayoutDestroy) layout_destroy;
  decltype(&cublasLtMatmulPreferenceCreate) preference_create;
  decltype(&cublasLtMatmulPreferenceDestroy) preference_destroy;
  decltype(&cublasLtMatmulPreferenceSetAttribute) preference_set;
  decltype(&cublasLtMatmulAlgoGetHeuristic) heuristic;

  bool Load(void* library) {
    const auto get = [library](auto& f, const char* name) {
      f = reinterpret_cast<std::remove_reference_t<decltype(f)>>(dlsym(library, name));
      return f != nullptr;
    };
    return get(create, "cublasLtCreate") && get(destroy, "cublasLtDestroy") && get(version, "cublasLtGetVersion") &&
           get(matmul, "cublasLtMatmul") && get(desc_create, "cublasLtMatmulDescCreate") &&
           get(desc_destroy, "cublasLtMatmulDescDestroy") && get(desc_set, "cublasLtMatmulDescSetAttribute") &&
           get(layout_create, "cublasLtMatrixLayoutCreate") && get(layout_destroy, "cublasLtMatrixLayoutDestroy") &&
           get(preference_create, "cublasLtMatmulPreferenceCreate") &&
           get(preference_destroy, "cublasLtMatmulPreferenceDestroy") &&
           get(preference_set, "cublasLtMatmulPreferenceSetAttribute") &&
           get(heuristic, "cublasLtMatmulAlgoGetHeuristic");
  }
};

namespace {

void Check(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error(GLQ_E_CUBLAS, std::string(what) + ": status " + std::to_string(static_cast<int>(status)),
              GLQ_NATIVE_CUBLAS, static_cast<int32_t>(status));
}

}  // namespace

CublasLt::CublasLt(int device, const char* path) : device_(device), functions_(std::make_unique<Functions>()) {
  const ScopedDevice scope(device_);  // where it makes its handle
  struct Try {
    std::string name;
    int flags;
  };
  std::vector<Try> tries;
  if (path != nullptr && *path != '\0') {
    tries.push_back({path, RTLD_NOW | RTLD_LOCAL});
  } else {
    // The versions whose interface is the one this file was compiled against: a copy that is loaded already
    // (a framework's) first.
    for (const char* name : {"libcublasLt.so.13", "libcublasLt.so.12"}) tries.push_back({name, RTLD_NOW | RTLD_NOLOAD});
    for (const char* name : {"libcublasLt.so.13", "libcublasLt.so.12", "/usr/local/cuda/lib64/libcublasLt.so"}) {
      tries.push_back({name, RTLD_NOW | RTLD_LOCAL});
    }
  }
  std::string tried;
  for (const Try& t : tries) {
    void* library = dlopen(t.name.c_str(), t.flags);
    if (library != nullptr && functions_->Load(library) && functions_->create(&handle_) == CUBLAS_STATUS_SUCCESS) {
      version_ = static_cast<int>(functions_->version());
      message_ = t.name + ", version " + std::to_string(version_);
      return;  // stays loaded: nothing tells when its last kernel has run
    }
    handle_ = nullptr;
    if (!(t.flags & RTLD_NOLOAD)) {
      const char* why = library != nullptr ? "lacks a function, or cublasLtCreate failed" : dlerror();
      tried += (tried.empty() ? "" : "; ") + t.name + ": " + (why != nullptr ? why : "not found");
    }
  }
  message_ = "not found: " + tried;
}

CublasLt::~CublasLt() {
  const ScopedDevice scope(device_);
  if (handle_ != nullptr) static_cast<void>(functions_->destroy(handle_));
}

void CublasLt::MultiplyInt8(const int8_t* w, const int8_t* x, int32_t* out, int64_t n, int64_t k, int64_t t,
                            void* workspace, cudaStream_t stream) const {
  constexpr int32_t kOne = 1, kZero = 0;
  Multiply({CUBLAS_COMPUTE_32I, CUDA_R_32I, CUDA_R_8I, CUDA_R_32I, &kOne, &kZero}, w, x, out, n, k, t, workspace,
           stream);
}

void CublasLt::MultiplyF16(const uint16_t* w, const uint16_t* x, float factor, float* out, int64_t n, int64_t k,
                           int64_t t, void* workspace, cudaStream_t stream) const {
  constexpr float kZero = 0;
  Multiply({CUBLAS_COMPUTE_32F, CUDA_R_32F, CUDA_R_16F, CUDA_R_32F, &factor, &kZero}, w, x, out, n, k, t, workspace,
           stream);
}

void CublasLt::Multiply(const Product& product, const void* w, const void* x, void* out, int64_t n, int64_t k,
                        int64_t t, void* workspace, cudaStream_t stream) const {
  const Functions& f = *functions_;
  // cuBLASLt is column-major: out^T (n x t) = w (n x k) x^T (k x t), with w stored as its transpose.
  struct Objects {
    const Functions& f;
    cublasLtMatmulDesc_t desc = nullptr;
    cublasLtMatrixLayout_t a = nullptr, b = nullptr, c = nullptr;
    cublasLtMatmulPreference_t preference = nullptr;
    ~Objects() {
      if (preference) f.preference_destroy(preference);
      if (c) f.layout_destroy(c);
      if (b) f.layout_destroy(b);
      if (a) f.layout_destroy(a);
      if (desc) f.desc_destroy(desc);
    }
  } o{f};
  Check(f.desc_create(&o.desc, product.compute, product.scale), "cublasLtMatmulDescCreate");
  const cublasOperation_t transpose = CUBLAS_OP_T;
  Check(f.desc_set(o.desc, CUBLASLT_MATMUL_DESC_TRANSA, &transpose, sizeof(transpose)),
        "cublasLtMatmulDescSetAttribute");
  const auto un = static_cast<uint64_t>(n), uk = static_cast<uint64_t>(k), ut = static_cast<uint64_t>(t);
  Check(f.layout_create(&o.a, product.input, uk, un, k), "cublasLtMatrixLayoutCreate");
  Check(f.layout_create(&o.b, product.input, uk, ut, k), "cublasLtMatrixLayoutCreate");
  Check(f.layout_create(&o.c, product.output, un, ut, n), "cublasLtMatrixLayoutCreate");
  Check(f.preference_create(&o.preference), "cublasLtMatmulPreferenceCreate");
  const size_t bytes = kWorkspaceBytes;
  Check(f.preference_set(o.preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes, sizeof(bytes)),
        "cublasLtMatmulPreferenceSetAttribute");
  // Outputs of a group's weights follow one another: rows of a multiple of 16 elements of 4 bytes.
  const uint32_t alignment = 64;
  for (const auto attribute :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
    Check(f.preference_set(o.preference, attribute, &alignment, sizeof(alignment)),
          "cublasLtMatmulPreferenceSetAttribute");
  }
  cublasLtMatmulHeuristicResult_t choice{};
  int found = 0;
  Check(f.heuristic(handle_, o.desc, o.a, o.b, o.c, o.c, o.preference, 1, &choice, &found),
        "cublasLtMatmulAlgoGetHeuristic");
  if (found == 0) throw Error(GLQ_E_CUBLAS, "cuBLASLt has no algorithm for this product", GLQ_NATIVE_CUBLAS, 0);
  Check(f.matmul(handle_, o.desc, product.factor, w, o.a, x, o.b, product.zero, out, o.c, out, o.c, &choice.algo,
                 workspace, bytes, stream),
        "cublasLtMatmul");
}

}  // namespace glq::cuda
