// Times of operations that were measured on the very device: used before any model of it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/model/graph.hpp"
#include "core/spec/gpu_spec.hpp"

namespace lockstep::sim {

/// The rows of one precision, by model and image size. At a batch between two measured ones times lie on the straight line between
/// them; outside them they grow with the batch from the nearest one.
class Profile {
 public:
  struct Times {
    Time forward, backward;
  };

  Profile() = default;
  Profile(const std::vector<ProfileRow>& rows, Precision precision);

  /// True if every layer of the fused graph but its input has a row.
  bool covers(const ModelGraph& fused) const;
  /// batch >= 1. Nothing where the operation of this model was not measured.
  std::optional<Times> time(const ModelGraph& fused, const std::string& operation, std::int64_t batch) const;

 private:
  using Model = std::pair<std::string, int>;     // name, image size
  using Series = std::map<std::int64_t, Times>;  // by batch
  std::map<Model, std::map<std::string, Series>> series_;
};

}  // namespace lockstep::sim
