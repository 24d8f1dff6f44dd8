#include "experiments/config_io/find_file.hpp"

#include <algorithm>
#include <system_error>

#include <fmt/format.h>

#include "core/base/error.hpp"

namespace lockstep {

namespace fs = std::filesystem;

std::vector<std::string> stems(const DataPaths& paths, const std::string& folder) {
  std::vector<std::string> out;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(paths.data / folder, code)) {
    if (entry.path().extension() == ".toml") out.push_back(entry.path().stem().string());
  }
  std::sort(out.begin(), out.end());
  return out;
}

fs::path find_file(const std::string& name, const DataPaths& paths, const std::string& folder, const std::string& kind,
                   const AskedBy& asked) {
  const bool is_path = name.find('/') != std::string::npos || fs::path(name).extension() == ".toml";
  fs::path path = is_path ? fs::path(name) : paths.data / folder / (name + ".toml");
  std::error_code code;
  const bool directory = fs::is_directory(path, code);
  if (!name.empty() && !directory && fs::exists(path, code)) return path;

  const std::vector<std::string> known = stems(paths, folder);
  const std::string near = is_path ? "" : nearest(name, known);
  std::string message = name.empty() ? fmt::format("no {} is named", kind)
                        : directory  ? fmt::format("\"{}\" is a directory", path.string())
                        : is_path    ? fmt::format("no such file \"{}\"", name)
                                     : fmt::format("there is no {} \"{}\"{}", kind, name,
                                                near.empty() ? "" : fmt::format(" (did you mean \"{}\"?)", near));
  message += known.empty() ? fmt::format("; expected a path, and {} holds none", (paths.data / folder).string())
                           : fmt::format("; expected a path or one of {}", fmt::join(known, ", "));
  throw ConfigError(asked.where.empty() ? (name.empty() ? kind + " file" : name) : asked.where, asked.key, message);
}

}  // namespace lockstep
