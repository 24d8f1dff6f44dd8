// AlexNet (Krizhevsky et al. 2012) and its batch-norm form (You et al. 2017, arXiv:1708.03888, section 5).
#pragma once

#include "core/model/graph.hpp"

namespace lockstep {

/// The original two-tower form on 227 x 227 crops, as in Caffe: convolutions 2, 4 and 5 have two groups, 6 x 6 x 256
/// features enter fc6, local response normalisation after 1 and 2 (behind the ReLU). Not the single-tower "one weird
/// trick" form. 60,965,224 parameters with 1,000 classes in 16 tensors.
/// `batch_norm`: batch norm between each convolution and its ReLU instead of the response normalisation and of the
/// convolution's bias: 60,966,600 parameters in 21 tensors. `image_size` >= 67, so that every pooling has a window.
ModelGraph alexnet(bool batch_norm, int image_size, int classes);

}  // namespace lockstep
