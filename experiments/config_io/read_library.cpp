#include <set>

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
  t.read("ring_base", protocol.ring_base);
  t.read("tree_base", protocol.tree_base);
  t.read("ring_nvlink", protocol.ring_nvlink);
  t.read("ring_pcie", protocol.ring_pcie);
  t.read("ring_network", protocol.ring_network);
  t.read("tree_nvlink", protocol.tree_nvlink);
  t.read("tree_pcie", protocol.tree_pcie);
  t.read("tree_network", protocol.tree_network);
  t.read("ring_cap", protocol.ring_cap);
  t.read("tree_cap", protocol.tree_cap);
  if (!(protocol.ring_cap.bytes_per_second() > 0))
    t.fault("ring_cap", "a rate of 0; expected more, or no key for unlimited");
  if (!(protocol.tree_cap.bytes_per_second() > 0))
    t.fault("tree_cap", "a rate of 0; expected more, or no key for unlimited");
  t.read("at_most", protocol.at_most);
}

}  // namespace

LibrarySpec read_library(const std::string& name, const DataPaths& paths, const AskedBy& asked) {
  const std::filesystem::path path = find_file(name, paths, "libraries", "library", asked);
  Reader reader(path);
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
  root.read("staging", library.staging);
  root.read("staging_latency", library.staging_latency);
  root.require("protocols", "at least one [[protocols]]");
  std::set<std::string> names;
  bool any_size = false;
  for (ConfigTable t : root.tables("protocols")) {
    ProtocolSpec& protocol = library.protocols.emplace_back();
    read_protocol(t, protocol);
    any_size = any_size || protocol.at_most == Bytes(0);
    if (!names.insert(protocol.name).second) t.fault("name", "protocol \"" + protocol.name + "\" is given twice");
  }
  if (root.has("protocols") && !any_size)
    root.fault("protocols", "every protocol has an at_most; expected one without, for large messages");
  reader.report_unknown_keys();
  reader.finish();
  return library;
}

}  // namespace lockstep
