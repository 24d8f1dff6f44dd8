#include "real/cuda/network/tensor_layout.hpp"

#include <gtest/gtest.h>

#include <array>
#include <numeric>
#include <set>

#include "core/base/error.hpp"
#include "core/model/zoo.hpp"

namespace lockstep::cuda {
namespace {

std::vector<float> counting(std::size_t n) {
  std::vector<float> out(n);
  std::iota(out.begin(), out.end(), 1.0f);
  return out;
}

// Two filters of three channels and 1 x 2 pixels, padded to four channels. Host, filter 0: c0 (1 2), c1 (3 4), c2 (5
// 6); filter 1: 7 to 12.
TEST(TensorLayout, ChannelsComeLastAndArePadded) {
  const TensorPlace place{0, 16, 2, 3, 2, 4};
  const std::vector<float> host = counting(12);
  std::vector<float> device(16, -1.0f), back(12);
  TensorLayout::to_device_order(place, host, device);
  EXPECT_EQ(device, (std::vector<float>{1, 3, 5, 0, 2, 4, 6, 0, 7, 9, 11, 0, 8, 10, 12, 0}));
  TensorLayout::to_host_order(place, device, back);
  EXPECT_EQ(back, host);
}

// Each shape once, whatever the models that have it.
TEST(TensorLayout, RoundTripOfEveryModel) {
  std::set<std::array<std::size_t, 4>> seen;
  for (const ModelInfo& model : models()) {
    const ModelGraph graph = build_model(model.name);
    for (const bool sixteen_bit : {false, true}) {
      const TensorLayout layout(graph, padded_input_channels(graph, sixteen_bit));
      std::size_t end = 0;
      for (const ParamTensor& t : graph.tensors) {
        const TensorPlace& place = layout[t.id];
        EXPECT_EQ(place.begin % 64, 0u);
        EXPECT_GE(place.begin, end) << t.name;
        end = place.begin + place.elements;
        if (t.elements() > 1'000'000 || !seen.insert({place.rows, place.channels, place.pixels, place.padded}).second)
          continue;
        const std::vector<float> host = counting(static_cast<std::size_t>(t.elements()));
        std::vector<float> device(place.elements), back(host.size());
        TensorLayout::to_device_order(place, host, device);
        TensorLayout::to_host_order(place, device, back);
        ASSERT_EQ(back, host) << t.name;
        // Padding is zero, the rest a permutation: the sum stays.
        ASSERT_EQ(std::accumulate(device.begin(), device.end(), 0.0), std::accumulate(host.begin(), host.end(), 0.0));
      }
      EXPECT_LE(end, layout.elements());
    }
  }
}

TEST(TensorLayout, LinearLayersReadFeaturesInTheOrderOfActivations) {
  GraphBuilder b("flat", {2, 2, 2});
  const LayerId conv = b.conv("c", b.input(), 2, 1, 1, 0);
  const ModelGraph graph = std::move(b).finish(b.linear("l", conv, 1));
  const TensorPlace& place = TensorLayout(graph, 2)[TensorId(1)];
  std::vector<float> device(8);
  TensorLayout::to_device_order(place, counting(8), device);  // host: channel 0 is 1 to 4, channel 1 is 5 to 8
  EXPECT_EQ(device, (std::vector<float>{1, 5, 2, 6, 3, 7, 4, 8}));
}

TEST(TensorLayout, FourChannelsOnlyWhereConvolutionsAloneReadThreeIn16Bit) {
  const ModelGraph resnet = build_model("resnet20");
  EXPECT_EQ(padded_input_channels(resnet, true), 4);
  EXPECT_EQ(padded_input_channels(resnet, false), 3);
  GraphBuilder b("dropped", {3, 4, 4});
  const ModelGraph dropped = std::move(b).finish(b.linear("l", b.dropout("d", b.input()), 2));
  EXPECT_EQ(padded_input_channels(dropped, true), 3);
  const TensorLayout layout(resnet, 4);
  EXPECT_EQ(layout[TensorId(0)].elements, 16u * 3 * 3 * 4);
  EXPECT_EQ(layout[TensorId(0)].host_elements(), 16u * 3 * 3 * 3);
}

TEST(TensorLayout, BucketsAreContiguous) {
  const ModelGraph graph = build_model("resnet20");
  std::vector<TensorId> order;
  for (std::size_t i = graph.tensors.size(); i-- > 0;) order.push_back(TensorId(static_cast<std::int64_t>(i)));
  const TensorLayout layout(graph, 3, order);
  const std::vector<TensorId> first(order.begin(), order.begin() + 3), rest(order.begin() + 3, order.end());
  EXPECT_EQ(layout.range(first).begin, 0u);
  EXPECT_EQ(layout.range(first).elements, layout[order[3]].begin);
  EXPECT_EQ(layout.range(rest).begin, layout[order[3]].begin);
  EXPECT_EQ(layout.range(rest).begin + layout.range(rest).elements, layout.elements());
  EXPECT_EQ(layout.range({}).elements, 0u);
  EXPECT_THROW(layout.range(std::vector<TensorId>{order[0], order[2]}), InternalError);
  EXPECT_THROW(TensorLayout(graph, 3, std::vector<TensorId>(order.size(), order[0])), InternalError);
  const TensorLayout dense(graph, 3, {}, 1);
  EXPECT_EQ(dense.elements(), static_cast<std::size_t>(graph.parameters()));
}

}  // namespace
}  // namespace lockstep::cuda
