// JPEG folders on a GPU: decoded by the host or by nvJPEG, whole and damaged.
#include <cmath>

#include "real/cuda/base/memory.hpp"
#include "real/cuda/base/stream.hpp"
#include "real/cuda/jpeg/decoder.hpp"
#include "real/data/jpeg/decode.hpp"
#include "tests/gpu/device_run.hpp"
#include "tests/gpu/machine.hpp"
#include "tests/real/data/files.hpp"
#include "tests/real/data/jpeg_files.hpp"

namespace lockstep {
namespace {

using namespace test;
using testing::HasSubstr;

/// Two classes of twelve images that a small network can tell apart by nothing but noise: colour, grey, progressive, of several sizes.
class JpegGpu : public Files, protected Runs {
 protected:
  void SetUp() override {
    if (show_devices(2) == 0) GTEST_SKIP() << "no GPU";
    for (const std::string split : {"train", "val"}) {
      for (int i = 0; i < 12; ++i) {
        const JpegKind kind{i % 6 == 5 ? 1 : 3, 1 + i % 2, i % 4 == 3, i % 3 == 0};
        put(split + (i % 2 == 0 ? "/cat/" : "/dog/") + std::to_string(i) + ".jpg",
            encode(40 + 7 * i, 60 - 3 * i, kind));
      }
    }
  }
  RunSpec folder_run(JpegDecoder jpeg) const {
    RunSpec run = tiny_run();
    run.data.kind = DataKind::ImagenetFolder;
    run.data.path = directory().string();
    run.data.training_images = 12;
    run.data.validation_images = 12;
    run.data.threads = 3;
    run.data.broken = OnBroken::Skip;
    run.data.jitter = 0.4;
    run.data.lighting = 0.1;
    run.training.global_batch = 4;
    run.real.jpeg = jpeg;
    return run;
  }
  const std::filesystem::path& directory() const { return Files::directory_; }
  Outcome train_named(const RunSpec& run, const std::string& name, int ranks = 1) {
    Order order;
    order.name = name;
    order.ranks = ranks;
    return train_on(run, order);
  }
};
using JpegGpuSlow = JpegGpu;

void require_nvjpeg() {
  if (!cuda::has_nvjpeg()) GTEST_SKIP() << "built without nvJPEG";
}

std::vector<std::uint8_t> download(const DevicePixels& pixels) {
  std::vector<std::uint8_t> out(static_cast<std::size_t>(3 * pixels.h * pixels.w));
  const cuda::Stream stream;
  cuda::copy_to_host(pixels.data, std::span(out), stream);
  stream.synchronise();
  return out;
}

// Inverse transforms differ by rounding, interpolated colours by a few steps where they change fast: a smooth picture, and its mean.
TEST_F(JpegGpu, NvjpegDecodesWhatLibjpegDecodes) {
  require_nvjpeg();
  if (IsSkipped()) return;
  const auto decoder = cuda::nvjpeg_decoder(0);
  for (const bool progressive : {false, true}) {
    for (const int subsampling : {1, 2}) {
      const std::string file = encode(75, 50, {3, subsampling, progressive});
      const auto pixels = decoder->decode(file);
      ASSERT_TRUE(pixels);
      ASSERT_EQ(pixels->w, 75);
      ASSERT_EQ(pixels->h, 50);
      Image host;
      decode_jpeg(file, {}, "test", host);
      const auto got = download(*pixels);
      ASSERT_EQ(got.size(), host.pixels.size());
      double apart = 0;
      for (std::size_t i = 0; i < got.size(); ++i) apart += std::abs(int{got[i]} - int{host.pixels[i]});
      EXPECT_LE(apart / static_cast<double>(got.size()), 1.0);
    }
  }
}

TEST_F(JpegGpu, NvjpegLeavesTheRestToTheHost) {
  require_nvjpeg();
  if (IsSkipped()) return;
  const auto decoder = cuda::nvjpeg_decoder(0);
  const std::string good = encode(64, 48, {});
  EXPECT_TRUE(decoder->decode(good));
  EXPECT_FALSE(decoder->decode(encode(64, 48, {1})));
  EXPECT_FALSE(decoder->decode(encode(64, 48, {4})));
  EXPECT_FALSE(decoder->decode(good.substr(0, good.size() / 2)));
  EXPECT_FALSE(decoder->decode(std::string("no jpeg")));
  EXPECT_FALSE(decoder->decode(std::string("no jpeg\xff\xd9")));
  EXPECT_FALSE(decoder->decode(std::string()));
  EXPECT_TRUE(decoder->decode(good));
}

TEST_F(JpegGpu, MemoryIsUsedAgain) {
  require_nvjpeg();
  if (IsSkipped()) return;
  const auto decoder = cuda::nvjpeg_decoder(0);
  auto first = decoder->decode(encode(64, 48, {}));
  const unsigned char* memory = first->data;
  const auto second = decoder->decode(encode(64, 48, {}));
  EXPECT_NE(second->data, memory);
  first.reset();
  EXPECT_EQ(decoder->decode(encode(60, 50, {}))->data, memory);
}

// Which images are broken, what takes their place and what is said of them does not depend on who decodes.
TEST_F(JpegGpu, BrokenImagesAreTreatedAsByTheHost) {
  require_nvjpeg();
  if (IsSkipped()) return;
  const std::string whole = get("train/cat/0.jpg");
  put("train/cat/0.jpg", whole.substr(0, whole.size() / 2));
  put("train/dog/1.jpg", "no jpeg");
  const auto set = open_image_folder(directory(), Split::Training);
  const auto decoder = cuda::nvjpeg_decoder(0);
  const auto load = [&](DeviceDecoder* by, OnBroken on_broken, bool training) {
    LoaderOptions options;
    options.recipe = recipe_of(DataKind::ImagenetFolder, Augmentation::Auto);
    options.shape = {3, 16, 16};
    options.threads = 3;
    options.on_broken = on_broken;
    options.form = {true, by};
    Loader loader(*set, options);
    BatchRequest request{0, 0, training, training, {}};
    for (std::int64_t i = 0; i < set->size(); ++i) request.samples.push_back(i);
    loader.request(request);
    std::string error;
    std::vector<std::int32_t> labels;
    try {
      labels = loader.next().labels;
    } catch (const ConfigError& e) {
      error = e.what();
    }
    return std::tuple(labels, loader.broken(), error);
  };
  for (const bool training : {true, false}) {
    for (const OnBroken on_broken : {OnBroken::Skip, OnBroken::Fail}) {
      const auto by_host = load(nullptr, on_broken, training), by_device = load(decoder.get(), on_broken, training);
      if (on_broken == OnBroken::Skip) {
        EXPECT_EQ(by_device, by_host);
        EXPECT_EQ(std::get<1>(by_host).size(), 2u);
      } else {  // with several threads others may have been found, too
        EXPECT_EQ(std::get<2>(by_device), std::get<2>(by_host));
        EXPECT_THAT(std::get<2>(by_device), HasSubstr("data.broken"));
      }
    }
  }
}

// Nothing is shrunk here, so in the emulation, whose nvJPEG is libjpeg, both train on the same pixels up to rounding of the weights; on a GPU its pixels differ by a step or two of 255, and
// six steps with a rate of 0.05 do not multiply that by more than some ten.
TEST_F(JpegGpuSlow, TrainingFollowsTheHostsDecoder) {
  const Outcome host = train_named(folder_run(JpegDecoder::Host), "host");
  ASSERT_EQ(host.error(), "");
  EXPECT_THAT(host.info, testing::Not(HasSubstr("nvJPEG")));
  ASSERT_TRUE(host.result.top1.has_value());
  if (const auto reference = reference_device()) {
    Order order;
    order.name = "cpu";
    order.device = reference;
    ASSERT_EQ(train_on(folder_run(JpegDecoder::Host), order).error(), "");
    EXPECT_LT(distance(weights("host"), weights("cpu")), 1e-4);
  }
  require_nvjpeg();
  if (IsSkipped()) return;
  for (const int ranks : {1, 2}) {
    const std::string name = "device" + std::to_string(ranks);
    const Outcome device = train_named(folder_run(JpegDecoder::Auto), name, ranks);
    ASSERT_EQ(device.error(), "");
    EXPECT_THAT(device.info, HasSubstr("nvJPEG"));
    if (ranks == 1) {
      EXPECT_LT(distance(weights(name), weights("host")), reference_device() ? 1e-4 : 0.1);
    }
  }
}

}  // namespace
}  // namespace lockstep
