// Releases of frameworks, as the anchors of GPU files name them: "mxnet-19.07" is MXNet as NVIDIA's container of July 2019 has it.
#pragma once

#include <optional>
#include <string>

#include "core/spec/gpu_spec.hpp"

namespace lockstep {

struct Release {
  std::string product;  ///< "mxnet"
  int month = 0;        ///< since January 2000: "19.07" is 19 x 12 + 6
};

/// Of a name that ends in "-YY.MM", the month from 01 to 12; none of any other ("tensorflow1-xla", "apache-mxnet-1.2").
std::optional<Release> release_of(const std::string& framework);

/// "mxnet" of "mxnet-19.07", "paddle" of "paddle": the name up to its last hyphen.
std::string product_of(const std::string& framework);

/// Years between two releases of one product; 0 if either is none or the products differ.
double years_between(const std::string& a, const std::string& b);

/// All below take a precision for the one that the GPU computes it as (computed_as): TF32 before Ampere has the anchors of fp32.

/// Index of the anchor at `precision` that stands for `framework`: the one of that name; else, if the name is a release, the product's release
/// nearest to it in time if that is within three years, of two equally near the older. The first of the precision that is not of NCHW if
/// `framework` is empty. -1: none.
int find_anchor(const GpuSpec& gpu, Precision precision, const std::string& framework);

/// Index of the anchor whose factor a precision without one of its own takes: of the precision that is computed most alike on the same units (from compute
/// capability 70 on, tensor cores or CUDA cores), the first of the file among equals, none in NCHW. -1: none.
int nearest_anchor(const GpuSpec& gpu, Precision precision);

/// Index of the first anchor at `precision` in NCHW, which stands for a run only if that names it. -1: none.
int anchor_in_nchw(const GpuSpec& gpu, Precision precision);

/// Index of the anchor on the other side of `framework`'s month from the one that find_anchor() takes, the nearest release of the product there, if
/// it is near enough in time to tell something: a change between the two releases, on a day that may have been any, came with more than 5 % between
/// the anchor's release and the run's. -1: none.
int anchor_beyond(const GpuSpec& gpu, Precision precision, const std::string& framework);

/// What to tell the user whose `framework` no anchor at `precision` stands for, and what was expected. Empty if one does, or if there is no anchor at
/// this precision but in NCHW of other products: for all of other products the GPU is unanchored then.
std::string unknown_anchor(const GpuSpec& gpu, Precision precision, const std::string& framework);

}  // namespace lockstep
