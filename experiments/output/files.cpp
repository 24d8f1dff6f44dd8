#include <cerrno>
#include <cstring>
#include <fstream>

#include "core/base/error.hpp"
#include "experiments/output/report.hpp"

namespace lockstep {

namespace fs = std::filesystem;

std::string version() { return LOCKSTEP_VERSION; }

void claim_directory(const fs::path& directory, bool force) {
  const auto refuse = [&](const std::string& why) { throw ConfigError(directory.string(), "output.directory", why); };
  std::error_code ec;
  if (fs::exists(directory, ec)) {
    if (!fs::is_directory(directory, ec)) refuse("is a file; expected a directory or a new path");
    if (!force && fs::directory_iterator(directory, ec) != fs::directory_iterator()) {
      refuse("is not empty; use --force to overwrite its files, or another directory");
    }
  } else {
    fs::create_directories(directory, ec);
    if (ec) refuse("cannot be created: " + ec.message());
  }
  const fs::path probe = directory / ".lockstep-probe";
  std::ofstream out(probe);
  if (!out.put('x') || !out.flush()) refuse(std::string("cannot be written: ") + std::strerror(errno));
  out.close();
  fs::remove(probe, ec);
}

void write_file(const fs::path& path, const std::string& content) {
  const fs::path temporary = path.string() + ".part";
  std::ofstream out(temporary, std::ios::binary);
  out.write(content.data(), static_cast<std::streamsize>(content.size()));
  out.close();
  std::error_code ec;
  if (!out) {
    fs::remove(temporary, ec);
    throw BackendError("writing " + temporary.string() + " failed: " + std::strerror(errno));
  }
  fs::rename(temporary, path, ec);
  if (ec) throw BackendError("renaming " + temporary.string() + " to " + path.string() + " failed: " + ec.message());
}

}  // namespace lockstep
