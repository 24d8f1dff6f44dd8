#include "real/cuda/jpeg/decoder.hpp"

namespace lockstep::cuda {

bool has_nvjpeg() { return false; }
std::shared_ptr<DeviceDecoder> nvjpeg_decoder(int) { return nullptr; }

}  // namespace lockstep::cuda
