// AlexNet (Krizhevsky et al. 2012) and its batch-norm form (You et al. 2017, arXiv:1708.03888, section 5).
#pragma once

#include "core/model/graph.hpp"

namespace lockstep {

/// The two-tower form on 227 x 227 crops: convolutions 2, 4 and 5 have two groups; local response normalisation after 1 and 2;
/// 60,965,224 parameters with 1,000 classes. `batch_norm`: batch norm after every convolution instead of the response normalisation.
ModelGraph alexnet(bool batch_norm, int image_size, int classes);

}  // namespace lockstep
