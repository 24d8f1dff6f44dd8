#include "real/cpu/layer.hpp"

#include <algorithm>

namespace lockstep::cpu {

namespace {

/// Gains nothing from another layout, and less from another thread: waking one costs more than the copy.
bool is_vector(const Desc& desc) { return desc.dims().size() == 1; }

float* floats(const dnnl::memory& memory) { return static_cast<float*>(memory.get_data_handle()); }

}  // namespace

dnnl::memory Pool::take(const Desc& desc) {
  const std::size_t wanted = desc.get_size();
  const auto found = free_.lower_bound(wanted);
  if (found != free_.end() && found->first <= 2 * wanted) {
    void* at = found->second;
    free_.erase(found);
    return {desc, engine_, at};
  }
  dnnl::memory fresh(desc, engine_);
  owned_.push_back(fresh);
  size_[fresh.get_data_handle()] = wanted;
  return fresh;
}

void Pool::give_back(const dnnl::memory& memory) {
  void* at = memory.get_data_handle();
  const auto it = size_.find(at);
  if (it != size_.end()) free_.emplace(it->second, at);
}

dnnl::memory Scratch::view(const Desc& desc, const dnnl::engine& engine) {
  if (!block_ || block_.get_desc().get_size() < desc.get_size()) {
    block_ = dnnl::memory(desc, engine);
    for (dnnl::memory& view : views_) view.set_data_handle(block_.get_data_handle());
  }
  return views_.emplace_back(desc, engine, block_.get_data_handle());
}

Reordered reordered(Context& c, const dnnl::memory& from, const Desc& wanted) {
  if (from.get_desc() == wanted) return {from, {}};
  const dnnl::memory to = c.allocate(wanted);
  return {to, copy_of(c, from, to)};
}

Call copy_of(Context& c, const dnnl::memory& from, const dnnl::memory& to) {
  return {c, dnnl::reorder::primitive_desc(from, to, c.attributes), {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}}};
}

GradientSlot::GradientSlot(Context& c, Value& value, const Desc& desc) {
  if (!value.gradient) {
    target_ = value.gradient = c.pool.take(desc);
    return;
  }
  target_ = c.pool.take(desc);
  const Desc& whole = value.gradient.get_desc();
  const dnnl::sum::primitive_desc sum(whole, {1.0f, 1.0f}, {whole, desc}, c.engine, c.attributes);
  sum_ = Call(
      c, sum,
      {{DNNL_ARG_MULTIPLE_SRC, value.gradient}, {DNNL_ARG_MULTIPLE_SRC + 1, target_}, {DNNL_ARG_DST, value.gradient}});
  c.pool.give_back(target_);
}

void Parameter::load(Context& c, const TensorSet& weights) {
  if (copies.empty()) return;
  const std::span<const float> values = weights[id];
  if (is_vector(plain)) {
    for (const dnnl::memory& copy : copies) std::copy(values.begin(), values.end(), floats(copy));
    return;
  }
  if (!plain_) {
    plain_ = dnnl::memory(plain, c.engine, nullptr);
    for (const dnnl::memory& copy : copies) {
      const dnnl::reorder::primitive_desc pd(plain_, copy, c.attributes);
      copying_.push_back({dnnl::reorder(pd), c.allocate(pd.scratchpad_desc())});
    }
  }
  plain_.set_data_handle(const_cast<float*>(values.data()));  // only read
  for (std::size_t i = 0; i < copies.size(); ++i)
    copying_[i].reorder.execute(
        c.stream, {{DNNL_ARG_FROM, plain_}, {DNNL_ARG_TO, copies[i]}, {DNNL_ARG_SCRATCHPAD, copying_[i].scratch}});
}

const ParamTensor* Building::tensor(TensorRole role) const {
  for (const ParamTensor& t : graph.tensors) {
    if (t.layer == layer.id && t.role == role) return &t;
  }
  return nullptr;
}

ParameterGradient::ParameterGradient(Context& c, TensorId id, const Desc& plain, const Desc& computed)
    : id_(id), computed_(c.allocate(computed)), plain_(plain, c.engine, nullptr) {
  if (is_vector(plain)) return;
  write_ = copy_of(c, computed_, plain_);
  sum_ = Call(c, dnnl::sum::primitive_desc(plain, {1.0f, 1.0f}, {plain, computed}, c.engine, c.attributes),
              {{DNNL_ARG_MULTIPLE_SRC, plain_}, {DNNL_ARG_MULTIPLE_SRC + 1, computed_}, {DNNL_ARG_DST, plain_}});
}

void ParameterGradient::deliver(Context& c, TensorSet& gradients, bool add) {
  const std::span<float> out = gradients[id_];
  if (!write_) {
    const float* in = floats(computed_);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = add ? out[i] + in[i] : in[i];
    return;
  }
  plain_.set_data_handle(out.data());
  (add ? sum_ : write_)(c);
}

}  // namespace lockstep::cpu
