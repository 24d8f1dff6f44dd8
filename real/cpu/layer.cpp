#include "real/cpu/layer.hpp"

#include "core/base/error.hpp"

namespace lockstep::cpu {

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

Reordered reordered(Context& c, const dnnl::memory& from, const Desc& wanted) {
  if (from.get_desc() == wanted) return {from, {}};
  const dnnl::memory to = c.allocate(wanted);
  return {to, copy_of(from, to)};
}

Call copy_of(const dnnl::memory& from, const dnnl::memory& to) {
  return {dnnl::reorder(from, to), {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}}};
}

GradientSlot::GradientSlot(Context& c, Value& value, const Desc& desc) {
  if (!value.gradient) {
    target_ = value.gradient = c.pool.take(desc);
    return;
  }
  target_ = c.pool.take(desc);
  const Desc& whole = value.gradient.get_desc();
  const dnnl::sum::primitive_desc sum(whole, {1.0f, 1.0f}, {whole, desc}, c.engine);
  sum_ = Call(
      dnnl::sum(sum),
      {{DNNL_ARG_MULTIPLE_SRC, value.gradient}, {DNNL_ARG_MULTIPLE_SRC + 1, target_}, {DNNL_ARG_DST, value.gradient}});
  c.pool.give_back(target_);
}

void Parameter::load(Context& c, const TensorSet& weights) {
  if (copies.empty()) return;
  if (!plain_) plain_ = dnnl::memory(plain, c.engine, nullptr);
  plain_.set_data_handle(const_cast<float*>(weights[id].data()));  // only read
  for (std::size_t i = reorders_.size(); i < copies.size(); ++i) reorders_.emplace_back(plain_, copies[i]);
  for (std::size_t i = 0; i < copies.size(); ++i)
    reorders_[i].execute(c.stream, {{DNNL_ARG_FROM, plain_}, {DNNL_ARG_TO, copies[i]}});
}

const ParamTensor* Building::tensor(TensorRole role) const {
  for (const ParamTensor& t : graph.tensors) {
    if (t.layer == layer.id && t.role == role) return &t;
  }
  return nullptr;
}

ParameterGradient::ParameterGradient(Context& c, TensorId id, const Desc& plain, const Desc& computed)
    : id_(id), computed_(c.allocate(computed)) {
  plain_ = dnnl::memory(plain, c.engine, nullptr);
  write_ = dnnl::reorder(dnnl::reorder::primitive_desc(c.engine, computed, c.engine, plain));
  sum_ = dnnl::sum(dnnl::sum::primitive_desc(plain, {1.0f, 1.0f}, {plain, computed}, c.engine));
}

void ParameterGradient::deliver(Context& c, TensorSet& gradients, bool add) {
  plain_.set_data_handle(gradients[id_].data());
  if (add) {
    sum_.execute(c.stream,
                 {{DNNL_ARG_MULTIPLE_SRC, plain_}, {DNNL_ARG_MULTIPLE_SRC + 1, computed_}, {DNNL_ARG_DST, plain_}});
  } else {
    write_.execute(c.stream, {{DNNL_ARG_FROM, computed_}, {DNNL_ARG_TO, plain_}});
  }
}

}  // namespace lockstep::cpu
