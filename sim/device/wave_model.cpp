#include "sim/device/wave_model.hpp"

#include <cmath>

namespace lockstep::sim {

double tiles_per_image(const Layer& layer, ConvPass pass) {
  const Shape& result = pass == ConvPass::BackwardData ? layer.in : layer.out;
  return static_cast<double>(result.h) * result.w / kTileRows * std::ceil(result.c / kTileColumns);
}

double lost_images(const Layer& layer, ConvPass pass, int multiprocessors, double tail_waves) {
  if (layer.kind != LayerKind::Conv || multiprocessors == 0) return 0;
  return tail_waves * multiprocessors / tiles_per_image(layer, pass);
}

}  // namespace lockstep::sim
