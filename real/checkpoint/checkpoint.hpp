// Checkpoints as files: written whole or not at all, refused when cut short or altered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace lockstep {

/// What a checkpoint holds: short texts by name, and blocks of fp32 values by name.
struct Checkpoint {
  std::map<std::string, std::string> facts;  ///< names and values without line breaks; names without '='
  std::map<std::string, std::vector<float>> blocks;

  /// Numbers go through text exactly. Reading one that is missing or no number throws ConfigError naming it.
  void set(const std::string& name, std::int64_t value);
  void set(const std::string& name, double value);
  std::int64_t integer(const std::string& name) const;
  double number(const std::string& name) const;
};

/// Writes a temporary file beside `path`, flushes it to the disk, renames it. Layout (little-endian): "LOCKSTEP", u64 length of the
/// text, the text (facts and a table of blocks), u32 CRC-32 of it, then each block's values followed by their CRC-32.
/// Throws BackendError with the system's reason; `path` is then what it was before.
void write_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint);

/// Throws ConfigError naming the file and what is wrong: not there, not a checkpoint, another format version, cut short (bytes found and
/// expected), or altered (which block).
Checkpoint read_checkpoint(const std::filesystem::path& path);

/// The checkpoints of one run in a directory: files "<id>.ckpt", ids like "step-120", ordered by their number.
class CheckpointStore {
 public:
  /// `keep` >= 1: how many of the newest stay after a save.
  CheckpointStore(std::filesystem::path directory, int keep);

  const std::filesystem::path& directory() const { return directory_; }
  std::filesystem::path path_of(const std::string& id) const;
  /// Writes, then removes the oldest beyond `keep`.
  void save(const std::string& id, const Checkpoint& checkpoint) const;
  /// Newest first; empty if there are none, or no directory.
  std::vector<std::string> ids() const;
  /// The newest that can be read, and why newer ones could not. Throws ConfigError with every reason if none can.
  struct Newest {
    std::string id;
    Checkpoint checkpoint;
    std::vector<std::string> refused;
  };
  Newest newest() const;

 private:
  std::filesystem::path directory_;
  int keep_;
};

}  // namespace lockstep
