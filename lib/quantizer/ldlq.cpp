#include "quantizer/ldlq.h"

#include <algorithm>

#include "quantizer/gemm.h"

namespace glq::quantizer {
namespace {

constexpr int64_t kPanel = kTile * kStrip;  // elements of a panel of one strip
constexpr int64_t kBlocksPerTile = kTile / kBlock;

// out <- x[jt] + sum over the panels right of jt of x[kt] L[kt, jt], for every strip.
void GatherPanel(const Layer& layer, int64_t jt, const double* x, int64_t count, double* out) {
  for (int64_t s = 0; s < count; ++s) {
    const double* from = x + (s * layer.np + jt * kTile) * kStrip;
    std::copy(from, from + kPanel, out + s * kPanel);
  }
  for (int64_t kt = jt + 1; kt < layer.l->tiles(); ++kt) {
    const double* tile = layer.l->Tile(kt, jt);
    for (int64_t s = 0; s < count; ++s) {
      AddProduct(out + s * kPanel, kStrip, {tile, 1, kTile}, x + (s * layer.np + kt * kTile) * kStrip, kStrip, kTile,
                 kTile, kStrip);
    }
  }
}

// The same within a panel: adds x[block] L[block, columns before it in the panel].
void FeedBack(const Layer& layer, int64_t jt, int64_t block, const double* x, double* panel) {
  if (block == 0) return;
  AddProduct(panel, kStrip, {layer.l->Tile(jt, jt) + block * kBlock, 1, kTile}, x, kStrip, kBlock, block * kBlock,
             kStrip);
}

// Adds the block's share of E H E^T, E H V^T and V H V^T; eta and zeta are the block's columns of E L and V L.
void AddWeighted(const double* d, const double* eta, const double* zeta, RowSums* sums) {
  for (int64_t i = 0; i < kBlock; ++i) {
    double de[kStrip] = {}, dv[kStrip] = {};
    for (int64_t k = 0; k < kBlock; ++k) {
      const double f = d[i * kBlock + k];
      for (int64_t r = 0; r < kStrip; ++r) {
        de[r] += f * eta[k * kStrip + r];
        dv[r] += f * zeta[k * kStrip + r];
      }
    }
    for (int64_t r = 0; r < kStrip; ++r) {
      sums[r].ehe += de[r] * eta[i * kStrip + r];
      sums[r].ehv += de[r] * zeta[i * kStrip + r];
      sums[r].vhv += dv[r] * zeta[i * kStrip + r];
    }
  }
}

void AddPlain(const double* e, const double* v, RowSums* sums) {
  for (int64_t i = 0; i < kBlock; ++i) {
    for (int64_t r = 0; r < kStrip; ++r) {
      const double x = e[i * kStrip + r], y = v[i * kStrip + r];
      sums[r].ee += x * x;
      sums[r].ev += x * y;
      sums[r].vv += y * y;
    }
  }
}

void StoreCodes(const Chain& chain, int64_t np, int64_t row, int64_t column, const uint16_t* from,
                uint16_t* const* codes) {
  if (codes == nullptr) return;
  const int64_t groups = np / kBlock;
  for (int s = 0; s < chain.stages; ++s) {
    for (int64_t r = 0; r < kStrip; ++r) codes[s][(row + r) * groups + column / kBlock] = from[s * kStrip + r];
  }
}

class Worker {
 public:
  Worker(const Layer& layer, const Chain& chain, int64_t first, int64_t count, LdlqScratch* scratch,
         uint16_t* const* codes, RowSums* sums)
      : layer_(layer), chain_(chain), first_(first), count_(count), scratch_(*scratch), codes_(codes), sums_(sums) {}

  void Run() {
    const double* from = layer_.strips + first_ * layer_.np * kStrip;
    for (int64_t i = 0; i < count_ * layer_.np * kStrip; ++i) scratch_.v[i] = from[i] / layer_.weight_scale;
    std::fill(sums_, sums_ + count_ * kStrip, RowSums{});
    const bool refine = layer_.refine_passes > 0;
    for (int64_t jt = layer_.l->tiles() - 1; jt >= 0; --jt) Round(jt, !refine);
    for (int pass = 0; pass < layer_.refine_passes; ++pass) {
      for (int64_t jt = layer_.l->tiles() - 1; jt >= 0; --jt) Refine(jt);
    }
    for (int64_t jt = layer_.l->tiles() - 1; refine && jt >= 0; --jt) Measure(jt);
    for (int64_t s = 0; s < count_; ++s) {
      for (int64_t c = 0; c < layer_.np; c += kBlock) AddPlain(E(s, c), V(s, c), sums_ + s * kStrip);
    }
  }

 private:
  double* V(int64_t s, int64_t column) { return scratch_.v.data() + (s * layer_.np + column) * kStrip; }
  double* E(int64_t s, int64_t column) { return scratch_.e.data() + (s * layer_.np + column) * kStrip; }
  double* Panel(int64_t s) { return scratch_.panel.data() + s * kPanel; }
  double* Other(int64_t s) { return scratch_.other.data() + s * kPanel; }

  // First rounding of a panel. `weigh`: E L comes for nothing here, as target less value.
  void Round(int64_t jt, bool weigh) {
    // The target is V + (E right of the block) L; E of this panel is not known yet.
    for (int64_t s = 0; s < count_; ++s) std::copy(V(s, jt * kTile), V(s, jt * kTile) + kPanel, E(s, jt * kTile));
    GatherPanel(layer_, jt, scratch_.e.data(), count_, scratch_.panel.data());
    if (weigh) GatherPanel(layer_, jt, scratch_.v.data(), count_, scratch_.other.data());
    for (int64_t s = 0; s < count_; ++s) {
      for (int64_t b = kBlocksPerTile - 1; b >= 0; --b) {
        const int64_t column = jt * kTile + b * kBlock;
        const double* d = layer_.d + column / kBlock * kBlock * kBlock;
        double* target = Panel(s) + b * kBlock * kStrip;
        alignas(kAlignment) double value[kBlock * kStrip];
        uint16_t code[e8p::kMaxStages * kStrip];
        QuantizeBlock(chain_, target, d, value, code);
        StoreCodes(chain_, layer_.np, (first_ + s) * kStrip, column, code, codes_);
        const double* v = V(s, column);
        double* e = E(s, column);
        for (int64_t i = 0; i < kBlock * kStrip; ++i) e[i] = v[i] - value[i];
        FeedBack(layer_, jt, b, e, Panel(s));
        if (!weigh) continue;
        for (int64_t i = 0; i < kBlock * kStrip; ++i) target[i] -= value[i];
        FeedBack(layer_, jt, b, v, Other(s));
        AddWeighted(d, target, Other(s) + b * kBlock * kStrip, sums_ + s * kStrip);
      }
    }
  }

  // Every block of a panel once more, with all other columns' errors as they are now.
  void Refine(int64_t jt) {
    std::fill(scratch_.panel.begin(), scratch_.panel.begin() + count_ * kPanel, 0.0);
    for (int64_t kt = 0; kt < layer_.h->tiles(); ++kt) {
      const Operand h =
          kt >= jt ? Operand{layer_.h->Tile(kt, jt), 1, kTile} : Operand{layer_.h->Tile(jt, kt), kTile, 1};
      for (int64_t s = 0; s < count_; ++s) {
        AddProduct(Panel(s), kStrip, h, E(s, kt * kTile), kStrip, kTile, kTile, kStrip);
      }
    }
    for (int64_t s = 0; s < count_; ++s) {
      for (int64_t b = kBlocksPerTile - 1; b >= 0; --b) RefineBlock(jt, s, b);
    }
  }

  void RefineBlock(int64_t jt, int64_t s, int64_t b) {
    const int64_t column = jt * kTile + b * kBlock;
    const double* inverse = layer_.h_inverses + column / kBlock * kBlock * kBlock;
    const double* h = layer_.h_blocks + column / kBlock * kBlock * kBlock;
    const double* v = V(s, column);
    double* e = E(s, column);
    alignas(kAlignment) double step[kBlock * kStrip] = {}, target[kBlock * kStrip], value[kBlock * kStrip];
    AddProduct(step, kStrip, {inverse, kBlock, 1}, Panel(s) + b * kBlock * kStrip, kStrip, kBlock, kBlock, kStrip);
    for (int64_t i = 0; i < kBlock * kStrip; ++i) target[i] = (v[i] - e[i]) + step[i];
    uint16_t code[e8p::kMaxStages * kStrip];
    QuantizeBlock(chain_, target, h, value, code);
    bool better[kStrip];
    Improves(h, target, value, v, e, better);

    alignas(kAlignment) double change[kBlock * kStrip];
    for (int64_t i = 0; i < kBlock * kStrip; ++i) {
      const double now = better[i % kStrip] ? v[i] - value[i] : e[i];
      change[i] = now - e[i];
      e[i] = now;
    }
    if (codes_ != nullptr) {
      const int64_t groups = layer_.np / kBlock;
      for (int stage = 0; stage < chain_.stages; ++stage) {
        for (int64_t r = 0; r < kStrip; ++r) {
          if (!better[r]) continue;
          codes_[stage][((first_ + s) * kStrip + r) * groups + column / kBlock] = code[stage * kStrip + r];
        }
      }
    }
    AddProduct(Panel(s), kStrip, {layer_.h->Tile(jt, jt) + b * kBlock, 1, kTile}, change, kStrip, kBlock, kTile,
               kStrip);
  }

  // New codes are taken only where they lower the weighted error, so that no pass can make things worse. (Always
  // taking them does, where the first stage is overloaded: its nearest sum is then a poor one.)
  void Improves(const double* h, const double* target, const double* value, const double* v, const double* e,
                bool* better) const {
    double next[kStrip] = {}, now[kStrip] = {};
    for (int64_t i = 0; i < kBlock; ++i) {
      double a[kStrip] = {}, c[kStrip] = {};
      for (int64_t k = 0; k < kBlock; ++k) {
        const double f = h[i * kBlock + k];
        for (int64_t r = 0; r < kStrip; ++r) {
          const int64_t at = k * kStrip + r;
          a[r] += f * (target[at] - value[at]);
          c[r] += f * (target[at] - (v[at] - e[at]));
        }
      }
      for (int64_t r = 0; r < kStrip; ++r) {
        const int64_t at = i * kStrip + r;
        next[r] += a[r] * (target[at] - value[at]);
        now[r] += c[r] * (target[at] - (v[at] - e[at]));
      }
    }
    for (int64_t r = 0; r < kStrip; ++r) better[r] = next[r] < now[r];
  }

  // The weighted sums of the final codes.
  void Measure(int64_t jt) {
    GatherPanel(layer_, jt, scratch_.e.data(), count_, scratch_.panel.data());
    GatherPanel(layer_, jt, scratch_.v.data(), count_, scratch_.other.data());
    for (int64_t s = 0; s < count_; ++s) {
      for (int64_t b = kBlocksPerTile - 1; b >= 0; --b) {
        const int64_t column = jt * kTile + b * kBlock;
        FeedBack(layer_, jt, b, E(s, column), Panel(s));
        FeedBack(layer_, jt, b, V(s, column), Other(s));
        AddWeighted(layer_.d + column / kBlock * kBlock * kBlock, Panel(s) + b * kBlock * kStrip,
                    Other(s) + b * kBlock * kStrip, sums_ + s * kStrip);
      }
    }
  }

  const Layer& layer_;
  const Chain& chain_;
  const int64_t first_, count_;
  LdlqScratch& scratch_;
  uint16_t* const* codes_;
  RowSums* sums_;
};

}  // namespace

void QuantizeStrips(const Layer& layer, const Chain& chain, int64_t first, int64_t count, LdlqScratch* scratch,
                    uint16_t* const* codes, RowSums* sums) {
  Worker(layer, chain, first, count, scratch, codes, sums).Run();
}

}  // namespace glq::quantizer
