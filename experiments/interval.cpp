#include "experiments/interval.hpp"

#include <algorithm>
#include <cmath>

#include "core/spec/releases.hpp"
#include "experiments/effects.hpp"

namespace lockstep {

namespace {

constexpr double kLeast = 0.01;  // of the value: a parameter that is moved far beyond its band stays positive

double between(double value, double end, double share) { return value + (end - value) * share; }

template <class T>
double raw(const T& v) {
  if constexpr (std::is_arithmetic_v<T>)
    return v;
  else if constexpr (std::is_same_v<T, Time>)
    return v.seconds();
  else
    return v.bytes_per_second();
}
template <class T>
T cooked(double v) {
  if constexpr (std::is_same_v<T, int>)
    return static_cast<int>(std::lround(v));
  else if constexpr (std::is_same_v<T, double>)
    return v;
  else if constexpr (std::is_same_v<T, Time>)
    return Time::seconds(v);
  else
    return Bandwidth::bytes_per_second(v);
}

template <class T>
void move(Sourced<T>& s, double to) {
  const double value = raw(s.value), moved = between(value, raw(to > 0 ? s.high : s.low), std::abs(to));
  s.value = cooked<T>(std::max(moved, kLeast * value));
}

/// Collects the banded fields among those that it is shown.
class Collector {
 public:
  explicit Collector(const Inputs& in) : in_(in) {}

  template <class Field>
  void operator()(const std::string& name, Field field, bool noise = false) {
    const auto& s = field(in_);
    if (s.low == s.high) return;
    found.push_back({name, s.source, noise, [field](Inputs& i, double to) { move(field(i), to); }});
  }
  std::vector<Uncertain> found;

 private:
  Inputs in_;
};

/// The anchor that the run's GPU is scaled by; -1 without one at its precision.
int anchor_of(const Inputs& in) { return find_anchor(in.gpu, in.run.training.precision, in.run.cluster.framework); }

/// Compute times times `factor`: through the anchors, which scale all of them alike, else rank by rank.
void slow_compute(Inputs& in, double factor) {
  if (anchor_of(in) >= 0 || nearest_anchor(in.gpu, in.run.training.precision) >= 0) {
    for (Anchor& a : in.gpu.anchors) a.images_per_second.value /= factor;
    return;
  }
  for (int r = 0; r < in.run.cluster.gpus; ++r) in.run.simulation.slow_ranks.push_back({r, factor});
}

/// What the library believes of a machine that is `factor` times as slow: it chooses there as it does here.
void slow_beliefs(TuningSpec& t, double factor) {
  const auto rate = [&](Bandwidth& b) { b = b / factor; };
  const auto rates = [&](RateByNodes& r) {
    for (Bandwidth* b : {&r.one, &r.two, &r.more}) rate(*b);
  };
  for (Time* time : {&t.inside_floor, &t.ring_step, &t.tree_inside, &t.tree_across}) *time = *time * factor;
  rates(t.tree_bus);
  rate(t.ll128_bus);
  rate(t.channel);
  for (ArchitectureTuning& a : t.architectures) {
    rate(a.nvlink);
    rate(a.bus);
    for (RateByNodes* r : {&a.ll, &a.ll128_ring, &a.ll128_tree, &a.tree}) rates(*r);
  }
}

/// The time of every collective times `factor`: rates divided by it, latencies and costs multiplied. The limits of a library are among its
/// beliefs; those that serve the choice alone go with them, lest an error of the model make the library choose otherwise.
void slow_collectives(Inputs& in, double factor) {
  const auto rate = [&](Bandwidth& b) { b = b / factor; };
  const auto time = [&](Time& t) { t = t * factor; };
  slow_beliefs(in.library.tuning, factor);
  NodeSpec& node = in.cluster.node;
  for (Bandwidth* b :
       {&node.nvlink.per_link.value, &node.pcie.x16.value, &node.pcie.host_link.value, &node.nic.rate.value,
        &node.nic.connection.value, &node.pcie.host_copy.value, &in.library.reduce.value})
    rate(*b);
  for (Time* t : {&node.nvlink.latency.value, &node.pcie.latency.value, &node.nic.latency.value,
                  &in.library.launch.value, &in.library.staging_latency.value, &in.library.tcp_latency.value})
    time(*t);
  for (TierSpec& tier : in.cluster.network.tiers) {
    rate(tier.rate.value);
    time(tier.hop.value);
  }
  for (ProtocolSpec& p : in.library.protocols) {
    for (Time* t : {&p.ring.base, &p.tree.base, &p.ring.nvlink, &p.ring.pcie, &p.ring.network, &p.tree.nvlink,
                    &p.tree.pcie, &p.tree.network})
      time(*t);
    for (Bandwidth* b : {&p.ring_cap, &p.tree_cap, &p.total_cap}) rate(*b);
  }
  NvlsSpec& nvls = in.library.nvls;
  for (Time* t : {&nvls.base, &nvls.inside, &nvls.network}) time(*t);
  for (Bandwidth* b : {&nvls.tree.one, &nvls.tree.two, &nvls.tree.more}) rate(*b);
  for (std::vector<double>* speeds : {&nvls.speeds_inside, &nvls.speeds_network}) {
    for (double& speed : *speeds) speed /= factor;
  }
}

std::function<void(Inputs&, double)> by(void (*slow)(Inputs&, double), double low, double high) {
  return [=](Inputs& in, double to) { slow(in, std::exp(to > 0 ? high * to : -low * to)); };
}

/// "resnet" of "resnet50_v1".
std::string family(const std::string& model) { return model.substr(0, model.find_first_of("0123456789_-")); }

}  // namespace

std::vector<Uncertain> banded_parameters(const Inputs& in) {
  Collector c(in);
  c(
      "cluster_file.node.nvlink.per_link", [](Inputs & i) -> auto& { return i.cluster.node.nvlink.per_link; });
  c(
      "cluster_file.node.nvlink.latency", [](Inputs & i) -> auto& { return i.cluster.node.nvlink.latency; });
  c(
      "cluster_file.node.pcie.x16", [](Inputs & i) -> auto& { return i.cluster.node.pcie.x16; });
  c(
      "cluster_file.node.pcie.latency", [](Inputs & i) -> auto& { return i.cluster.node.pcie.latency; });
  c(
      "cluster_file.node.pcie.host_link", [](Inputs & i) -> auto& { return i.cluster.node.pcie.host_link; });
  c(
      "cluster_file.node.nic.rate", [](Inputs & i) -> auto& { return i.cluster.node.nic.rate; });
  c(
      "cluster_file.node.nic.latency", [](Inputs & i) -> auto& { return i.cluster.node.nic.latency; });
  if (in.cluster.node.nic.transport == NicTransport::Tcp) {
    c(
        "cluster_file.node.nic.connection", [](Inputs & i) -> auto& { return i.cluster.node.nic.connection; });
    c(
        "library_file.tcp_latency", [](Inputs & i) -> auto& { return i.library.tcp_latency; });
  }
  for (std::size_t t = 0; t < in.cluster.network.tiers.size(); ++t) {
    const std::string tier = "cluster_file.network.tiers." + in.cluster.network.tiers[t].name;
    c(
        tier + ".rate", [t](Inputs & i) -> auto& { return i.cluster.network.tiers[t].rate; });
    c(
        tier + ".hop", [t](Inputs & i) -> auto& { return i.cluster.network.tiers[t].hop; });
  }
  c(
      "library_file.launch", [](Inputs & i) -> auto& { return i.library.launch; });
  if (in.run.buckets.policy == BucketPolicy::Horovod)
    c(
        "library_file.negotiate", [](Inputs & i) -> auto& { return i.library.negotiate; });
  c(
      "library_file.reduce", [](Inputs & i) -> auto& { return i.library.reduce; });
  c(
      "library_file.nvlink_share", [](Inputs & i) -> auto& { return i.library.nvlink_share; });
  if (in.library.nvls.present && in.cluster.node.nvlink.switch_adds)
    c(
        "library_file.nvls.share", [](Inputs & i) -> auto& { return i.library.nvls.share; });
  if (in.run.effects.contention && in.run.cluster.gpus > 1) {
    c(
        "library_file.channels", [](Inputs & i) -> auto& { return i.library.channels; });
    c(
        "library_file.memory_per_byte", [](Inputs & i) -> auto& { return i.library.memory_per_byte; });
  }
  if (in.run.effects.small_batch)
    c(
        "gpu_file.tail_waves", [](Inputs & i) -> auto& { return i.gpu.tail_waves; });
  if (copies_through_host(in)) {
    c(
        "cluster_file.node.pcie.host_copy", [](Inputs & i) -> auto& { return i.cluster.node.pcie.host_copy; });
    c(
        "library_file.staging_latency", [](Inputs & i) -> auto& { return i.library.staging_latency; });
  }
  c(
      "gpu_file.memory_achieved", [](Inputs & i) -> auto& { return i.gpu.memory_achieved; });
  c(
      "gpu_file.kernel_gap", [](Inputs & i) -> auto& { return i.gpu.kernel_gap; });
  c(
      "gpu_file.dispatch", [](Inputs & i) -> auto& { return i.gpu.dispatch; });
  c(
      "gpu_file.step_jitter", [](Inputs & i) -> auto& { return i.gpu.step_jitter; }, true);
  c(
      "gpu_file.gpu_spread", [](Inputs & i) -> auto& { return i.gpu.gpu_spread; }, true);
  if (const int a = anchor_of(in); a >= 0) {
    c(
        "gpu_file.anchor." + std::to_string(a) + ".images_per_second", [a](Inputs & i) -> auto& {
          return i.gpu.anchors[static_cast<std::size_t>(a)].images_per_second;
        });
  }
  return c.found;
}

std::vector<Uncertain> model_errors(const Inputs& in, const ModelError& error) {
  std::vector<Uncertain> out;
  const auto compute = [&](const std::string& name, const ErrorBand& band, double times) {
    const auto [low, high] = std::minmax({band.low * times, band.high * times});
    if (low != 0 || high != 0) out.push_back({"model: " + name, band.source, false, by(slow_compute, low, high)});
  };
  const bool profiled = std::any_of(in.gpu.profile.begin(), in.gpu.profile.end(), [&](const ProfileRow& row) {
    return row.model == in.run.model.name && row.precision == in.run.training.precision;
  });
  const int a = anchor_of(in);
  if (!profiled && a < 0) compute("no anchor at this precision", error.unanchored, 1);
  if (!profiled && a >= 0) {
    const Anchor& anchor = in.gpu.anchors[static_cast<std::size_t>(a)];
    const double images = static_cast<double>(in.run.training.global_batch) / in.run.cluster.gpus /
                          accumulation_at(in.run, in.run.training.global_batch);
    compute("the anchor is one run", error.run_to_run, 1);
    compute("images per GPU other than the anchor's", error.batch,
            std::log2(static_cast<double>(anchor.batch) / std::max(1.0, images)));
    if (family(anchor.model) != family(in.run.model.name))
      compute("another network than the anchor's", error.network, 1);
    const auto rivals = std::count_if(in.gpu.anchors.begin(), in.gpu.anchors.end(), [&](const Anchor& other) {
      return other.precision == anchor.precision && !other.channels_first;
    });
    if (!in.run.cluster.same_software || (in.run.cluster.framework.empty() && rivals > 1))
      compute(in.run.cluster.framework.empty() ? "other software than the anchor's (no cluster.framework)"
                                               : "other software than the anchor's",
              error.software, 1);
    compute("another release than the anchor's", error.drift,
            std::sqrt(years_between(anchor.framework, in.run.cluster.framework)));
    compute("the release lies between two anchors'", error.beyond, 1);
  }
  if (in.run.cluster.gpus > 1 && !error.collective.none())
    out.push_back({"model: time of collectives", error.collective.source, false,
                   by(slow_collectives, error.collective.low, error.collective.high)});
  return out;
}

Spread spread_of(const std::vector<Uncertain>& list, const ErrorBand& extra, bool noise_on, const Quantity& quantity,
                 const Progress& progress, std::size_t threads) {
  const auto unchanged = [](Inputs&) {};
  const double still = quantity(unchanged, false);
  const bool any_noise = noise_on && std::any_of(list.begin(), list.end(), [](const auto& u) { return u.noise; });
  const double noisy = any_noise ? quantity(unchanged, true) : still;
  std::vector<double> shifts(2 * list.size(), 0);
  for_each_in_parallel(
      shifts.size(), threads,
      [&](std::size_t i) {
        const Uncertain& u = list[i / 2];
        if (u.noise && !noise_on) return;
        const double to = i % 2 == 1 ? 1 : -1;
        shifts[i] = quantity([&](Inputs& in) { u.set(in, to); }, u.noise) / (u.noise ? noisy : still) - 1;
      },
      [&](std::size_t done) {
        return !progress ||
               progress(static_cast<double>(done) / static_cast<double>(shifts.size()), "prediction interval");
      });

  Spread spread;
  double below = std::expm1(extra.low) * std::expm1(extra.low), above = std::expm1(extra.high) * std::expm1(extra.high);
  for (std::size_t i = 0; i < list.size(); ++i) {
    const double a = shifts[2 * i], b = shifts[2 * i + 1];
    const double low = std::min({0.0, a, b}), high = std::max({0.0, a, b});
    below += low * low;
    above += high * high;
    spread.effects.push_back({list[i].name, list[i].source, a, b});
  }
  if (!extra.none())
    spread.effects.push_back({"model: from run to run", extra.source, std::expm1(extra.low), std::expm1(extra.high)});
  spread.low = -std::sqrt(below);
  spread.high = std::sqrt(above);
  const auto size = [](const Effect90& e) { return std::max(std::abs(e.at_low), std::abs(e.at_high)); };
  std::stable_sort(spread.effects.begin(), spread.effects.end(),
                   [&](const Effect90& a, const Effect90& b) { return size(a) > size(b); });
  return spread;
}

Interval predict_interval(const Inputs& inputs, const StepPrediction& centre, const ModelError& error,
                          const Progress& progress, std::size_t threads) {
  std::vector<Uncertain> list = banded_parameters(inputs);
  for (Uncertain& u : model_errors(inputs, error)) list.push_back(std::move(u));
  const Spread spread = spread_of(list, error.run_to_run, inputs.run.simulation.noise,
                                  step_quantity(with_plan_fixed(inputs)), progress, threads);
  Interval interval;
  interval.low = centre.step * std::max(0.0, 1 + spread.low);
  interval.high = centre.step * (1 + spread.high);
  for (const Effect90& e : spread.effects)
    interval.parameters.push_back({e.name, e.source, centre.step * (1 + e.at_low), centre.step * (1 + e.at_high)});
  return interval;
}

Quantity step_quantity(const Inputs& inputs) {
  return [inputs](const std::function<void(Inputs&)>& change, bool noisy) {
    Inputs changed = inputs;
    changed.run.output.trace_ranks.clear();
    changed.run.simulation.noise = noisy;
    if (!noisy && changed.run.simulation.background == 0) changed.run.simulation.sampled_steps = 1;
    change(changed);
    return predict_step(changed).step.seconds();
  };
}

}  // namespace lockstep
