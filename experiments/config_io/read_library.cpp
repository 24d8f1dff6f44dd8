#include <algorithm>
#include <functional>
#include <set>

#include <fmt/format.h>

#include "experiments/config_io/config_io.hpp"
#include "experiments/config_io/find_file.hpp"
#include "experiments/config_io/reader.hpp"

namespace lockstep {

namespace {

void read_protocol(ConfigTable t, ProtocolSpec& protocol) {
  t.require("name", "simple, ll or ll128");
  t.read("name", protocol.name);
  t.read("efficiency", protocol.efficiency);
  if (!(protocol.efficiency > 0 && protocol.efficiency <= 1))
    t.fault("efficiency", "is out of range; expected 0 < efficiency <= 1");
  t.read("ring_base", protocol.ring.base);
  t.read("tree_base", protocol.tree.base);
  t.read("ring_nvlink", protocol.ring.nvlink);
  t.read("ring_pcie", protocol.ring.pcie);
  t.read("ring_network", protocol.ring.network);
  t.read("tree_nvlink", protocol.tree.nvlink);
  t.read("tree_pcie", protocol.tree.pcie);
  t.read("tree_network", protocol.tree.network);
  t.read("tree_holds_chunk", protocol.tree_holds_chunk);
  t.read("chunk", protocol.chunk);
  t.read("tree_chunk", protocol.tree_chunk);
  t.read("ring_cap", protocol.ring_cap);
  t.read("tree_cap", protocol.tree_cap);
  if (!(protocol.ring_cap.bytes_per_second() > 0))
    t.fault("ring_cap", "a rate of 0; expected more, or no key for unlimited");
  if (!(protocol.tree_cap.bytes_per_second() > 0))
    t.fault("tree_cap", "a rate of 0; expected more, or no key for unlimited");
  t.read("at_most", protocol.at_most);
}

void expect_rate(ConfigTable& t, const std::string& key, Bandwidth rate) {
  if (!(rate.bytes_per_second() > 0)) t.fault(key, "a rate of 0; expected more, or no key for unlimited");
}

void read_by_nodes(ConfigTable& parent, const std::string& key, RateByNodes& rates) {
  if (!parent.has(key)) return;
  ConfigTable t = parent.table(key);
  t.read("one", rates.one);
  t.read("two", rates.two);
  t.read("more", rates.more);
  expect_rate(t, "one", rates.one);
  expect_rate(t, "two", rates.two);
  expect_rate(t, "more", rates.more);
}

void read_nvls(ConfigTable t, NvlsSpec& nvls) {
  nvls.present = t.present();
  if (!t.present()) return;
  const auto at_least = [&](const std::string& key, int& value, int least) {
    t.read(key, value);
    if (value < least) t.fault(key, fmt::format("{} is out of range; expected at least {}", value, least));
  };
  t.require("protocol", "the name of one of the [[protocols]], such as \"simple\"");
  t.read("protocol", nvls.protocol);
  at_least("least_ranks", nvls.least_ranks, 2);
  t.read("trees", nvls.trees);
  at_least("channels", nvls.channels, 1);
  t.require("chunk", "bytes per channel and GPU, such as \"128KiB\"");
  t.read("chunk", nvls.chunk);
  if (t.has("chunk") && nvls.chunk <= Bytes(0)) t.fault("chunk", "no bytes; expected more");
  t.read("base", nvls.base);
  t.require("inside", "how long a node takes to add and copy a chunk, such as \"25us\"");
  t.read("inside", nvls.inside);
  if (nvls.trees) t.require("network", "what a message between nodes costs, such as \"14us\"");
  t.read("network", nvls.network);
  t.read("share", nvls.share);
  if (!(nvls.share.low > 0 && nvls.share.high <= 1)) t.fault("share", "is out of range; expected 0 < share <= 1");
  read_by_nodes(t, "tree", nvls.tree);
  t.require("believed", "the share of its channels' speed that the library reckons with, such as 0.8333");
  t.read("believed", nvls.believed);
  if (!(nvls.believed > 0 && nvls.believed <= 1)) t.fault("believed", "is out of range; expected 0 < believed <= 1");
  const auto falling = [&](const std::string& key, std::vector<double>& speeds) {
    t.require(key, "speeds of a channel in GB/s, falling, such as [40, 30, 20]");
    t.read(key, speeds);
    if (!t.has(key)) return;
    const bool ordered = std::adjacent_find(speeds.begin(), speeds.end(), std::less_equal<>()) == speeds.end();
    if (speeds.empty() || !ordered || !(speeds.back() > 0))
      t.fault(key, "expected speeds above 0 in falling order, at least one");
  };
  falling("speeds_inside", nvls.speeds_inside);
  if (nvls.trees) falling("speeds_network", nvls.speeds_network);
}

void read_architecture(ConfigTable t, ArchitectureTuning& a) {
  t.read("capability", a.capability);
  t.require("nvlink", "what the library takes one NVLink to carry, such as \"20GBps\"");
  t.read("nvlink", a.nvlink);
  if (t.has("nvlink")) expect_rate(t, "nvlink", a.nvlink);
  t.read("bus", a.bus);
  expect_rate(t, "bus", a.bus);
  t.read("ll128", a.ll128);
  read_by_nodes(t, "ll", a.ll);
  read_by_nodes(t, "ll128_ring", a.ll128_ring);
  read_by_nodes(t, "ll128_tree", a.ll128_tree);
  read_by_nodes(t, "tree", a.tree);
  t.read("ring_slowdown", a.ring_slowdown);
  if (!(a.ring_slowdown >= 1)) t.fault("ring_slowdown", "is out of range; expected at least 1");
  t.read("ll_thread_bytes", a.ll_thread_bytes);
  if (a.ll_thread_bytes < 0) t.fault("ll_thread_bytes", "is out of range; expected at least 0");
}

void read_tuning(ConfigTable t, TuningSpec& tuning) {
  if (!t.present()) return;
  t.require("rule", "thresholds or estimates");
  t.read("rule", tuning.rule);
  const auto at_least_1 = [&](const std::string& key, auto& value) {
    t.read(key, value);
    if (value < 1) t.fault(key, "is out of range; expected at least 1");
  };
  const auto share = [&](const std::string& key, double& value) {
    t.read(key, value);
    if (!(value > 0 && value <= 1)) t.fault(key, "is out of range; expected 0 < share <= 1");
  };
  at_least_1("copies", tuning.copies);
  at_least_1("most_channels", tuning.most_channels);
  if (tuning.rule == TuningRule::Estimates) {
    share("ring_ll", tuning.ring_ll);
    share("ring_ll128", tuning.ring_ll128);
    share("tree", tuning.tree);
    share("tree_ll", tuning.tree_ll);
    share("tree_ll128_one_node", tuning.tree_ll128_one_node);
    share("tree_ll128", tuning.tree_ll128);
    read_by_nodes(t, "tree_bus", tuning.tree_bus);
    t.read("ll128_bus", tuning.ll128_bus);
    expect_rate(t, "ll128_bus", tuning.ll128_bus);
    t.read("every_step_network", tuning.every_step_network);
    at_least_1("inside_ll", tuning.inside_ll);
    t.read("inside_floor", tuning.inside_floor);
    t.read("slow_from_per_rank", tuning.slow_from_per_rank);
    t.read("slow_from_per_channel", tuning.slow_from_per_channel);
    for (const auto& [key, list] :
         {std::pair{"correction_simple", &tuning.correction_simple}, std::pair{"correction_ll", &tuning.correction_ll},
          std::pair{"correction_ll128", &tuning.correction_ll128}}) {
      t.read(key, *list);
      for (double factor : *list) {
        if (!(factor > 0 && factor <= 1)) {
          t.fault(key, "has a factor out of range; expected 0 < factor <= 1");
          break;
        }
      }
    }
  } else if (tuning.rule == TuningRule::Thresholds) {
    t.read("ring_step", tuning.ring_step);
    t.read("tree_inside", tuning.tree_inside);
    t.read("tree_across", tuning.tree_across);
    t.require("channel", "a ring's bandwidth per channel, such as \"5GBps\"");
    t.read("channel", tuning.channel);
    if (t.has("channel")) expect_rate(t, "channel", tuning.channel);
    share("tree_nvlink", tuning.tree_nvlink);
    share("tree_pcie", tuning.tree_pcie);
    at_least_1("ll_least_threads", tuning.ll_least_threads);
    at_least_1("ll_most_threads", tuning.ll_most_threads);
    at_least_1("ll_channel_bytes", tuning.ll_channel_bytes);
    at_least_1("ll_tree", tuning.ll_tree);
    at_least_1("ll_nodes", tuning.ll_nodes);
  }
  t.require("architectures", "at least one [[tuning.architectures]]");
  for (ConfigTable a : t.tables("architectures")) {
    read_architecture(a, tuning.architectures.emplace_back());
    const auto n = tuning.architectures.size();
    if (n > 1 && tuning.architectures[n - 2].capability >= tuning.architectures[n - 1].capability)
      a.fault("capability", "does not rise; expected architectures from old to new");
  }
}

}  // namespace

LibrarySpec read_library(const std::string& name, const DataPaths& paths, const AskedBy& asked, const LaidOver& over) {
  const std::filesystem::path path = find_file(name, paths, "libraries", "library", asked);
  Reader reader(path, over);
  LibrarySpec library;
  library.name = path.stem().string();
  ConfigTable root = reader.root();
  root.read("source", library.source);
  root.read("launch", library.launch);
  root.read("negotiate", library.negotiate);
  root.read("reduce", library.reduce);
  root.read("channels", library.channels);
  if (library.channels.low < 0)
    root.fault("channels", "is negative; expected a count, 0 for a library that runs no kernel on the GPU");
  root.read("memory_per_byte", library.memory_per_byte);
  if (!(library.memory_per_byte.low >= 0))
    root.fault("memory_per_byte", "is negative; expected bytes of memory traffic per byte sent");
  root.read("host_memory", library.host_memory);
  root.read("staging_latency", library.staging_latency);
  root.read("tcp_latency", library.tcp_latency);
  root.read("many_connections", library.many_connections);
  root.read("nvlink_share", library.nvlink_share);
  if (!(library.nvlink_share.value > 0 && library.nvlink_share.value <= 1))
    root.fault("nvlink_share", "is out of range; expected 0 < share <= 1");
  read_nvls(root.table("nvls"), library.nvls);
  read_tuning(root.table("tuning"), library.tuning);
  root.require("protocols", "at least one [[protocols]]");
  std::set<std::string> names;
  bool any_size = false;
  for (ConfigTable t : root.tables("protocols")) {
    ProtocolSpec& protocol = library.protocols.emplace_back();
    read_protocol(t, protocol);
    any_size = any_size || protocol.at_most == Bytes(0);
    if (!names.insert(protocol.name).second) t.fault("name", "protocol \"" + protocol.name + "\" is given twice");
  }
  if (library.nvls.present && !library.nvls.protocol.empty() && !names.contains(library.nvls.protocol))
    root.table("nvls").fault("protocol", "\"" + library.nvls.protocol + "\" is none of the [[protocols]]");
  if (root.has("protocols") && !any_size)
    root.fault("protocols", "every protocol has an at_most; expected one without, for large messages");
  reader.report_unknown_keys();
  reader.finish();
  return library;
}

}  // namespace lockstep
