// A folder per class with JPEG images in it, as ImageNet is usually unpacked.
#include <algorithm>
#include <cctype>
#include <fstream>
#include <iterator>
#include <limits>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "real/data/dataset.hpp"
#include "real/data/jpeg/decode.hpp"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

bool is_jpeg(const std::string& name) {
  std::string extension = fs::path(name).extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension == ".jpeg" || extension == ".jpg";
}

/// Names in a directory, sorted, for directories list in any order; without those of tools (.ipynb_checkpoints,
/// ._cat.jpg). Empty if it cannot be listed.
template <typename Keep>
std::vector<std::string> names_in(const fs::path& directory, Keep keep) {
  std::vector<std::string> names;
  std::error_code code;
  for (fs::directory_iterator entry(directory, code), end; !code && entry != end; entry.increment(code)) {
    std::string name = entry->path().filename().string();
    if (name.front() != '.' && keep(*entry, name)) names.push_back(std::move(name));
  }
  if (code) names.clear();
  std::sort(names.begin(), names.end());
  return names;
}

class ImageFolder final : public Dataset {
 public:
  ImageFolder(fs::path root, std::vector<std::string> classes) : root_(std::move(root)), classes_(std::move(classes)) {
    std::vector<Fault> faults;
    for (std::size_t label = 0; label < classes_.size(); ++label) {
      const fs::path folder = root_ / classes_[label];
      auto names = names_in(folder, [](const fs::directory_entry&, const std::string& name) { return is_jpeg(name); });
      if (names.empty())
        faults.push_back({folder.string(), "data.path", "holds no .JPEG, .jpeg or .jpg files that can be listed"});
      for (std::string& name : names) files_.push_back({static_cast<int>(label), std::move(name)});
    }
    if (!faults.empty()) throw ConfigError(std::move(faults));
  }
  std::int64_t size() const override { return std::ssize(files_); }
  int classes() const override { return static_cast<int>(classes_.size()); }
  std::string description() const override {
    return fmt::format("{} images of {} classes in {}", fmt::group_digits(size()), classes(), root_.string());
  }
  void read(std::int64_t index, const WantedOf& wanted, Image& out) const override {
    thread_local StoredJpeg file;  // scratch, of no meaning between calls
    read_jpeg(index, file);
    decode_jpeg(file.bytes, wanted, file.name, out);
    out.label = file.label;
  }
  bool read_jpeg(std::int64_t index, StoredJpeg& out) const override {
    const File& file = files_[static_cast<std::size_t>(index)];
    const std::string path = (root_ / classes_[static_cast<std::size_t>(file.label)] / file.name).string();
    std::ifstream in(path, std::ios::binary | std::ios::ate);
    const std::streamoff size = in.tellg();
    // A directory opens too, and has no end that could be told.
    if (!in || size < 0 || size > std::numeric_limits<std::int32_t>::max())
      throw BrokenImage(path + ": cannot be read");
    out.bytes.resize(static_cast<std::size_t>(size));
    in.seekg(0);
    if (!in.read(out.bytes.data(), size)) throw BrokenImage(path + ": cannot be read to its end");
    out.name = path;
    out.label = file.label;
    return true;
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

/// What is in one and not in the other, as the fault of the directory that lacks it.
void compare(const fs::path& directory, const std::vector<std::string>& mine, const std::vector<std::string>& others,
             std::vector<Fault>& faults) {
  std::vector<std::string> missing;
  std::set_difference(others.begin(), others.end(), mine.begin(), mine.end(), std::back_inserter(missing));
  if (missing.empty()) return;
  faults.push_back({directory.string(), "data.path",
                    fmt::format("has no folder \"{}\"{}; expected the same classes in train and val", missing.front(),
                                missing.size() > 1 ? fmt::format(" and {} others", missing.size() - 1) : "")});
}

}  // namespace

std::unique_ptr<Dataset> open_image_folder(const fs::path& directory, Split split) {
  require_jpeg();
  const auto classes_in = [](const fs::path& folder) {
    return names_in(folder, [](const fs::directory_entry& entry, const std::string&) {
      std::error_code code;
      return entry.is_directory(code);
    });
  };
  const fs::path training = directory / "train", validation = directory / "val";
  const auto classes = classes_in(training), others = classes_in(validation);
  std::vector<Fault> faults;
  for (const auto& [folder, found] : {std::pair(&training, &classes), std::pair(&validation, &others)}) {
    if (found->empty())
      faults.push_back({folder->string(), "data.path", "holds no folders; expected one folder of images per class"});
  }
  if (faults.empty()) {
    compare(training, classes, others, faults);
    compare(validation, others, classes, faults);
  }
  if (!faults.empty()) throw ConfigError(std::move(faults));
  return std::make_unique<ImageFolder>(split == Split::Training ? training : validation, classes);
}

}  // namespace lockstep
