// What the loss leaves behind. Plain data, shared by host and device.
#pragma once

namespace lockstep::cuda {

/// Sums over the images with a label.
struct LossSums {
  double loss;
  long long correct, counted;
};

/// Of one image; `counted` is 0 where its label is negative, and then all are 0.
struct ImageLoss {
  double loss;
  int correct, counted;
};

}  // namespace lockstep::cuda
