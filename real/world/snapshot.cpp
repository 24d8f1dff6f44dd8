#include "real/world/snapshot.hpp"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "core/base/digest.hpp"
#include "core/base/error.hpp"

namespace lockstep {

namespace {

std::string block_of(std::size_t rank) { return fmt::format("statistics {}", rank); }

template <class T>
void broadcast_value(Transport& transport, T& value) {
  transport.broadcast(std::as_writable_bytes(std::span(&value, 1)), 0);
}

void take(Transport& transport, const Checkpoint& checkpoint, const std::string& block, std::vector<float>& values) {
  if (transport.rank() == 0) {
    const std::vector<float>& from = checkpoint.blocks.at(block);
    LOCKSTEP_EXPECTS(from.size() == values.size());
    values = from;
  }
  transport.broadcast(std::as_writable_bytes(std::span(values)), 0);
}

}  // namespace

std::string shape_of(const ModelGraph& graph) {
  Digest d;
  for (const ParamTensor& t : graph.tensors) {
    d.add(t.name);
    for (const std::int64_t n : t.dims) d.add(static_cast<std::uint64_t>(n));
  }
  return fmt::format("{} with {} tensors, {} parameters, shapes {:016x}", graph.name, graph.tensors.size(),
                     graph.parameters(), d.value());
}

Checkpoint gather_snapshot(Transport& transport, const ModelGraph& graph, std::uint64_t seed, const ModelState& mine,
                           const LoopState& loop) {
  const auto& averages = mine.statistics;
  const auto all = transport.gather({reinterpret_cast<const char*>(averages.data()), averages.size() * sizeof(float)});
  Checkpoint c;
  if (transport.rank() != 0) return c;
  c.facts["model"] = shape_of(graph);
  c.set("step", loop.step);
  c.set("epoch", loop.epoch);
  c.set("images_seen", loop.images_seen);
  c.set("last_lr", loop.last_lr);
  c.set("world_size", std::int64_t{transport.size()});
  c.set("seed", static_cast<std::int64_t>(seed));
  if (mine.loss_scale.scale > 0) {
    c.set("loss_scale", mine.loss_scale.scale);
    c.set("loss_scale_good_steps", mine.loss_scale.good_steps);
  }
  c.blocks["weights"] = mine.weights;
  c.blocks["velocity"] = mine.velocity;
  for (std::size_t r = 0; r < all.size(); ++r) {
    std::vector<float>& block = c.blocks[block_of(r)];
    block.resize(averages.size());
    std::memcpy(block.data(), all[r].data(), all[r].size());
  }
  return c;
}

void expect_snapshot_of(const Checkpoint& checkpoint, const std::string& path, const ModelGraph& graph,
                        std::uint64_t seed) {
  const auto model = checkpoint.facts.find("model");
  const std::string found = model == checkpoint.facts.end() ? "no model" : model->second;
  if (found != shape_of(graph))
    throw ConfigError(path, "model.name",
                      fmt::format("the checkpoint is of {}, the run trains {}", found, shape_of(graph)));
  if (checkpoint.integer("seed") != static_cast<std::int64_t>(seed))
    throw ConfigError(
        path, "training.seed",
        fmt::format("the checkpoint is of a run with seed {}, this one has {}", checkpoint.integer("seed"), seed));
}

Restored scatter_snapshot(Transport& transport, const Checkpoint& checkpoint, ModelState& state) {
  Restored out;
  if (transport.rank() == 0) {
    state.loss_scale = {};
    if (checkpoint.facts.contains("loss_scale"))
      state.loss_scale = {checkpoint.number("loss_scale"), checkpoint.integer("loss_scale_good_steps")};
    out.loop = {checkpoint.integer("step"), checkpoint.number("epoch"), checkpoint.integer("images_seen"),
                checkpoint.number("last_lr")};
    out.ranks = static_cast<int>(checkpoint.integer("world_size"));
  }
  broadcast_value(transport, out);
  broadcast_value(transport, state.loss_scale);
  take(transport, checkpoint, "weights", state.weights);
  take(transport, checkpoint, "velocity", state.velocity);
  std::vector<float> mean(state.statistics.size(), 0.0f), one(state.statistics.size());
  for (int r = 0; r < out.ranks; ++r) {
    take(transport, checkpoint, block_of(static_cast<std::size_t>(r)), one);
    if (out.ranks == transport.size() && r == transport.rank()) state.statistics = one;
    for (std::size_t k = 0; k < mean.size(); ++k) mean[k] += one[k] / static_cast<float>(out.ranks);
  }
  if (out.ranks != transport.size()) state.statistics = mean;
  return out;
}

}  // namespace lockstep
