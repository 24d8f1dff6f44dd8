#include "sim/device/conv_model.hpp"

#include <algorithm>

namespace lockstep::sim {

namespace {

constexpr int kOther = 0, kAll = -1;  // filter classes beside 1 (1x1) and 3 (3x3)
constexpr int kFewest = 3;            // shapes that a class needs to stand alone

Time of_pass(const ConvTiming& t, ConvPass pass) {
  switch (pass) {
    case ConvPass::Forward: return t.forward;
    case ConvPass::BackwardData: return t.backward_data;
    case ConvPass::BackwardWeight: return t.backward_weight;
  }
  return {};
}

int class_of(int r, int s) { return r == s && (r == 1 || r == 3) ? r : kOther; }

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  const std::size_t n = v.size();
  return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/// Winograd and FFT algorithms do with fewer multiplications than the direct sum, so a row can exceed the peak when direct FLOPs are
/// counted. They are stated for unit stride, and a 1x1 filter leaves nothing to save (Lavin & Gray 2015, arXiv:1509.09308).
bool may_save_multiplications(const Layer& l) { return l.stride == 1 && l.r * l.s > 1; }

/// Linear between the two neighbours of n; points in increasing order, n within them.
double between(const std::vector<std::pair<double, double>>& points, double n) {
  std::size_t i = 1;
  while (points[i].first < n) ++i;
  const auto [n1, t1] = points[i - 1];
  const auto [n2, t2] = points[i];
  return t1 + (t2 - t1) * (n - n1) / (n2 - n1);
}

/// FLOPs of one image through a row's convolution.
double flops_per_image(const ConvTiming& t) {
  const int out_h = (t.h + 2 * t.pad_h - t.r) / t.stride + 1, out_w = (t.w + 2 * t.pad_w - t.s) / t.stride + 1;
  return 2.0 * t.k * out_h * out_w * t.c * t.r * t.s;
}

}  // namespace

ConvModel::Shape ConvModel::shape_of(const Layer& l) { return {l.in.c, l.in.h, l.in.w, l.out.c, l.r, l.stride, l.pad}; }

ConvModel::ConvModel(const GpuSpec& gpu, Precision precision, bool small_batch)
    : peak_(peak_of(gpu, precision)),
      memory_(gpu.memory_achieved.value),
      multiprocessors_(small_batch ? gpu.multiprocessors.value : 0),
      tail_waves_(gpu.tail_waves.value) {
  const Precision computed = computed_as(gpu, precision);
  const Precision rows_of = computed == Precision::Bf16 ? Precision::Fp16 : computed;
  std::map<std::tuple<int, int, int, int, int, int, int, int>, std::map<int, ConvTiming>> shapes;
  for (const ConvTiming& t : gpu.convolutions) {
    if (t.precision != rows_of) continue;
    shapes[{t.c, t.h, t.w, t.k, t.r, t.s, t.stride, t.pad_h}][t.n] = t;
    if (t.r == t.s && t.pad_h == t.pad_w) rows_[{t.c, t.h, t.w, t.k, t.r, t.stride, t.pad_h}][t.n] = t;
  }

  for (const ConvPass pass : {ConvPass::Forward, ConvPass::BackwardData, ConvPass::BackwardWeight}) {
    std::map<int, std::vector<double>> fixed, efficiency;
    double best = 0;
    for (const auto& [shape, by_batch] : shapes) {
      for (const auto& [n, t] : by_batch) {
        const Time time = of_pass(t, pass);
        if (time > Time::zero()) best = std::max(best, flops_per_image(t) * n / time.seconds() / peak_.per_second());
      }
      if (by_batch.size() < 2) continue;
      const auto& [n1, first] = *by_batch.begin();
      const auto& [n2, last] = *by_batch.rbegin();
      const double t1 = of_pass(first, pass).seconds(), t2 = of_pass(last, pass).seconds();
      const double slope = (t2 - t1) / (n2 - n1);
      if (t1 <= 0 || t2 <= 0 || slope <= 0) continue;  // too noisy to tell
      const double eff = flops_per_image(last) / slope / peak_.per_second();
      for (const int c : {class_of(last.r, last.s), kAll}) {
        fixed[c].push_back(std::max(0.0, t1 - slope * n1));
        efficiency[c].push_back(std::min(eff, 1.0));
      }
    }
    for (const int c : {1, 3, kOther, kAll}) {
      const int source = static_cast<int>(fixed[c].size()) >= kFewest ? c : kAll;
      ConvFit f;
      f.shapes = static_cast<int>(fixed[source].size());
      if (f.shapes > 0) {
        f.fixed = Time::seconds(median(fixed[source]));
        f.efficiency = median(efficiency[source]);
        f.best = best;
      }
      fits_[{pass, c}] = f;
    }
  }
}

const ConvFit& ConvModel::fit(ConvPass pass, int filter) const {
  return fits_.at({pass, filter == 1 || filter == 3 ? filter : kOther});
}

bool ConvModel::measured(const Layer& layer) const { return layer.groups == 1 && rows_.count(shape_of(layer)) > 0; }

Time ConvModel::time(const Layer& layer, ConvPass pass, std::int64_t batch, const PassCost& cost) const {
  const ConvFit& f = fit(pass, layer.r);
  const double n = static_cast<double>(batch);
  const double memory = static_cast<double>(cost.bytes.count()) / memory_.bytes_per_second();
  const auto row = rows_.find(shape_of(layer));
  const double lost = lost_images(layer, pass, multiprocessors_, tail_waves_);
  if (layer.groups == 1 && row != rows_.end()) {
    std::vector<std::pair<double, double>> points;
    for (const auto& [rows_batch, t] : row->second) {
      if (of_pass(t, pass) > Time::zero()) points.emplace_back(rows_batch, of_pass(t, pass).seconds());
    }
    const double best = may_save_multiplications(layer) ? f.best : std::min(f.best, 1.0);
    const double least = cost.flops.count() / n / (best * peak_.per_second());
    if (lost > 0 && !points.empty()) {
      const auto [n1, t1] = points.front();
      const auto [n2, t2] = points.back();
      const double slope = n2 > n1 ? (t2 - t1) / (n2 - n1) : t2 / n2;
      return Time::seconds(std::max(std::max(slope, least) * (n + lost), memory));
    }
    if (points.size() == 1) return Time::seconds(std::max(points[0].second * n / points[0].first, memory));
    if (points.size() >= 2) {
      const auto [n1, t1] = points.front();
      const auto [n2, t2] = points.back();
      const double slope = (t2 - t1) / (n2 - n1);
      // Some rows get faster with the batch (another algorithm was picked): below them that must not make one image dear.
      if (n < n1) return Time::seconds(std::max(t1 + std::max(slope, 0.0) * (n - n1), t1 * n / n1));
      if (n <= n2) return Time::seconds(between(points, n));
      return Time::seconds(std::max(t2 + std::max(slope, least) * (n - n2), memory));
    }
  }
  if (lost > 0)
    return Time::seconds(std::max(cost.flops.count() / (f.efficiency * peak_.per_second()) * (1 + lost / n), memory));
  return Time::seconds(f.fixed.seconds() + std::max(cost.flops.count() / (f.efficiency * peak_.per_second()), memory));
}

}  // namespace lockstep::sim
