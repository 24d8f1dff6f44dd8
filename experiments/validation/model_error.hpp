// The errors of the model, from single GPUs and microbenchmarks: what a prediction's interval has beyond its parameters.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "experiments/config_io/config_io.hpp"
#include "experiments/interval.hpp"

namespace lockstep {

/// The band in which the next of a row of errors lies with 90 %: mean +- t sd sqrt(1 + 1/n), t the 95th percentile of
/// Student's distribution with n - 1 degrees of freedom, widened so that it holds 0 (predictions are not corrected by the
/// mean). No band for fewer than two errors.
ErrorBand band_of(const std::vector<double>& errors, std::string source);

/// The same for one error of a group that is not among `groups`, whose members are alike: the rows of one table share machine, versions and outliers.
/// mean +- t sqrt(b (1 + 1/g) + w (1 - 1/m)): mean and variance b of the g group means, variance w within groups, pooled, m the harmonic mean of their
/// sizes, t at g - 1 degrees of freedom (random effects, method of moments). One group: band_of() of its errors. Each group has at least one.
ErrorBand band_of_groups(const std::vector<std::vector<double>>& groups, std::string source);

/// Errors ln(true / predicted) of the model as it is now:
///   batch       per halving of the images, over the series that data/model_error.toml lists
///   network     rows of AlexNet in those series, anchored on ResNet-50
///   software    difference of two draws from the factors between anchor and bare model, each against the mean of its file and
///               precision: of the releases of the run's framework ("mxnet" of "mxnet-19.07") on GPUs of this compute capability; of
///               all frameworks on them, then of all GPU files, where that leaves fewer than two degrees of freedom or the run names none
///   drift       per square root of a year between the run's release and the anchor's: root mean of d^2 / years over releases of one product that
///               follow each other on one GPU at one precision
///   beyond      where the run's release lies between two anchors': from the factor of the nearer to that of the other
///   collective  rows "allreduce_us" of 1 MiB or more, bare allreduces as nccl-tests measures them: of the tables that data/model_error.toml lists for
///               a node, with those of nodes without NVLink for such a node, and for a run over several nodes, each a group. `without`: a row
///               whose table, or if there is no other the row, is left out, for its own interval
///   run_to_run, unanchored   as data/model_error.toml states them
/// Only what this run needs is worked out. Throws ConfigError for faults of those files. Cost: some tens of milliseconds.
ModelError read_model_error(const DataPaths& paths, const Inputs& inputs, const std::string& without = "");

}  // namespace lockstep
