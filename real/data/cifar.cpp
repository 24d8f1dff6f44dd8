// CIFAR-10's binary version: records of a label and 1,024 red, 1,024 green and 1,024 blue bytes, row by row.
#include <fstream>
#include <iterator>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "real/data/dataset.hpp"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kPlane = 1024, kRecord = 1 + 3 * kPlane;
constexpr int kClasses = 10;

class Cifar final : public Dataset {
 public:
  explicit Cifar(const std::vector<fs::path>& files) {
    std::vector<Fault> faults;
    for (const fs::path& file : files) {
      std::ifstream in(file, std::ios::binary);
      const std::string bytes{std::istreambuf_iterator<char>(in), {}};
      const auto fault = [&](const std::string& why) { faults.push_back({file.string(), "data.path", why}); };
      if (!in.is_open()) {
        fault("there is no such file");
      } else if (bytes.empty() || bytes.size() % kRecord != 0) {
        fault(fmt::format("has {} bytes; expected a multiple of {}, a label and 3 x 32 x 32 pixels",
                          fmt::group_digits(bytes.size()), fmt::group_digits(kRecord)));
      } else {
        for (std::size_t r = 0; r < bytes.size() / kRecord; ++r) {
          const int label = static_cast<unsigned char>(bytes[r * kRecord]);
          if (label < kClasses) continue;
          fault(fmt::format("record {} has label {}; expected 0 to {}", r, label, kClasses - 1));
          break;
        }
        records_ += bytes;
      }
    }
    if (!faults.empty()) throw ConfigError(std::move(faults));
    place_ = files.front().parent_path().string();
  }
  std::int64_t size() const override { return static_cast<std::int64_t>(records_.size() / kRecord); }
  int classes() const override { return kClasses; }
  std::string description() const override {
    return fmt::format("{} images of 32 x 32 in {}", fmt::group_digits(size()), place_);
  }
  void read(std::int64_t index, const WantedOf&, Image& out) const override {
    const auto* record =
        reinterpret_cast<const std::uint8_t*>(records_.data()) + static_cast<std::size_t>(index) * kRecord;
    out.c = 3;
    out.h = out.w = 32;
    out.view = {};
    out.label = record[0];
    out.pixels.resize(3 * kPlane);
    for (std::size_t p = 0; p < kPlane; ++p) {
      for (std::size_t c = 0; c < 3; ++c) out.pixels[3 * p + c] = record[1 + c * kPlane + p];
    }
  }

 private:
  std::string records_, place_;
};

}  // namespace

std::unique_ptr<Dataset> open_cifar10(const fs::path& directory, Split split) {
  std::vector<fs::path> files;
  if (split == Split::Validation) {
    files.push_back(directory / "test_batch.bin");
  } else {
    for (int i = 1; i <= 5; ++i) files.push_back(directory / fmt::format("data_batch_{}.bin", i));
  }
  return std::make_unique<Cifar>(files);
}

}  // namespace lockstep
