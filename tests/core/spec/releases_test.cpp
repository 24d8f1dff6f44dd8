// Releases of frameworks and the anchor that stands for one.
#include "core/spec/releases.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

Anchor anchor(const char* framework, Precision precision) {
  Anchor a;
  a.framework = framework;
  a.precision = precision;
  return a;
}

TEST(Release, IsReadFromTheEndOfAName) {
  ASSERT_TRUE(release_of("mxnet-19.07"));
  EXPECT_EQ(release_of("mxnet-19.07")->product, "mxnet");
  EXPECT_EQ(release_of("mxnet-19.07")->month, 234);  // 19 x 12 + 6
  for (const char* none :
       {"", "mxnet", "tensorflow1-xla", "apache-mxnet-1.2", "mxnet-19.13", "mxnet-19.00", "-19.07", "mxnet-1x.07"})
    EXPECT_FALSE(release_of(none)) << none;
  EXPECT_EQ(product_of("apache-mxnet-1.2"), "apache-mxnet");
  EXPECT_EQ(product_of("paddle"), "paddle");
  EXPECT_NEAR(years_between("mxnet-19.05", "mxnet-18.12"), 5 / 12.0, 1e-12);
  EXPECT_EQ(years_between("mxnet-19.05", "pytorch-18.12"), 0);
  EXPECT_EQ(years_between("mxnet-19.05", "caffe2"), 0);
}

TEST(FindAnchor, TakesTheNameThenTheNearestReleaseOfThePrecision) {
  GpuSpec gpu;
  gpu.compute_capability = 80;
  gpu.anchors = {anchor("mxnet-20.12", Precision::Fp16), anchor("mxnet-19.07", Precision::Fp16),
                 anchor("mxnet-19.01", Precision::Fp32), anchor("xla", Precision::Fp16),
                 anchor("mxnet-18.05", Precision::Fp16)};
  const auto at = [&](const char* framework) { return find_anchor(gpu, Precision::Fp16, framework); };
  EXPECT_EQ(at(""), 0);
  EXPECT_EQ(at("mxnet-19.07"), 1);
  EXPECT_EQ(at("xla"), 3);
  EXPECT_EQ(at("mxnet-19.02"), 1);  // 5 months to July 2019, 9 to May 2018; January 2019 is fp32
  EXPECT_EQ(at("mxnet-18.12"), 4);  // 7 months either way: the older
  EXPECT_EQ(at("mxnet-23.12"), 0);
  EXPECT_EQ(at("mxnet-24.01"), -1);  // more than three years from December 2020
  EXPECT_EQ(at("pytorch-19.07"), -1);
  EXPECT_EQ(at("mxnet"), -1);
  EXPECT_EQ(find_anchor(gpu, Precision::Bf16, ""), -1);
  gpu.compute_capability = 70;  // both are computed as fp32
  EXPECT_EQ(find_anchor(gpu, Precision::Bf16, ""), 2);
  EXPECT_EQ(find_anchor(gpu, Precision::Tf32, "mxnet-19.02"), 2);
}

TEST(FindAnchor, TakesNoneInNchwThatIsNotNamed) {
  GpuSpec gpu;
  gpu.anchors = {anchor("pytorch-nchw-24.03", Precision::Fp16)};
  gpu.anchors[0].channels_first = true;
  EXPECT_EQ(find_anchor(gpu, Precision::Fp16, ""), -1);
  EXPECT_EQ(find_anchor(gpu, Precision::Fp16, "pytorch-nchw-24.03"), 0);
  EXPECT_EQ(find_anchor(gpu, Precision::Fp16, "pytorch-nchw-23.01"), 0);
  EXPECT_EQ(unknown_anchor(gpu, Precision::Fp16, "mxnet-24.03"), "");  // unanchored, as without that anchor
  EXPECT_EQ(unknown_anchor(gpu, Precision::Fp16, ""), "");
  EXPECT_NE(unknown_anchor(gpu, Precision::Fp16, "pytorch-nchw-2403"),
            "");  // it is meant, but mistyped or too far away
  EXPECT_NE(unknown_anchor(gpu, Precision::Fp16, "pytorch-nchw-19.01"), "");
  gpu.anchors.push_back(anchor("mxnet-24.03", Precision::Fp16));
  EXPECT_EQ(find_anchor(gpu, Precision::Fp16, ""), 1);
}

TEST(AnchorBeyond, IsTheNearestOnTheOtherSide) {
  GpuSpec gpu;
  gpu.anchors = {anchor("mxnet-20.12", Precision::Fp16), anchor("mxnet-22.10", Precision::Fp16),
                 anchor("mxnet-23.10", Precision::Fp16), anchor("mxnet-21.10", Precision::Fp32)};
  const auto at = [&](const char* framework) { return anchor_beyond(gpu, Precision::Fp16, framework); };
  EXPECT_EQ(at("mxnet-21.09"), 1);   // 9 months after the first, which is taken, 13 before the second
  EXPECT_EQ(at("mxnet-22.04"), 0);   // 6 before the second, 16 after the first
  EXPECT_EQ(at("mxnet-21.02"), 1);   // 2 of 22 months: 9 %
  EXPECT_EQ(at("mxnet-21.01"), -1);  // 1 of 22 months: 4.5 %
  EXPECT_EQ(at("mxnet-22.10"), -1);
  EXPECT_EQ(at("mxnet-20.06"), -1);  // older than all
  EXPECT_EQ(at("mxnet-24.03"), -1);
  EXPECT_EQ(at("pytorch-21.09"), -1);
  EXPECT_EQ(at(""), -1);
}

TEST(UnknownAnchor, NamesThoseOfThePrecision) {
  GpuSpec gpu;
  gpu.compute_capability = 80;
  gpu.name = "g";
  gpu.anchors = {anchor("xla", Precision::Fp16), anchor("mxnet-19.01", Precision::Fp32)};
  EXPECT_EQ(unknown_anchor(gpu, Precision::Fp16, "torch"),
            "GPU g has no anchor \"torch\" at this precision; expected one of xla");
  EXPECT_EQ(unknown_anchor(gpu, Precision::Fp32, "torch"),
            "GPU g has no anchor \"torch\" at this precision; expected one of mxnet-19.01, or NAME-YY.MM within three "
            "years of a release among them");
  EXPECT_EQ(unknown_anchor(gpu, Precision::Fp32, "mxnet-19.05"), "");
  EXPECT_EQ(unknown_anchor(gpu, Precision::Bf16, "torch"), "");  // unanchored, which is no error
}

}  // namespace
}  // namespace lockstep
