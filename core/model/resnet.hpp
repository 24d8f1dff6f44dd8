// Residual networks (He et al. 2015, arXiv:1512.03385; v1.5 as in NVIDIA's and torchvision's ResNet-50).
#pragma once

#include "core/model/graph.hpp"

namespace lockstep {

/// ImageNet ResNet. `depth` 18, 34 (two 3x3 per block), 50, 101 (bottlenecks). `v1`: the stride of a bottleneck sits in its first 1x1
/// convolution; otherwise (v1.5) in its 3x3. Names follow torchvision; the down-sampling branch comes first in its block, so that
/// fused batch norms stay in the order of their tensors.
ModelGraph imagenet_resnet(int depth, bool v1, int image_size, int classes);

/// CIFAR ResNet of depth 6n + 2 (He et al., section 4.2): 16, 32, 64 channels. Where the shape changes the shortcut is a 1x1
/// convolution with batch norm ("option B"): ResNet-20 has 272,474 parameters (269,722 with the parameter-free option A).
ModelGraph cifar_resnet(int depth, int image_size, int classes);

}  // namespace lockstep
