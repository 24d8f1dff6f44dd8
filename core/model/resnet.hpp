// Residual networks (He et al. 2015, arXiv:1512.03385; v1.5 as in NVIDIA's and torchvision's ResNet-50).
#pragma once

#include "core/model/graph.hpp"

namespace lockstep {

/// ImageNet ResNet. `depth` 18, 34 (two 3x3 per block), 50, 101 (bottlenecks); any other is an InternalError. `v1`: the
/// stride of a bottleneck sits in its first 1x1 convolution; otherwise (v1.5) in its 3x3. Shortcuts are projections
/// only where the shape changes (option B). Names follow torchvision; the down-sampling branch comes first in its
/// block, so that fused batch norms stay in the order of their tensors.
/// Parameters with 1,000 classes: 11,689,512; 21,797,672; 25,557,032; 44,549,160.
ModelGraph imagenet_resnet(int depth, bool v1, int image_size, int classes);

/// CIFAR ResNet of depth 6n + 2 >= 8 (He et al., section 4.2): 16, 32, 64 channels. Where the shape changes the
/// shortcut is a 1x1 convolution with batch norm (option B), because an addition of this graph has inputs of equal
/// shape; He et al. use the parameter-free option A there. The two projections are 2,752 parameters more. With 10
/// classes:
///   depth      20       32       44       56       110
///   option B   272,474  466,906  661,338  855,770  1,730,714
///   option A   269,722  464,154  658,586  853,018  1,727,962
///
/// `width` is the number of channels of the first stage, >= 1; the others have twice and four times as many. Depth 8 of
/// width 8 has 8, 16, 32 channels in three blocks: 19,954 parameters with 10 classes.
ModelGraph cifar_resnet(int depth, int image_size, int classes, int width = 16);

}  // namespace lockstep
