#include "real/checkpoint/checkpoint.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

#include "core/base/error.hpp"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

static_assert(std::endian::native == std::endian::little, "checkpoints are little-endian");

constexpr char kMagic[] = "LOCKSTEP";  // 8 characters
constexpr int kVersion = 1;
constexpr std::size_t kChunk = std::size_t{1} << 30;  // zlib counts in 32 bits

std::uint32_t checksum(const void* data, std::size_t bytes) {
  uLong crc = crc32(0, nullptr, 0);
  const auto* at = static_cast<const Bytef*>(data);
  while (bytes > 0) {
    const std::size_t now = std::min(bytes, kChunk);
    crc = crc32(crc, at, static_cast<uInt>(now));
    at += now;
    bytes -= now;
  }
  return static_cast<std::uint32_t>(crc);
}

/// A file descriptor that is closed, and the file removed unless kept.
class Output {
 public:
  explicit Output(fs::path path) : path_(std::move(path)) {
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd_ < 0) fail("creating");
  }
  ~Output() {
    if (fd_ >= 0) ::close(fd_);
    if (!kept_) ::unlink(path_.c_str());
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  void write(const void* data, std::size_t bytes) {
    const char* at = static_cast<const char*>(data);
    while (bytes > 0) {
      const ssize_t n = ::write(fd_, at, bytes);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail("writing");
      at += n;
      bytes -= static_cast<std::size_t>(n);
    }
  }
  void move_to(const fs::path& target) {
    if (::fsync(fd_) != 0) fail("flushing");
    if (::close(std::exchange(fd_, -1)) != 0) fail("closing");
    if (::rename(path_.c_str(), target.c_str()) != 0) fail("renaming");
    kept_ = true;
    // The new name itself must survive a power cut; a file system that cannot flush folders is not an error.
    const int folder = ::open(target.parent_path().empty() ? "." : target.parent_path().c_str(), O_RDONLY | O_CLOEXEC);
    if (folder >= 0) {
      (void)::fsync(folder);
      ::close(folder);
    }
  }

 private:
  [[noreturn]] void fail(const char* doing) const {
    const int code = errno;
    throw BackendError(fmt::format("checkpoint: {} {} failed: {}", doing, path_.string(), std::strerror(code)));
  }
  fs::path path_;
  int fd_ = -1;
  bool kept_ = false;
};

std::string header_of(const Checkpoint& c) {
  std::string text = fmt::format("version={}\n", kVersion);
  for (const auto& [name, value] : c.facts) {
    LOCKSTEP_EXPECTS(name.find_first_of("=\n") == std::string::npos && value.find('\n') == std::string::npos);
    text += fmt::format("fact {}={}\n", name, value);
  }
  for (const auto& [name, values] : c.blocks) {
    LOCKSTEP_EXPECTS(name.find_first_of("=\n") == std::string::npos);
    text += fmt::format("block {}={}\n", name, values.size());
  }
  return text;
}

[[noreturn]] void refuse(const fs::path& path, const std::string& why) {
  throw ConfigError(path.string(), "checkpoint", why);
}

template <class T>
bool parse(const std::string& text, T& out) {
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), out);
  return code == std::errc() && end == text.data() + text.size();
}

}  // namespace

void Checkpoint::set(const std::string& name, std::int64_t value) { facts[name] = fmt::format("{}", value); }
void Checkpoint::set(const std::string& name, double value) { facts[name] = fmt::format("{}", value); }

std::int64_t Checkpoint::integer(const std::string& name) const {
  std::int64_t value = 0;
  const auto it = facts.find(name);
  if (it == facts.end() || !parse(it->second, value)) throw ConfigError("checkpoint", name, "missing or not a count");
  return value;
}

double Checkpoint::number(const std::string& name) const {
  double value = 0;
  const auto it = facts.find(name);
  if (it == facts.end() || !parse(it->second, value)) throw ConfigError("checkpoint", name, "missing or not a number");
  return value;
}

void write_checkpoint(const fs::path& path, const Checkpoint& checkpoint) {
  const std::string text = header_of(checkpoint);
  const auto length = static_cast<std::uint64_t>(text.size());
  Output out(path.string() + ".part");
  const auto write_value = [&](auto v) { out.write(&v, sizeof v); };
  out.write(kMagic, 8);
  write_value(length);
  out.write(text.data(), text.size());
  write_value(checksum(text.data(), text.size()));
  for (const auto& [name, values] : checkpoint.blocks) {
    const std::size_t bytes = values.size() * sizeof(float);
    out.write(values.data(), bytes);
    write_value(checksum(values.data(), bytes));
  }
  out.move_to(path);
}

Checkpoint read_checkpoint(const fs::path& path) {
  std::error_code code;
  if (!fs::is_regular_file(path, code)) refuse(path, "there is no such file");
  const std::uint64_t size = fs::file_size(path, code);
  std::ifstream in(path, std::ios::binary);
  if (code || !in) refuse(path, fmt::format("cannot be read: {}", std::strerror(errno)));
  std::uint64_t expected = 16;
  const auto need = [&](std::uint64_t bytes) {
    if (size < bytes) refuse(path, fmt::format("cut short: {} bytes, expected {}", size, bytes));
  };
  const auto read = [&](void* to, std::uint64_t bytes) {
    if (!in.read(static_cast<char*>(to), static_cast<std::streamsize>(bytes)))
      refuse(path, "cannot be read to its end");
  };

  need(expected);
  char magic[8];
  std::uint64_t length = 0;
  read(magic, 8);
  if (std::memcmp(magic, kMagic, 8) != 0) refuse(path, "is not a checkpoint of Lockstep");
  read(&length, 8);
  if (length > size)
    refuse(path, fmt::format("cut short or altered: {} bytes, its header alone says {}", size, length));
  need(expected += length + 4);
  std::string text(length, '\0');
  std::uint32_t crc = 0;
  read(text.data(), length);
  read(&crc, 4);
  if (crc != checksum(text.data(), text.size())) refuse(path, "altered: the checksum of its header is wrong");

  Checkpoint out;
  std::vector<std::pair<std::string, std::uint64_t>> table;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const auto equals = line.find('=');
    if (equals == std::string::npos) refuse(path, "its header is not understood: \"" + line + "\"");
    const std::string left = line.substr(0, equals), right = line.substr(equals + 1);
    std::uint64_t count = 0;
    if (left == "version") {
      if (right != std::to_string(kVersion))
        refuse(path, fmt::format("has format version {}; this program reads version {}", right, kVersion));
    } else if (left.starts_with("fact ")) {
      out.facts[left.substr(5)] = right;
    } else if (left.starts_with("block ") && parse(right, count)) {
      table.emplace_back(left.substr(6), count);
      expected += count * sizeof(float) + 4;
    } else {
      refuse(path, "its header is not understood: \"" + line + "\"");
    }
  }
  if (size != expected) refuse(path, fmt::format("cut short or altered: {} bytes, expected {}", size, expected));
  for (const auto& [name, count] : table) {
    std::vector<float>& values = out.blocks[name];
    values.resize(count);
    read(values.data(), count * sizeof(float));
    read(&crc, 4);
    if (crc != checksum(values.data(), count * sizeof(float)))
      refuse(path, fmt::format("altered: the checksum of \"{}\" is wrong", name));
  }
  return out;
}

CheckpointStore::CheckpointStore(fs::path directory, int keep) : directory_(std::move(directory)), keep_(keep) {
  LOCKSTEP_EXPECTS(keep >= 1);
}

fs::path CheckpointStore::path_of(const std::string& id) const { return directory_ / (id + ".ckpt"); }

void CheckpointStore::save(const std::string& id, const Checkpoint& checkpoint) const {
  std::error_code code;
  fs::create_directories(directory_, code);
  if (code) throw BackendError("checkpoint: creating " + directory_.string() + " failed: " + code.message());
  write_checkpoint(path_of(id), checkpoint);
  const auto all = ids();
  for (std::size_t i = static_cast<std::size_t>(keep_); i < all.size(); ++i) {
    if (all[i] != id) fs::remove(path_of(all[i]), code);
  }
}

std::vector<std::string> CheckpointStore::ids() const {
  std::vector<std::pair<std::int64_t, std::string>> found;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(directory_, code)) {
    if (entry.path().extension() != ".ckpt") continue;
    const std::string id = entry.path().stem().string();
    std::int64_t number = -1;
    if (!parse(id.substr(id.find_last_of('-') + 1), number)) continue;
    found.emplace_back(number, id);
  }
  std::sort(found.rbegin(), found.rend());
  std::vector<std::string> out;
  out.reserve(found.size());
  for (auto& [number, id] : found) out.push_back(std::move(id));
  return out;
}

CheckpointStore::Newest CheckpointStore::newest() const {
  std::vector<Fault> faults;
  Newest result;
  for (const std::string& id : ids()) {
    try {
      result.checkpoint = read_checkpoint(path_of(id));
      result.id = id;
      return result;
    } catch (const ConfigError& e) {
      faults.insert(faults.end(), e.faults().begin(), e.faults().end());
      result.refused.push_back(e.what());
    }
  }
  if (faults.empty()) faults.push_back({directory_.string(), "checkpoint", "holds no checkpoint to resume from"});
  throw ConfigError(std::move(faults));
}

}  // namespace lockstep
