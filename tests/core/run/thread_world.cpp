#include "thread_world.hpp"

#include <cmath>
#include <future>
#include <thread>

#include "core/base/error.hpp"
#include "core/base/rng.hpp"
#include "core/model/loss.hpp"
#include "core/optim/optimizer.hpp"

namespace lockstep::test {

Sample make_sample(std::uint64_t seed, std::int64_t index, int features, int classes) {
  Rng rng(seed, "sample", static_cast<std::uint64_t>(index));
  Sample s;
  for (int f = 0; f < features; ++f) s.x.push_back(static_cast<float>(rng.normal()));
  s.label = static_cast<int>(rng.below(static_cast<std::uint64_t>(classes)));
  return s;
}

std::vector<std::vector<float>> initial_weights(const ModelGraph& graph, std::uint64_t seed) {
  std::vector<std::vector<float>> weights;
  for (const ParamTensor& t : graph.tensors) {
    Rng rng(seed, "weights", t.id.index());
    std::vector<float> w(static_cast<std::size_t>(t.elements()), 0.0f);
    if (t.role == TensorRole::Weight) {
      for (float& v : w) v = static_cast<float>((2 * rng.uniform() - 1) / std::sqrt(static_cast<double>(t.dims[1])));
    }
    weights.push_back(std::move(w));
  }
  return weights;
}

double add_gradient(const ModelGraph& graph, const std::vector<std::vector<float>>& weights, const Sample& sample,
                    std::vector<std::vector<float>>& gradients) {
  std::map<LayerId, std::vector<std::size_t>> tensors_of;
  for (const auto& t : graph.tensors) tensors_of[t.layer].push_back(t.id.index());
  std::vector<std::vector<float>> values(graph.layers.size());
  values[0] = sample.x;
  for (const Layer& l : graph.layers) {
    if (l.kind == LayerKind::Input) continue;
    const auto& in = values[l.inputs[0].index()];
    auto& out = values[l.id.index()];
    if (l.kind == LayerKind::Linear) {
      const auto &w = weights[tensors_of[l.id][0]], &b = weights[tensors_of[l.id][1]];
      for (std::size_t o = 0; o < b.size(); ++o) {
        float sum = b[o];
        for (std::size_t i = 0; i < in.size(); ++i) sum += w[o * in.size() + i] * in[i];
        out.push_back(sum);
      }
    } else if (l.kind == LayerKind::Relu) {
      for (float v : in) out.push_back(v > 0 ? v : 0);
    } else {
      LOCKSTEP_EXPECTS(l.kind == LayerKind::SoftmaxCrossEntropy);
      out = in;
    }
  }
  const std::vector<double> logits(values.back().begin(), values.back().end());
  std::vector<double> d(logits.size());
  cross_entropy_gradient(logits, sample.label, 0.1, d);
  std::vector<float> back(d.begin(), d.end());
  for (auto l = graph.layers.rbegin(); l != graph.layers.rend(); ++l) {
    if (l->kind == LayerKind::Linear) {
      const auto& in = values[l->inputs[0].index()];
      const auto& w = weights[tensors_of[l->id][0]];
      auto &gw = gradients[tensors_of[l->id][0]], &gb = gradients[tensors_of[l->id][1]];
      std::vector<float> previous(in.size(), 0.0f);
      for (std::size_t o = 0; o < back.size(); ++o) {
        gb[o] += back[o];
        for (std::size_t i = 0; i < in.size(); ++i) {
          gw[o * in.size() + i] += back[o] * in[i];
          previous[i] += back[o] * w[o * in.size() + i];
        }
      }
      back = std::move(previous);
    } else if (l->kind == LayerKind::Relu) {
      const auto& in = values[l->inputs[0].index()];
      for (std::size_t i = 0; i < in.size(); ++i) back[i] = in[i] > 0 ? back[i] : 0;
    }
  }
  return cross_entropy(logits, sample.label, 0.1);
}

ThreadWorld::ThreadWorld(RunSpec run, int ranks) : run_(std::move(run)), ranks_(ranks) {}

void ThreadWorld::prepare(const RunPlan& plan) {
  graph_ = plan.graph;
  State s;
  s.weights = initial_weights(*graph_, plan.seed);
  for (const auto& w : s.weights) s.velocity.emplace_back(w.size(), 0.0f);
  s.gradients = s.velocity;
  states_.assign(static_cast<std::size_t>(ranks_), s);
}

double ThreadWorld::run_rank(const StepProgram& program, const StepArgs& args, int rank) {
  State& s = states_[static_cast<std::size_t>(rank)];
  for (auto& g : s.gradients) std::fill(g.begin(), g.end(), 0.0f);
  const std::int64_t mine = images_of_rank(args.images, ranks_, Rank(rank));
  const std::int64_t first = args.first_sample + args.images * rank / ranks_;
  double loss = 0;

  // The communication lane: buckets in program order, each as soon as backward has filled it.
  const std::size_t buckets = program.buckets.buckets.size();
  std::vector<std::promise<void>> full(buckets);
  std::vector<std::promise<void>> done(buckets);
  std::vector<std::future<void>> finished;
  for (auto& d : done) finished.push_back(d.get_future());
  std::thread communication([&] {
    for (const Op& op : program.ops) {
      if (op.kind != OpKind::Allreduce) continue;
      const Bucket& bucket = program.buckets.buckets[op.bucket.index()];
      full[op.bucket.index()].get_future().wait();
      std::vector<float> buffer;
      for (TensorId t : bucket.tensors) {
        buffer.insert(buffer.end(), s.gradients[t.index()].begin(), s.gradients[t.index()].end());
      }
      allreduce(program.collectives[op.bucket.index()], op.bucket.value, Rank(rank), buffer, *post_);
      auto from = buffer.begin();
      for (TensorId t : bucket.tensors) {
        auto& g = s.gradients[t.index()];
        std::copy(from, from + static_cast<std::ptrdiff_t>(g.size()), g.begin());
        from += static_cast<std::ptrdiff_t>(g.size());
      }
      if (rank == 0) executed_[Lane::Communication].push_back(program.name(op));
      done[op.bucket.index()].set_value();
    }
  });

  for (const Op& op : program.ops) {
    if (op.kind == OpKind::Forward && program.graph->layer(op.layer).kind == LayerKind::SoftmaxCrossEntropy) {
      // The test network is small: all layers of a micro-step run here; its buckets are filled by the backward operations below.
      const std::int64_t from = mine * op.micro / program.accumulation,
                         to = mine * (op.micro + 1) / program.accumulation;
      for (std::int64_t i = from; i < to; ++i) {
        loss += add_gradient(
            *program.graph, s.weights,
            make_sample(run_.training.seed, first + i, program.graph->input().c, program.graph->classes), s.gradients);
      }
    }
    if (op.kind == OpKind::Allreduce) full[op.bucket.index()].set_value();
    if (op.kind == OpKind::Update) {
      for (OpId need : op.needs) {
        if (program.ops[need.index()].kind == OpKind::Allreduce)
          finished[program.ops[need.index()].bucket.index()].wait();
      }
      const StepValues values =
          step_values(run_.optimizer, args.peak_lr, args.lr, args.weight_decay, args.momentum_scale);
      for (TensorId t : program.updates[static_cast<std::size_t>(op.group)].tensors) {
        auto& g = s.gradients[t.index()];
        for (float& v : g) v /= static_cast<float>(args.images);
        update_tensor<float>(run_.optimizer, program.graph->tensor(t).role, true, values, s.weights[t.index()], g,
                             s.velocity[t.index()]);
      }
    }
    if (rank == 0 && op.lane != Lane::Communication) executed_[op.lane].push_back(program.name(op));
  }
  communication.join();
  return loss;
}

StepResult ThreadWorld::run(const StepProgram& program, std::span<const StepArgs> steps, const StepObserver& observer) {
  StepResult result;
  for (const StepArgs& args : steps) {
    std::vector<double> losses(static_cast<std::size_t>(ranks_));
    std::vector<std::thread> threads;
    for (int r = 0; r < ranks_; ++r) {
      threads.emplace_back([&, r] { losses[static_cast<std::size_t>(r)] = run_rank(program, args, r); });
    }
    for (auto& t : threads) t.join();
    double loss = 0;
    for (double l : losses) loss += l;
    result.loss = Figure::exactly(loss / static_cast<double>(args.images));
    ++result.steps;
    result.images += args.images;
    clock_ += Time::milliseconds(1);
    result.elapsed += Time::milliseconds(1);
    if (observer && !observer(result.steps, clock_)) break;
  }
  return result;
}

void ThreadWorld::save(const std::string& id, const LoopState& state) { saved_[id] = {state, states_}; }

LoopState ThreadWorld::restore(const std::string& id) {
  states_ = saved_.at(id).second;
  return saved_.at(id).first;
}

}  // namespace lockstep::test
