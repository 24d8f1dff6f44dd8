#include "experiments/config_io/config_io.hpp"
#include "experiments/config_io/find_file.hpp"
#include "experiments/config_io/reader.hpp"

namespace lockstep {

namespace {

void read_nvlink(ConfigTable t, NvlinkSpec& nvlink) {
  nvlink.present = t.present();
  t.read("present", nvlink.present);
  t.read("through_switch", nvlink.through_switch);
  t.read("switch_adds", nvlink.switch_adds);
  t.read("links_per_gpu", nvlink.links_per_gpu);
  t.read("per_link", nvlink.per_link);
  t.read("latency", nvlink.latency);
  std::vector<std::vector<int>> pairs;
  t.read("pairs", pairs);
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    if (pairs[i].size() != 3) {
      t.fault("pairs", "entry " + std::to_string(i) + " has " + std::to_string(pairs[i].size()) +
                           " numbers; expected [GPU, GPU, links]");
      continue;
    }
    nvlink.pairs.push_back({pairs[i][0], pairs[i][1], pairs[i][2]});
  }
}

void read_node(ConfigTable t, NodeSpec& node) {
  t.require("gpus", "GPUs per node");
  t.require("gpu", "the stem of a GPU file");
  t.read("gpus", node.gpus);
  t.read("gpu", node.gpu);
  read_nvlink(t.table("nvlink"), node.nvlink);
  ConfigTable pcie = t.table("pcie");
  pcie.read("switches", node.pcie.switches);
  pcie.read("cpu_of_switch", node.pcie.cpu_of_switch);
  pcie.read("x16", node.pcie.x16);
  pcie.read("latency", node.pcie.latency);
  pcie.read("host_link", node.pcie.host_link);
  pcie.read("host_copy", node.pcie.host_copy);
  ConfigTable nic = t.table("nic");
  nic.read("count", node.nic.count);
  nic.read("rate", node.nic.rate);
  nic.read("latency", node.nic.latency);
  nic.read("transport", node.nic.transport);
  nic.read("connection", node.nic.connection);
  nic.read("connections", node.nic.connections);
  nic.read("cpu", node.nic.cpu);
  nic.read("under_switch", node.nic.under_switch);
  nic.read("nic_of_gpu", node.nic.nic_of_gpu);
}

void read_network(ConfigTable t, NetworkSpec& network) {
  t.require("kind", "none, star or fat_tree");
  t.read("kind", network.kind);
  t.read("nodes_per_rack", network.nodes_per_rack);
  t.read("leaves_per_rack", network.leaves_per_rack);
  for (ConfigTable tier : t.tables("tiers")) {
    TierSpec& spec = network.tiers.emplace_back();
    tier.require("name", "what this tier is called, such as \"leaf\"");
    tier.read("name", spec.name);
    tier.read("group", spec.group);
    tier.read("switches", spec.switches);
    tier.read("cables", spec.cables);
    tier.read("rate", spec.rate);
    tier.read("hop", spec.hop);
  }
}

/// `nic.rate` says `node.nic.rate`: those tables are nowhere else.
Node with_node_tables(const Node& over) {
  Node out = over, node;
  node.where = over.where;
  const auto of_node = [](const std::string& key) { return key == "nvlink" || key == "pcie" || key == "nic"; };
  out.keys.clear();
  out.items.clear();
  for (std::size_t i = 0; i < over.keys.size(); ++i) {
    Node& to = of_node(over.keys[i]) ? node : out;
    to.keys.push_back(over.keys[i]);
    to.items.push_back(over.items[i]);
  }
  if (node.keys.empty()) return out;
  for (std::size_t i = 0; i < out.keys.size(); ++i) {
    if (out.keys[i] != "node" || out.items[i].kind != Node::Kind::Table) continue;
    lay_over(out.items[i], node);
    return out;
  }
  out.keys.emplace_back("node");
  out.items.push_back(std::move(node));
  return out;
}

/// A GPU file that stands beside the cluster file may be named by its path from there.
std::string gpu_file(const std::string& named, const std::filesystem::path& cluster) {
  std::error_code code;
  const std::filesystem::path beside = cluster.parent_path() / named;
  return named.ends_with(".toml") && std::filesystem::exists(beside, code) ? beside.string() : named;
}

}  // namespace

ClusterSpec read_cluster(const std::string& name, const DataPaths& paths, const AskedBy& asked, const LaidOver& over) {
  const std::filesystem::path path = find_file(name, paths, "clusters", "cluster", asked);
  const Node values = over.values == nullptr ? Node{} : with_node_tables(*over.values);
  Reader reader(path, {&values, over.name});
  ClusterSpec cluster;
  cluster.name = path.stem().string();
  ConfigTable root = reader.root();
  root.require("nodes", "how many nodes the cluster has");
  root.require("node", "a table [node]");
  root.read("title", cluster.title);
  root.read("nodes", cluster.nodes);
  read_node(root.table("node"), cluster.node);
  read_network(root.table("network"), cluster.network);

  cluster.node.gpu = gpu_file(cluster.node.gpu, path);
  reader.report_unknown_keys();
  std::vector<Fault> faults = validate(cluster);
  for (Fault& fault : faults) {
    if (fault.key.rfind("cluster.", 0) == 0)
      fault.key.erase(0, 8);  // top-level keys of the file have no table of their own
  }
  reader.add(std::move(faults));
  reader.finish();
  return cluster;
}

}  // namespace lockstep
