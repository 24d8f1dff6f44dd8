// The idx format of MNIST: big-endian header (0, 0, type 8, dimensions, one 32-bit size per dimension), then bytes.
#include <zlib.h>

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "real/data/dataset.hpp"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

/// A file, unpacked if it is packed: zlib reads both.
std::vector<std::uint8_t> contents(const fs::path& path) {
  gzFile file = gzopen(path.c_str(), "rb");
  if (file == nullptr) throw ConfigError(path.string(), "data.path", "cannot be opened");
  std::vector<std::uint8_t> out;
  constexpr std::size_t kStep = std::size_t{1} << 20;
  int got = 0;
  do {
    out.resize(out.size() + kStep);
    got = gzread(file, out.data() + out.size() - kStep, static_cast<unsigned>(kStep));
    out.resize(out.size() - kStep + static_cast<std::size_t>(std::max(got, 0)));
  } while (got == static_cast<int>(kStep));
  int code = Z_OK;
  const std::string why = gzerror(file, &code);
  gzclose(file);
  if (got < 0 || (code != Z_OK && code != Z_STREAM_END))
    throw ConfigError(path.string(), "data.path", fmt::format("cut short or damaged: {}", why));
  return out;
}

struct Idx {
  fs::path path;
  std::vector<std::int64_t> dims;
  std::vector<std::uint8_t> bytes;  ///< header included
  std::size_t begin = 0;
};

fs::path find(const fs::path& directory, const std::string& name) {
  for (const std::string suffix : {"", ".gz"}) {
    std::error_code code;
    if (fs::exists(directory / (name + suffix), code)) return directory / (name + suffix);
  }
  throw ConfigError((directory / name).string(), "data.path", "there is no such file, and none with .gz");
}

Idx read_idx(const fs::path& path, std::size_t dimensions) {
  Idx idx{path, {}, contents(path), 4 + 4 * dimensions};
  const auto& b = idx.bytes;
  const auto refuse = [&](const std::string& why) { throw ConfigError(path.string(), "data.path", why); };
  if (b.size() < idx.begin)
    refuse(fmt::format("cut short: {} bytes, an idx header of {} dimensions has {}", b.size(), dimensions, idx.begin));
  if (b[0] != 0 || b[1] != 0 || b[2] != 8 || b[3] != dimensions)
    refuse(fmt::format(
        "is no idx file of {} dimensions of bytes: it begins {:02x} {:02x} {:02x} {:02x}, expected 00 00 08 {:02x}",
        dimensions, b[0], b[1], b[2], b[3], dimensions));
  std::int64_t total = 1;
  for (std::size_t d = 0; d < dimensions; ++d) {
    const std::uint8_t* at = b.data() + 4 + 4 * d;
    const std::int64_t size = std::int64_t{at[0]} << 24 | std::int64_t{at[1]} << 16 | std::int64_t{at[2]} << 8 | at[3];
    idx.dims.push_back(size);
    if (size > 0 && total > (std::int64_t{1} << 40) / size) refuse("its header speaks of more than 1 TiB");
    total *= size;
  }
  const auto expected = static_cast<std::int64_t>(idx.begin) + total;
  if (static_cast<std::int64_t>(b.size()) != expected)
    refuse(fmt::format("has {} bytes, its header says {}", fmt::group_digits(b.size()), fmt::group_digits(expected)));
  return idx;
}

class IdxSet final : public Dataset {
 public:
  IdxSet(Idx images, Idx labels) : images_(std::move(images)), labels_(std::move(labels)) {
    if (images_.dims[0] != labels_.dims[0])
      throw ConfigError(labels_.path.string(), "data.path",
                        fmt::format("{} labels for the {} images of {}", fmt::group_digits(labels_.dims[0]),
                                    fmt::group_digits(images_.dims[0]), images_.path.string()));
    if (images_.dims[0] == 0 || images_.dims[1] == 0 || images_.dims[2] == 0)
      throw ConfigError(images_.path.string(), "data.path", "holds no images");
    classes_ =
        1 + *std::max_element(labels_.bytes.begin() + static_cast<std::ptrdiff_t>(labels_.begin), labels_.bytes.end());
  }
  std::int64_t size() const override { return images_.dims[0]; }
  int classes() const override { return classes_; }
  std::string description() const override {
    return fmt::format("{} images of {} x {} in {}", fmt::group_digits(size()), images_.dims[1], images_.dims[2],
                       images_.path.string());
  }
  void read(std::int64_t index, const WantedOf&, Image& out) const override {
    out.c = 1;
    out.view = {};
    out.h = static_cast<int>(images_.dims[1]);
    out.w = static_cast<int>(images_.dims[2]);
    const std::size_t each = static_cast<std::size_t>(out.h) * static_cast<std::size_t>(out.w);
    const auto from =
        images_.bytes.begin() + static_cast<std::ptrdiff_t>(images_.begin + static_cast<std::size_t>(index) * each);
    out.pixels.assign(from, from + static_cast<std::ptrdiff_t>(each));
    out.label = labels_.bytes[labels_.begin + static_cast<std::size_t>(index)];
  }

 private:
  Idx images_, labels_;
  int classes_ = 0;
};

}  // namespace

std::unique_ptr<Dataset> open_idx(const fs::path& directory, Split split) {
  const std::string stem = split == Split::Training ? "train" : "t10k";
  std::vector<Fault> faults;
  const auto attempt = [&](const std::string& name, std::size_t dimensions) {
    try {
      return read_idx(find(directory, stem + name), dimensions);
    } catch (const ConfigError& e) {
      faults.insert(faults.end(), e.faults().begin(), e.faults().end());
      return Idx{};
    }
  };
  Idx images = attempt("-images-idx3-ubyte", 3), labels = attempt("-labels-idx1-ubyte", 1);
  if (!faults.empty()) throw ConfigError(std::move(faults));
  return std::make_unique<IdxSet>(std::move(images), std::move(labels));
}

}  // namespace lockstep
