// Softmax cross-entropy with label smoothing, as pure functions of one image's logits.
#pragma once

#include <cstdint>
#include <span>

namespace lockstep {

/// With K classes, p = softmax(logits) and targets q_k = (1 - s) [k = label] + s / K (Szegedy et al. 2016,
/// arXiv:1512.00567, section 7):
///   loss = -sum_k q_k log p_k
/// Computed from logits minus their maximum. 0 <= smoothing < 1; 0 <= label < K; K >= 1. Pure.
double cross_entropy(std::span<const double> logits, std::int64_t label, double smoothing);

/// gradient_k = d loss / d logit_k = p_k - q_k. `gradient` has as many elements as `logits`. Pure.
void cross_entropy_gradient(std::span<const double> logits, std::int64_t label, double smoothing,
                            std::span<double> gradient);

/// True if `label` has the largest logit; of equal logits the first counts.
bool top1(std::span<const double> logits, std::int64_t label);

}  // namespace lockstep
