// A folder per class with JPEG images in it, as ImageNet is usually unpacked.
#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "real/data/dataset.hpp"
#include "real/data/jpeg/decode.hpp"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

bool is_jpeg(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension == ".jpeg" || extension == ".jpg";
}

std::vector<std::string> classes_in(const fs::path& directory) {
  std::set<std::string> names;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(directory, code)) {
    if (entry.is_directory(code)) names.insert(entry.path().filename().string());
  }
  return {names.begin(), names.end()};
}

class ImageFolder final : public Dataset {
 public:
  ImageFolder(fs::path root, std::vector<std::string> classes) : root_(std::move(root)), classes_(std::move(classes)) {
    for (std::size_t label = 0; label < classes_.size(); ++label) {
      std::vector<std::string> names;
      for (const auto& entry : fs::directory_iterator(root_ / classes_[label])) {
        if (is_jpeg(entry.path())) names.push_back(entry.path().filename().string());
      }
      std::sort(names.begin(), names.end());  // the order of a directory is not the same everywhere
      for (std::string& name : names) files_.push_back({static_cast<int>(label), std::move(name)});
    }
    if (files_.empty())
      throw ConfigError(root_.string(), "data.path", "its folders hold no .JPEG, .jpeg or .jpg files");
  }
  std::int64_t size() const override { return std::ssize(files_); }
  int classes() const override { return static_cast<int>(classes_.size()); }
  std::string description() const override {
    return fmt::format("{} images of {} classes in {}", size(), classes(), root_.string());
  }
  void read(std::int64_t index, int target, Image& out) const override {
    const File& file = files_[static_cast<std::size_t>(index)];
    const fs::path path = root_ / classes_[static_cast<std::size_t>(file.label)] / file.name;
    std::ifstream in(path, std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
    if (!in.is_open() || in.bad()) throw BrokenImage(path.string() + ": cannot be read");
    decode_jpeg(bytes, target, path.string(), out);
    out.label = file.label;
  }

 private:
  struct File {
    int label;
    std::string name;
  };
  fs::path root_;
  std::vector<std::string> classes_;
  std::vector<File> files_;
};

}  // namespace

std::unique_ptr<Dataset> open_image_folder(const fs::path& directory, Split split) {
  require_jpeg();
  const fs::path training = directory / "train", validation = directory / "val";
  const auto classes = classes_in(training), others = classes_in(validation);
  std::vector<Fault> faults;
  if (classes.empty())
    faults.push_back({training.string(), "data.path", "holds no folders; expected one folder of images per class"});
  if (others.empty())
    faults.push_back({validation.string(), "data.path", "holds no folders; expected one folder of images per class"});
  if (faults.empty() && classes != others) {
    std::vector<std::string> apart;
    std::set_symmetric_difference(classes.begin(), classes.end(), others.begin(), others.end(),
                                  std::back_inserter(apart));
    faults.push_back({directory.string(), "data.path",
                      fmt::format("train has {} classes, val {}; only one of them has \"{}\"", classes.size(),
                                  others.size(), apart.front())});
  }
  if (!faults.empty()) throw ConfigError(std::move(faults));
  return std::make_unique<ImageFolder>(split == Split::Training ? training : validation, classes);
}

}  // namespace lockstep
