// Softmax cross-entropy with label smoothing and the count of right answers, as pure functions of logits.
#pragma once

#include <cstdint>
#include <span>

namespace lockstep {

/// With K classes, p = softmax(logits) and targets q_k = (1 - s) [k = label] + s / K (Szegedy et al. 2016,
/// arXiv:1512.00567, section 7):
///   loss = -sum_k q_k log p_k
/// Computed from logits minus their maximum; a class with target 0 adds nothing, whatever its logit.
/// 0 <= smoothing < 1; 0 <= label < K; K >= 1. Pure.
double cross_entropy(std::span<const double> logits, std::int64_t label, double smoothing);

/// gradient_k = d loss / d logit_k = p_k - q_k. `gradient` has as many elements as `logits`. Same ranges. Pure.
void cross_entropy_gradient(std::span<const double> logits, std::int64_t label, double smoothing,
                            std::span<double> gradient);

/// True if `label` has the largest logit; of equal logits the first counts. A NaN among the logits makes the answer
/// wrong, so that a diverged network does not score by chance. 0 <= label < K. Pure.
bool top1(std::span<const double> logits, std::int64_t label);

/// How many of the images are right by top1(). `logits`: [N, K] row by row; `labels`: [N], all in [0, K).
/// Counts, unlike rates, can be added over ranks without weights. N = 0 gives 0. Pure.
std::int64_t top1_count(std::span<const double> logits, std::span<const std::int64_t> labels);

}  // namespace lockstep
