#include "experiments/check/report.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "core/base/error.hpp"
#include "core/spec/words.hpp"

namespace lockstep::check {

std::optional<FileKind> asked_kind(const std::string& word) {
  if (word.empty()) return std::nullopt;
  const auto kind = kind_named(word);
  if (!kind) throw ConfigError("--kind", "", unknown_word(word, kind_names()));
  return kind;
}

std::vector<std::filesystem::path> named_files(const std::string& name, const DataPaths& paths,
                                               std::optional<FileKind> kind) {
  std::error_code code;
  const std::filesystem::path path = name;
  std::vector<std::filesystem::path> out;
  if (std::filesystem::is_regular_file(path, code) || path.has_parent_path() || path.extension() == ".toml")
    return {path};
  std::vector<std::string> known;
  for (const auto& [of, folder] : {std::pair(FileKind::Cluster, "clusters"), std::pair(FileKind::Gpu, "gpus"),
                                   std::pair(FileKind::Library, "libraries")}) {
    if (kind && *kind != of) continue;
    for (const std::string& stem : stems(paths, folder)) {
      known.push_back(stem);
      if (stem == name) out.push_back(paths.data / folder / (name + ".toml"));
    }
  }
  if (!out.empty()) return out;
  const std::string near = nearest(name, known);
  throw ConfigError(name, "",
                    fmt::format("no such file, and no file of that name in {}{}", paths.data.string(),
                                near.empty() ? "" : fmt::format(" (did you mean \"{}\"?)", near)));
}

std::string to_text(const FileReport& report) {
  if (report.faults.empty() && report.findings.empty())
    return fmt::format("{}: {} file, nothing wrong\n", report.file.string(), name_of(report.kind));
  std::string out;
  for (const Fault& fault : report.faults) out += fault.text() + "\n";
  for (const Finding& finding : report.findings) {
    const Fault& f = finding.fault;
    out += fmt::format("{}: {}: {}: {} [{}]\n", f.where, finding.reason.empty() ? "implausible" : "accepted", f.key,
                       f.message, finding.rule);
    if (!finding.reason.empty()) out += fmt::format("    because: {}\n", finding.reason);
  }
  return out;
}

std::string to_json(const std::vector<FileReport>& reports) {
  auto out = nlohmann::ordered_json::array();
  for (const FileReport& report : reports) {
    nlohmann::ordered_json j = {{"file", report.file.string()}, {"kind", name_of(report.kind)}};
    j["faults"] = nlohmann::ordered_json::array();
    j["implausible"] = nlohmann::ordered_json::array();
    for (const Fault& f : report.faults)
      j["faults"].push_back({{"where", f.where}, {"key", f.key}, {"message", f.message}});
    for (const Finding& finding : report.findings) {
      const Fault& f = finding.fault;
      j["implausible"].push_back({{"rule", finding.rule},
                                  {"where", f.where},
                                  {"key", f.key},
                                  {"message", f.message},
                                  {"accepted_because", finding.reason}});
    }
    out.push_back(std::move(j));
  }
  return out.dump(2) + "\n";
}

}  // namespace lockstep::check
