#include "gpu_cublaslt.h"

#include <dlfcn.h>

#include <array>
#include <cstdlib>
#include <stdexcept>
#include <type_traits>
#include <vector>

namespace glq::bench {

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
    const auto get = [library](auto& function, const char* name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
      return function != nullptr;
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

constexpr size_t kWorkspaceBytes = size_t{64} << 20;
constexpr int kAlgorithms = 3;

void Check(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw std::runtime_error(std::string(what) + ": cuBLASLt status " + std::to_string(static_cast<int>(status)));
}

}  // namespace

CublasLt::CublasLt(const std::string& path) : functions_(std::make_unique<Functions>()) {
  std::vector<std::string> names;
  if (!path.empty()) {
    names.push_back(path);
  } else {
    if (const char* given = std::getenv("GLQ_CUBLASLT_LIBRARY"); given != nullptr && *given != '\0')
      names.push_back(given);
    names.insert(names.end(), {"libcublasLt.so.13", "libcublasLt.so.12", "/usr/local/cuda/lib64/libcublasLt.so"});
  }
  for (const std::string& name : names) {
    void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library != nullptr && functions_->Load(library) && functions_->create(&handle_) == CUBLAS_STATUS_SUCCESS) {
      message_ = name + ", version " + std::to_string(functions_->version());
      return;
    }
    const char* why = library == nullptr ? dlerror() : "lacks a function, or cublasLtCreate failed";
    message_ += (message_.empty() ? "not found: " : "; ") + name + ": " + (why != nullptr ? why : "cannot be loaded");
    handle_ = nullptr;
  }
}

CublasLt::~CublasLt() {
  if (handle_ != nullptr) static_cast<void>(functions_->destroy(handle_));
}

struct Bf16Product::State {
  const CublasLt::Functions& f;
  cublasLtHandle_t handle;
  cublasLtMatmulDesc_t desc = nullptr;
  cublasLtMatrixLayout_t w = nullptr, x = nullptr, y = nullptr;
  cublasLtMatmulPreference_t preference = nullptr;
  std::array<cublasLtMatmulHeuristicResult_t, kAlgorithms> choices{};
  int found = 0;
  DeviceBuffer workspace{kWorkspaceBytes};

  State(const CublasLt& library) : f(library.functions()), handle(library.handle()) {}
  ~State() {
    if (preference) f.preference_destroy(preference);
    if (y) f.layout_destroy(y);
    if (x) f.layout_destroy(x);
    if (w) f.layout_destroy(w);
    if (desc) f.desc_destroy(desc);
  }
};

Bf16Product::Bf16Product(const CublasLt& library, int64_t n, int64_t k, int64_t tokens)
    : state_(std::make_unique<State>(library)) {
  State& s = *state_;
  // cuBLASLt is column-major: y^T (n x tokens) = w (n x k) x^T (k x tokens), with w stored as its transpose.
  Check(s.f.desc_create(&s.desc, CUBLAS_COMPUTE_32F, CUDA_R_32F), "cublasLtMatmulDescCreate");
  const cublasOperation_t transpose = CUBLAS_OP_T;
  Check(s.f.desc_set(s.desc, CUBLASLT_MATMUL_DESC_TRANSA, &transpose, sizeof(transpose)),
        "cublasLtMatmulDescSetAttribute");
  const auto un = static_cast<uint64_t>(n), uk = static_cast<uint64_t>(k), ut = static_cast<uint64_t>(tokens);
  Check(s.f.layout_create(&s.w, CUDA_R_16BF, uk, un, k), "cublasLtMatrixLayoutCreate");
  Check(s.f.layout_create(&s.x, CUDA_R_16BF, uk, ut, k), "cublasLtMatrixLayoutCreate");
  Check(s.f.layout_create(&s.y, CUDA_R_16BF, un, ut, n), "cublasLtMatrixLayoutCreate");
  Check(s.f.preference_create(&s.preference), "cublasLtMatmulPreferenceCreate");
  Check(s.f.preference_set(s.preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &kWorkspaceBytes,
                           sizeof(kWorkspaceBytes)),
        "cublasLtMatmulPreferenceSetAttribute");
  Check(s.f.heuristic(s.handle, s.desc, s.w, s.x, s.y, s.y, s.preference, kAlgorithms, s.choices.data(), &s.found),
        "cublasLtMatmulAlgoGetHeuristic");
  if (s.found == 0) throw std::runtime_error("cuBLASLt has no algorithm for this product");
}

Bf16Product::~Bf16Product() = default;

int Bf16Product::algorithms() const { return state_->found; }

void Bf16Product::Run(const void* w, const void* x, void* y, cudaStream_t stream) const {
  const State& s = *state_;
  const float one = 1.0f, zero = 0.0f;
  Check(s.f.matmul(s.handle, s.desc, &one, w, s.w, x, s.x, &zero, y, s.y, y, s.y,
                   &s.choices[static_cast<size_t>(chosen_)].algo, s.workspace.data(), kWorkspaceBytes, stream),
        "cublasLtMatmul");
}

Timing MeasureBf16(const Machine& machine, const TimingOptions& options, Bf16Product& product, int period,
                   const std::function<const void*(int)>& weight, const std::function<const void*(int)>& x,
                   const std::function<void*(int)>& y) {
  const auto op = [&](int i) { product.Run(weight(i), x(i), y(i), machine.stream()); };
  TimingOptions brief = options;
  brief.replays = 5;
  int best = 0;
  double best_us = 0;
  for (int i = 0; i < product.algorithms(); ++i) {
    product.Choose(i);
    const double us = MeasureGraph(machine, brief, period, op).median_us;
    if (i == 0 || us < best_us) best = i, best_us = us;
  }
  product.Choose(best);
  return MeasureGraph(machine, options, period, op);
}

}  // namespace glq::bench
