#include "core/model/graph.hpp"

namespace lockstep {

namespace {

/// Which layers of a graph become one.
struct Joins {
  std::vector<Layer> layers;        ///< of the graph, with fused_add, fused_relu and the second input set
  std::vector<LayerId> taken_by;    ///< the BatchNorm that does layer i's work, or none
  std::vector<LayerId> emitted_at;  ///< where layer i's successor stands: itself, or the ReLU it took
};

/// Answers what a join asks of the graph.
class Surroundings {
 public:
  explicit Surroundings(const ModelGraph& graph)
      : graph_(graph), readers_(graph.layers.size()), tensors_before_(graph.layers.size() + 1) {
    for (const Layer& layer : graph.layers) {
      for (LayerId in : layer.inputs) readers_[in.index()].push_back(layer.id);
    }
    for (const ParamTensor& tensor : graph.tensors) ++tensors_before_[tensor.layer.index() + 1];
    for (std::size_t i = 0; i < graph.layers.size(); ++i) tensors_before_[i + 1] += tensors_before_[i];
  }
  /// The layer that alone reads `id`, if it is of this kind.
  LayerId only_reader(LayerId id, LayerKind kind) const {
    const auto& r = readers_[id.index()];
    return r.size() == 1 && graph_.layer(r.front()).kind == kind ? r.front() : LayerId();
  }
  bool parameters_between(LayerId first, LayerId last) const {
    return tensors_before_[last.index()] > tensors_before_[first.index() + 1];
  }

 private:
  const ModelGraph& graph_;
  std::vector<std::vector<LayerId>> readers_;
  std::vector<int> tensors_before_;  ///< of all layers with a smaller id
};

Joins find_joins(const ModelGraph& graph) {
  const Surroundings around(graph);
  Joins j{graph.layers, std::vector<LayerId>(graph.layers.size()), {}};
  for (const Layer& layer : graph.layers) j.emitted_at.push_back(layer.id);
  for (const Layer& layer : graph.layers) {
    if (layer.kind != LayerKind::BatchNorm) continue;
    const LayerId norm = layer.id, add = around.only_reader(norm, LayerKind::Add);
    const LayerId relu = around.only_reader(add ? add : norm, LayerKind::Relu);
    // Of two norms before an addition the first has the second's parameters in between: never do both take it.
    if (!relu || around.parameters_between(norm, relu)) continue;
    Layer& joined = j.layers[norm.index()];
    if (add) {
      const auto& in = graph.layer(add).inputs;
      joined.inputs.push_back(in[0] == norm ? in[1] : in[0]);
      joined.fused_add = true;
      j.taken_by[add.index()] = norm;
    }
    joined.fused_relu = true;
    j.taken_by[relu.index()] = norm;
    j.emitted_at[norm.index()] = relu;
  }
  return j;
}

}  // namespace

ModelGraph fuse(const ModelGraph& graph) {
  Joins joins = find_joins(graph);
  ModelGraph out;
  out.name = graph.name;
  out.classes = graph.classes;
  out.tensors = graph.tensors;
  std::vector<LayerId> renamed(graph.layers.size());
  for (const Layer& layer : graph.layers) {
    const LayerId taker = joins.taken_by[layer.id.index()];
    const LayerId owner = taker ? taker : layer.id;
    if (joins.emitted_at[owner.index()] != layer.id) continue;  // comes later
    Layer emitted = std::move(joins.layers[owner.index()]);
    for (LayerId& in : emitted.inputs) in = renamed[in.index()];
    emitted.id = LayerId(static_cast<std::int64_t>(out.layers.size()));
    // Nothing reads what stood between the norm and its ReLU, so these two names are enough.
    renamed[owner.index()] = renamed[layer.id.index()] = emitted.id;
    out.layers.push_back(std::move(emitted));
  }
  for (ParamTensor& tensor : out.tensors) tensor.layer = renamed[tensor.layer.index()];
  return out;
}

}  // namespace lockstep
