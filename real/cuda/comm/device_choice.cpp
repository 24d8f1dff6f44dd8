#include "real/cuda/comm/device_choice.hpp"

#include <algorithm>
#include <cctype>
#include <map>
#include <sstream>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/spec/words.hpp"

namespace lockstep::cuda {

namespace {

/// The device that each rank takes. Ranks that see the same devices are on one machine, whatever their hosts are called
/// (ranks on threads have a host each).
std::vector<int> devices_of(std::span<const VisibleDevices> ranks) {
  std::map<std::vector<std::string>, int> that_see;
  std::vector<int> out;
  std::string blind;
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    const int local = that_see[ranks[r].devices]++;
    const auto count = static_cast<int>(ranks[r].devices.size());
    if (count == 0) blind += fmt::format("{}rank {} (host {})", blind.empty() ? "" : ", ", r, ranks[r].host);
    out.push_back(count == 0 ? 0 : local % count);
  }
  if (!blind.empty()) throw BackendError("no GPU is visible to " + blind);
  return out;
}

/// Versions of NVIDIA's libraries: `thousands` 1000 or 10000 for the major number.
std::string version(std::size_t code, std::size_t thousands) {
  return fmt::format("{}.{}.{}", code / thousands, code % thousands / 100, code % 100);
}

}  // namespace

DeviceChoice choose_device(std::span<const VisibleDevices> ranks, int rank, Reduction reduction,
                           std::optional<LaneKind> wanted) {
  LOCKSTEP_EXPECTS(0 <= rank && rank < static_cast<int>(ranks.size()));
  const std::vector<int> devices = devices_of(ranks);
  std::map<std::string, int> users;
  const auto key = [&](std::size_t r) { return ranks[r].devices[static_cast<std::size_t>(devices[r])]; };
  std::string crowded;
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    if (++users[key(r)] == 2 && crowded.empty())
      crowded = fmt::format("ranks share GPU {} of host {}, which NCCL does not support", devices[r], ranks[r].host);
  }
  std::string why = crowded;
  if (why.empty() && reduction != Reduction::Planned)
    why = fmt::format("NCCL has no reduction \"{}\"; expected \"planned\"", word_of(reduction));

  DeviceChoice choice;
  choice.device = devices[static_cast<std::size_t>(rank)];
  choice.sharing = users[key(static_cast<std::size_t>(rank))];
  if (wanted == LaneKind::Nccl && !why.empty()) throw ConfigError("run", "allreduce", why);
  choice.lane = wanted.value_or(why.empty() ? LaneKind::Nccl : LaneKind::HostStaged);
  // Who asks for another reduction knows what it means; that ranks outnumber GPUs may be an accident.
  if (!wanted && !crowded.empty()) choice.warning = crowded + ": gradients go through the host's memory";
  return choice;
}

std::vector<VisibleDevices> exchange_devices(Transport& transport, const std::vector<std::string>& mine) {
  std::string text;
  for (const std::string& name : mine) text += name + "\n";
  std::vector<VisibleDevices> out;
  for (const std::string& one : transport.gather(text)) {
    VisibleDevices& v = out.emplace_back();
    v.host = transport.host(static_cast<int>(out.size()) - 1);
    std::istringstream lines(one);
    for (std::string line; std::getline(lines, line);) v.devices.push_back(line);
  }
  return out;
}

std::string to_text(const DeviceFacts& f) {
  const auto cuda = [](int code) { return fmt::format("CUDA {}.{}", code / 1000, code % 1000 / 10); };
  std::string text =
      fmt::format("{}, {} GiB, {}, {}", f.name, f.memory >> 30,
                  f.driver.empty() ? "driver for " + cuda(f.driver_cuda) : "driver " + f.driver, cuda(f.runtime));
  if (f.cudnn > 0) text += ", cuDNN " + version(f.cudnn, f.cudnn < 90000 ? 1000 : 10000);
  if (f.nccl > 0) text += ", NCCL " + version(static_cast<std::size_t>(f.nccl), 10000);
  return text;
}

std::string driver_number(const std::string& text) {
  const std::size_t line = text.find("NVRM version:");
  if (line == std::string::npos) return "";
  // The first word that is a number with a point: "... Kernel Module for x86_64  580.95.05  Release Build ...".
  std::istringstream words(text.substr(line, text.find('\n', line) - line));
  for (std::string word; words >> word;) {
    const bool number =
        std::all_of(word.begin(), word.end(), [](unsigned char c) { return std::isdigit(c) != 0 || c == '.'; });
    if (number && word.find('.') != std::string::npos) return word;
  }
  return "";
}

}  // namespace lockstep::cuda
