// JPEG files to pixels on a GPU, by nvJPEG.
#pragma once

#include <memory>

#include "real/data/device_decoder.hpp"

namespace lockstep::cuda {

/// Whether the program was built with nvJPEG.
bool has_nvjpeg();

/// Decodes on `device`, each call on a stream and a decoder state of its own, taken from a store that grows to as many as there are calls at a time. Takes
/// files of three components that end with the end-of-image marker and that nvJPEG finds to follow the standard; leaves all others to the host. So damage
/// is judged by libjpeg as without a GPU, except inside the data of an image that nvJPEG decodes without complaint. At full size: shrinking is left to
/// resampling. Where images differ from libjpeg's: rounding of the inverse transform, and the interpolation of subsampled colours before CUDA 13. Memory:
/// that of the images held, in pieces used again for images of at least half their size; no more is allocated once the largest images came by. Null if the
/// program was built without nvJPEG. Throws BackendError.
std::shared_ptr<DeviceDecoder> nvjpeg_decoder(int device);

}  // namespace lockstep::cuda
