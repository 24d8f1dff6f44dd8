// Convolution times: measured rows, lines through them, and what bounds the lines. By hand, and over the tables in data/measured.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>
#include <tuple>

#include "core/model/layer_cost.hpp"
#include "sim/device/conv_model.hpp"
#include "tests/sim/device/hand_gpu.hpp"

namespace lockstep::sim {
namespace {

constexpr ConvPass kPasses[] = {ConvPass::Forward, ConvPass::BackwardData, ConvPass::BackwardWeight};

/// Cost of a pass of the convolution, which is layer 1, as if it were not the first: all three passes exist.
PassCost cost_of(const ModelGraph& g, std::int64_t n, int bytes) {
  return layer_cost(g, g.layers[1], n, bytes).forward;
}

Time time_of(const ConvModel& m, const ModelGraph& g, ConvPass pass, std::int64_t n, int bytes = 4) {
  return m.time(g.layers[1], pass, n, cost_of(g, n, bytes));
}

Time measured(const ConvTiming& t, ConvPass pass) {
  return pass == ConvPass::Forward ? t.forward : pass == ConvPass::BackwardData ? t.backward_data : t.backward_weight;
}

/// The rows of a shipped table; fields: precision, suite, n, c, h, w, k, r, s, stride, pad_h, pad_w, three times in ms, ...
std::vector<ConvTiming> table(const std::string& gpu) {
  std::ifstream file(std::string(LOCKSTEP_SOURCE_DIR) + "/data/measured/deepbench_conv_" + gpu + ".csv");
  std::vector<ConvTiming> rows;
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("fp", 0) != 0) continue;  // comment or header
    std::vector<std::string> f;
    std::istringstream in(line);
    for (std::string field; f.size() < 15 && std::getline(in, field, ',');) f.push_back(field);
    const auto whole = [&](std::size_t i) { return std::stoi(f.at(i)); };
    const auto ms = [&](std::size_t i) { return Time::milliseconds(f.at(i).empty() ? 0 : std::stod(f[i])); };
    ConvTiming t;
    t.precision = f[0] == "fp32" ? Precision::Fp32 : Precision::Fp16;
    t.n = whole(2), t.c = whole(3), t.h = whole(4), t.w = whole(5), t.k = whole(6), t.r = whole(7), t.s = whole(8);
    t.stride = whole(9), t.pad_h = whole(10), t.pad_w = whole(11);
    t.forward = ms(12), t.backward_data = ms(13), t.backward_weight = ms(14);
    rows.push_back(t);
  }
  return rows;
}

/// The GPU file's peaks; the rest is round.
GpuSpec shipped(const std::string& gpu) {
  GpuSpec g = hand_gpu();
  g.fp32_peak = Sourced(FlopRate::teraflops(gpu == "v100" ? 15.7 : 10.6));
  g.half_peak = Sourced(FlopRate::teraflops(gpu == "v100" ? 125 : 21.2));
  g.convolutions = table(gpu);
  return g;
}

ModelGraph graph_of(const ConvTiming& t) { return one_conv({t.c, t.h, t.w}, t.k, t.r, t.stride, t.pad_h); }
bool square(const ConvTiming& t) { return t.r == t.s && t.pad_h == t.pad_w; }

TEST(ConvTable, EveryMeasuredRowIsReproducedExactly) {
  for (const char* gpu : {"v100", "p100"}) {
    const GpuSpec spec = shipped(gpu);
    ASSERT_EQ(spec.convolutions.size(), 188u);
    for (const Precision p : {Precision::Fp32, Precision::Fp16}) {
      const ConvModel model(spec, p);
      // Some shapes stand in two suites; of equal shapes the last row counts.
      std::map<std::tuple<int, int, int, int, int, int, int, int>, const ConvTiming*> last;
      for (const ConvTiming& t : spec.convolutions) {
        if (t.precision == p && square(t)) last[{t.n, t.c, t.h, t.w, t.k, t.r, t.stride, t.pad_h}] = &t;
      }
      EXPECT_GT(last.size(), 50u);
      for (const auto& [key, t] : last) {
        const ModelGraph g = graph_of(*t);
        ASSERT_TRUE(model.measured(g.layers[1]));
        for (const ConvPass pass : kPasses) {
          const Time row = measured(*t, pass);
          if (row > Time::zero()) {
            EXPECT_LE(std::abs((time_of(model, g, pass, t->n) - row).picoseconds()), 1)
                << gpu << " N=" << t->n << " " << t->c << "x" << t->h << " to " << t->k << ", " << t->r;
          }
        }
      }
    }
  }
}

TEST(ConvTable, BeyondTheTableNothingBeatsTheHardware) {
  // A 1x1 or strided convolution has no fast algorithm: its time is at least FLOPs / peak. Others may count more direct FLOPs than the peak
  // (Winograd), but not more than the best row does. All must move their bytes.
  for (const char* gpu : {"v100", "p100"}) {
    const GpuSpec spec = shipped(gpu);
    for (const Precision p : {Precision::Fp32, Precision::Fp16}) {
      const ConvModel model(spec, p);
      const FlopRate peak = p == Precision::Fp32 ? spec.fp32_peak.value : spec.half_peak.value;
      for (const ConvTiming& t : spec.convolutions) {
        if (t.precision != p || !square(t)) continue;
        const ModelGraph g = graph_of(t);
        for (const ConvPass pass : kPasses) {
          const bool direct = t.r == 1 || t.stride > 1;
          const double best = direct ? 1.0 : std::max(1.0, model.fit(pass, t.r).best);
          for (const std::int64_t n : {17, 32, 42, 128, 256, 512}) {
            const PassCost c = cost_of(g, n, 4);
            const Time time = model.time(g.layers[1], pass, n, c);
            EXPECT_GE(time / (c.flops / (peak * best)), 1 - 1e-9)
                << gpu << " N=" << n << " " << t.c << "x" << t.h << " to " << t.k;
            EXPECT_GE(time / (c.bytes / spec.memory_achieved.value), 1 - 1e-9) << gpu << " N=" << n;
          }
        }
      }
    }
  }
}

TEST(ConvTable, LineByHand) {
  // 100 us at 8 and 180 us at 16 images: 10 us per image and 20 us fixed. 64 x 56 x 56 to 64, 1x1: 25.7 MFLOP per image, 2.6 us at
  // 10 TFLOP/s, and 1.6 MB, 1.6 us at 1000 GB/s: the line is slower than both.
  const ModelGraph g = one_conv({64, 56, 56}, 64, 1, 1, 0);
  GpuSpec spec = hand_gpu();
  for (const auto& [n, us] : {std::pair{8, 100.}, {16, 180.}})
    spec.convolutions.push_back(row_of(g.layers[1], Precision::Fp32, n, Time::microseconds(us)));
  const ConvModel alone(spec, Precision::Fp32);
  EXPECT_NEAR(time_of(alone, g, ConvPass::Forward, 1).microseconds(), 30, 1e-6);
  EXPECT_NEAR(time_of(alone, g, ConvPass::Forward, 12).microseconds(), 140, 1e-6);
  EXPECT_FALSE(ConvModel(spec, Precision::Fp16).measured(g.layers[1]));
  // The best efficiency of this table is its row at 16, 180 / 16 = 11.25 us per image, so 64 images take 180 + 48 x 11.25 us.
  EXPECT_NEAR(time_of(alone, g, ConvPass::Forward, 64).microseconds(), 720, 1e-6);
  // Beside a shape that does better, half of the peak (1024 x 7 x 7 to 256, 5.138 us per image), its own slope holds: 180 + 48 x 10 us.
  const ModelGraph good = one_conv({1024, 7, 7}, 256, 1, 1, 0);
  spec.convolutions.push_back(row_of(good.layers[1], Precision::Fp32, 16, Time::microseconds(16 * 5.138)));
  EXPECT_NEAR(time_of(ConvModel(spec, Precision::Fp32), g, ConvPass::Forward, 64).microseconds(), 660, 1e-6);
}

TEST(ConvTable, FlatRowDoesNotStayFlat) {
  // 256 x 14 x 14 to 256, 1x1: 25.7 MFLOP per image, 2.569 us at the peak. 50 us at 8 and at 16 images: 16.4 MFLOP/us at 16 is 82 % of the
  // peak, so from there on each image takes at least 25.69 MFLOP / 8.22 TFLOP/s = 3.125 us, that is 50 us / 16.
  const ModelGraph g = one_conv({256, 14, 14}, 256, 1, 1, 0);
  GpuSpec spec = hand_gpu();
  // The best efficiency is taken where a fit exists: three shapes with a line of 20 us + 5.138 us per image, half the peak.
  for (const int k : {64, 128, 512}) {
    const ModelGraph other = one_conv({256, 14, 14}, k, 1, 1, 0);
    for (const int n : {8, 16}) {
      spec.convolutions.push_back(
          row_of(other.layers[1], Precision::Fp32, n, Time::microseconds(20 + 5.138022 * k / 256 * n)));
    }
  }
  for (const int n : {8, 16})
    spec.convolutions.push_back(row_of(g.layers[1], Precision::Fp32, n, Time::microseconds(50)));
  const ConvModel m(spec, Precision::Fp32);
  EXPECT_NEAR(m.fit(ConvPass::Forward, 1).best, 25.690112 * 16 / 50 / 10, 1e-6);
  EXPECT_NEAR(time_of(m, g, ConvPass::Forward, 12).microseconds(), 50, 1e-6);
  EXPECT_NEAR(time_of(m, g, ConvPass::Forward, 32).microseconds(), 100, 1e-3);
  EXPECT_NEAR(time_of(m, g, ConvPass::Forward, 1).microseconds(), 50, 1e-6);
  // The fit of the other three is what they were made from; a shape of another size takes it: 1024 x 7 x 7 to 256, 25.7 MFLOP per image.
  EXPECT_NEAR(m.fit(ConvPass::Forward, 1).fixed.microseconds(), 20, 1e-3);
  EXPECT_NEAR(m.fit(ConvPass::Forward, 1).efficiency, 0.5, 1e-6);
  const ModelGraph unmeasured = one_conv({1024, 7, 7}, 256, 1, 1, 0);
  EXPECT_NEAR(time_of(m, unmeasured, ConvPass::Forward, 10).microseconds(), 20 + 51.38, 0.01);
}

TEST(ConvTable, RowThatFallsWithTheBatch) {
  // 220 us at 8, 207 us at 16 (another algorithm): both hold; one image is not dearer than eight.
  const ModelGraph g = one_conv({512, 7, 7}, 512, 1, 1, 0);
  GpuSpec spec = hand_gpu();
  spec.convolutions = {row_of(g.layers[1], Precision::Fp32, 8, Time::microseconds(220)),
                       row_of(g.layers[1], Precision::Fp32, 16, Time::microseconds(207))};
  const ConvModel m(spec, Precision::Fp32);
  EXPECT_NEAR(time_of(m, g, ConvPass::Forward, 8).microseconds(), 220, 1e-6);
  EXPECT_NEAR(time_of(m, g, ConvPass::Forward, 16).microseconds(), 207, 1e-6);
  EXPECT_NEAR(time_of(m, g, ConvPass::Forward, 1).microseconds(), 220, 1e-6);
  EXPECT_GT(time_of(m, g, ConvPass::Forward, 64), time_of(m, g, ConvPass::Forward, 16));
}

TEST(ConvTable, GroupsAndMissingPassesAreNotLookedUp) {
  const ModelGraph whole = one_conv({96, 27, 27}, 256, 5, 1, 2), halves = one_conv({96, 27, 27}, 256, 5, 1, 2, 2);
  GpuSpec spec = hand_gpu();
  for (const int n : {8, 16}) {
    ConvTiming t = row_of(whole.layers[1], Precision::Fp32, n, Time::milliseconds(n));
    t.backward_data = Time::zero();  // not measured
    spec.convolutions.push_back(t);
  }
  const ConvModel m(spec, Precision::Fp32);
  EXPECT_TRUE(m.measured(whole.layers[1]));
  EXPECT_FALSE(m.measured(halves.layers[1]));
  EXPECT_EQ(time_of(m, whole, ConvPass::Forward, 8), Time::milliseconds(8));
  // No shape has this pass: 895.8 MFLOP per image at half of 10 TFLOP/s, nothing fixed, 8 images: 1433 us.
  EXPECT_NEAR(time_of(m, whole, ConvPass::BackwardData, 8).microseconds(), 1433.3, 0.1);
}

}  // namespace
}  // namespace lockstep::sim
