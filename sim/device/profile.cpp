#include "sim/device/profile.hpp"

#include "core/base/error.hpp"

namespace lockstep::sim {

Profile::Profile(const std::vector<ProfileRow>& rows, Precision precision) {
  for (const ProfileRow& row : rows) {
    if (row.precision != precision) continue;
    series_[{row.model, row.image_size}][row.operation][row.batch] = {row.forward, row.backward};
  }
}

bool Profile::covers(const ModelGraph& fused) const {
  const auto model = series_.find({fused.name, fused.input().h});
  if (model == series_.end()) return false;
  for (const Layer& layer : fused.layers) {
    if (layer.kind != LayerKind::Input && model->second.count(layer.name) == 0) return false;
  }
  return true;
}

std::optional<Profile::Times> Profile::time(const ModelGraph& fused, const std::string& operation,
                                            std::int64_t batch) const {
  LOCKSTEP_EXPECTS(batch >= 1);
  const auto model = series_.find({fused.name, fused.input().h});
  if (model == series_.end()) return std::nullopt;
  const auto found = model->second.find(operation);
  if (found == model->second.end()) return std::nullopt;
  const Series& series = found->second;
  const auto grown = [&](const Series::value_type& at) {
    const double factor = static_cast<double>(batch) / static_cast<double>(at.first);
    return Times{at.second.forward * factor, at.second.backward * factor};
  };
  const auto above = series.lower_bound(batch);
  if (above == series.end()) return grown(*series.rbegin());
  if (above->first == batch) return above->second;
  if (above == series.begin()) return grown(*above);
  const auto below = std::prev(above);
  const double f = static_cast<double>(batch - below->first) / static_cast<double>(above->first - below->first);
  const auto between = [&](Time a, Time b) { return a * (1 - f) + b * f; };
  return Times{between(below->second.forward, above->second.forward),
               between(below->second.backward, above->second.backward)};
}

}  // namespace lockstep::sim
