// Saved states: options, Hessian, and what a cancelled run has done.
//
//   "GLQQUANT"  u32 version  u32 flags (1: Hessian, 2: cancelled run)
//   options     i64 in_features, out_features; u32 bits, pow2, seed, refine_passes, scale_mode, 0;
//               f64 damping, damping_rht, input_scale, rho_e8p, rho_e81b
//   f64 samples
//   Hessian     f64, the tiles of SymmetricTiles
//   run         u64 weight hash; f64 input, rho_e8p, rho_e81b, Wscale, seconds; i64 strips done;
//               then for these strips: u16 codes of every stage, row sums
//   u64 checksum of all that is before it
// All little-endian.
#include <bit>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "platform/fp_env.h"
#include "quantizer/quantizer.h"

namespace glq::quantizer {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr char kMagic[8] = {'G', 'L', 'Q', 'Q', 'U', 'A', 'N', 'T'};
constexpr uint32_t kVersion = 1;
enum : uint32_t { kHasHessian = 1, kHasRun = 2 };
constexpr size_t kHeader = 16 + 16 + 24 + 40 + 8;
constexpr size_t kRun = 56;

uint64_t Checksum(const std::byte* data, size_t bytes) {
  uint64_t hash = 0xcbf29ce484222325u ^ bytes;
  const auto mix = [&](uint64_t word) {
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 32;
  };
  for (; bytes >= 8; bytes -= 8, data += 8) {
    uint64_t word;
    std::memcpy(&word, data, 8);
    mix(word);
  }
  uint64_t tail = 0;
  std::memcpy(&tail, data, bytes);
  mix(tail);
  return hash;
}

class Writer {
 public:
  explicit Writer(void* to) : at_(static_cast<std::byte*>(to)) {}
  template <typename T>
  void Put(T value) {
    PutArray(&value, 1);
  }
  template <typename T>
  void PutArray(const T* values, size_t n) {
    if (n > 0) std::memcpy(at_, values, n * sizeof(T));
    at_ += n * sizeof(T);
  }
  std::byte* at() const { return at_; }

 private:
  std::byte* at_;
};

class Reader {
 public:
  Reader(const std::byte* from, size_t bytes) : at_(from), left_(bytes) {}
  template <typename T>
  T Get() {
    T value;
    GetArray(&value, 1, "header");
    return value;
  }
  template <typename T>
  void GetArray(T* values, size_t n, const char* what) {
    Need(n, sizeof(T), what);
    if (n > 0) std::memcpy(values, at_, n * sizeof(T));
    at_ += n * sizeof(T);
    left_ -= n * sizeof(T);
  }
  // Before memory is set aside for what a hostile header only claims to hold.
  void Need(size_t n, size_t size, const char* what) const {
    if (n > left_ / size) {
      Fail(GLQ_E_BAD_FILE, "quantizer state: %s needs %zu elements of %zu bytes, %zu bytes are left", what, n, size,
           left_);
    }
  }
  size_t left() const { return left_; }

 private:
  const std::byte* at_;
  size_t left_;
};

bool AllFinite(const double* x, size_t n) { return FirstNotFinite(x, static_cast<int64_t>(n)) < 0; }

}  // namespace

size_t Quantizer::SavedSize() const {
  size_t bytes = kHeader + hessian_.data().size() * sizeof(double) + 8;
  if (progress_.active) {
    const int64_t np = PaddedIn(options_.in_features, options_.pow2_layout);
    const size_t rows = static_cast<size_t>(progress_.strips_done * kStrip);
    bytes += kRun + rows * (static_cast<size_t>(stages() * (np / kBlock)) * sizeof(uint16_t) + sizeof(RowSums));
  }
  return bytes;
}

void Quantizer::Save(void* buffer) const {
  Writer out(buffer);
  out.PutArray(kMagic, sizeof(kMagic));
  out.Put(kVersion);
  out.Put<uint32_t>((hessian_.empty() ? 0u : kHasHessian) | (progress_.active ? kHasRun : 0u));
  out.Put(options_.in_features);
  out.Put(options_.out_features);
  out.Put<uint32_t>(options_.bits);
  out.Put<uint32_t>(options_.pow2_layout);
  out.Put(options_.seed);
  out.Put<uint32_t>(options_.refine_passes);
  out.Put<uint32_t>(static_cast<uint32_t>(options_.scale_mode));
  out.Put<uint32_t>(0);
  for (const double v :
       {options_.damping, options_.damping_rht, options_.input_scale, options_.rho_e8p, options_.rho_e81b, samples_}) {
    out.Put(v);
  }
  out.PutArray(hessian_.data().data(), hessian_.data().size());
  if (progress_.active) {
    out.Put(progress_.weight_hash);
    for (const double v : {progress_.scales.input, progress_.scales.rho_e8p, progress_.scales.rho_e81b,
                           progress_.weight_scale, progress_.seconds}) {
      out.Put(v);
    }
    out.Put(progress_.strips_done);
    const size_t rows = static_cast<size_t>(progress_.strips_done * kStrip);
    const size_t groups = static_cast<size_t>(PaddedIn(options_.in_features, options_.pow2_layout) / kBlock);
    for (const auto& codes : progress_.codes) out.PutArray(codes.data(), rows * groups);
    out.PutArray(progress_.sums.data(), rows);
  }
  const std::byte* begin = static_cast<const std::byte*>(buffer);
  out.Put(Checksum(begin, static_cast<size_t>(out.at() - begin)));
}

Quantizer Quantizer::Load(const void* buffer, size_t bytes, Parallel* parallel) {
  const ScopedDefaultFp fp;
  const std::byte* begin = static_cast<const std::byte*>(buffer);
  if (bytes < kHeader + 8 || std::memcmp(begin, kMagic, sizeof(kMagic)) != 0) {
    Fail(GLQ_E_BAD_FILE, "quantizer state: %zu bytes that do not begin like a state of at least %zu bytes", bytes,
         kHeader + 8);
  }
  Reader in(begin + sizeof(kMagic), bytes - sizeof(kMagic) - 8);
  const uint32_t version = in.Get<uint32_t>();
  if (version != kVersion) {
    Fail(GLQ_E_BAD_FILE, "quantizer state: format version %u; this library reads version %u", version, kVersion);
  }
  uint64_t stored;
  std::memcpy(&stored, begin + bytes - 8, 8);
  const uint64_t computed = Checksum(begin, bytes - 8);
  if (stored != computed) {
    Fail(GLQ_E_BAD_FILE, "quantizer state: damaged (checksum %016llx, stored %016llx)",
         static_cast<unsigned long long>(computed), static_cast<unsigned long long>(stored));
  }
  const uint32_t flags = in.Get<uint32_t>();
  Options o;
  o.in_features = in.Get<int64_t>();
  o.out_features = in.Get<int64_t>();
  const uint32_t bits = in.Get<uint32_t>(), pow2 = in.Get<uint32_t>();
  o.seed = in.Get<uint32_t>();
  const uint32_t passes = in.Get<uint32_t>(), mode = in.Get<uint32_t>(), zero = in.Get<uint32_t>();
  if ((flags & ~(kHasHessian | kHasRun)) != 0 || bits > 8 || pow2 > 1 || passes > 100 || mode > 1 || zero != 0) {
    Fail(GLQ_E_BAD_FILE, "quantizer state: a field is out of range (flags %u, bits %u, layout %u, passes %u, mode %u)",
         flags, bits, pow2, passes, mode);
  }
  o.bits = static_cast<int>(bits);
  o.pow2_layout = pow2 != 0;
  o.refine_passes = static_cast<int>(passes);
  o.scale_mode = static_cast<ScaleMode>(mode);
  o.damping = in.Get<double>();
  o.damping_rht = in.Get<double>();
  o.input_scale = in.Get<double>();
  o.rho_e8p = in.Get<double>();
  o.rho_e81b = in.Get<double>();
  try {
    CheckOptions(o);
  } catch (const Error& e) {
    Fail(GLQ_E_BAD_FILE, "quantizer state: %s", e.what());
  }
  Quantizer q(o, parallel);
  q.samples_ = in.Get<double>();
  if (!(q.samples_ >= 0) || !std::isfinite(q.samples_)) {
    Fail(GLQ_E_BAD_FILE, "quantizer state: samples is %g; expected at least 0", q.samples_);
  }
  if (flags & kHasHessian) {
    in.Need(SymmetricTiles::Elements(o.in_features), sizeof(double), "the Hessian");
    q.hessian_ = SymmetricTiles(o.in_features);
    in.GetArray(q.hessian_.data().data(), q.hessian_.data().size(), "the Hessian");
    if (!AllFinite(q.hessian_.data().data(), q.hessian_.data().size())) {
      Fail(GLQ_E_BAD_FILE, "quantizer state: the Hessian holds NaN or infinity");
    }
    q.bound_ = LargestMagnitude(q.hessian_.data().data(), static_cast<int64_t>(q.hessian_.data().size()));
    if (q.bound_ > 2 * kLargestElement) {  // twice: rounding
      Fail(GLQ_E_BAD_FILE, "quantizer state: the Hessian holds %g; expected at most %g", q.bound_, kLargestElement);
    }
  }
  if (flags & kHasRun) {
    Progress& p = q.progress_;
    p.weight_hash = in.Get<uint64_t>();
    p.scales.input = in.Get<double>();
    p.scales.rho_e8p = in.Get<double>();
    p.scales.rho_e81b = in.Get<double>();
    p.weight_scale = in.Get<double>();
    p.seconds = in.Get<double>();
    p.strips_done = in.Get<int64_t>();
    const int64_t np = PaddedIn(o.in_features, o.pow2_layout), mp = PaddedOut(o.out_features, o.pow2_layout);
    const auto in_range = [](double v) { return v >= 1e-9 && v <= 1e9; };
    if (!in_range(p.scales.input) || !in_range(p.scales.rho_e8p) || !in_range(p.scales.rho_e81b) ||
        !(p.weight_scale >= 0) || !std::isfinite(p.weight_scale) || !(p.seconds >= 0) || !std::isfinite(p.seconds) ||
        p.strips_done < 0 || p.strips_done > mp / kStrip) {
      Fail(GLQ_E_BAD_FILE, "quantizer state: a run with scales %g, %g, %g, %g and %lld of %lld strips done",
           p.scales.input, p.scales.rho_e8p, p.scales.rho_e81b, p.weight_scale, static_cast<long long>(p.strips_done),
           static_cast<long long>(mp / kStrip));
    }
    const size_t rows = static_cast<size_t>(p.strips_done * kStrip), groups = static_cast<size_t>(np / kBlock);
    const size_t row_bytes = static_cast<size_t>(q.stages()) * groups * sizeof(uint16_t) + sizeof(RowSums);
    in.Need(rows, row_bytes, "a run");
    const Chain chain = q.MakeChain(p.scales);
    p.codes.resize(q.stages());
    for (int s = 0; s < chain.stages; ++s) {
      p.codes[s].resize(rows * groups);  // Run makes room for the rest
      in.GetArray(p.codes[s].data(), rows * groups, "codes");
      for (const uint16_t code : p.codes[s]) {
        if (chain.codebook[s] == e8p::Codebook::kE81B && code > 255) {
          Fail(GLQ_E_BAD_FILE, "quantizer state: code %u of an 8-bit stage", code);
        }
      }
    }
    p.sums.resize(rows);
    in.GetArray(p.sums.data(), rows, "row sums");
    static_assert(sizeof(RowSums) == 6 * sizeof(double));
    if (rows > 0 && !AllFinite(&p.sums[0].ehe, rows * 6)) {
      Fail(GLQ_E_BAD_FILE, "quantizer state: row sums hold NaN or infinity");
    }
    p.active = true;
  }
  if (in.left() != 0) Fail(GLQ_E_BAD_FILE, "quantizer state: %zu bytes too many", in.left());
  return q;
}

}  // namespace glq::quantizer
