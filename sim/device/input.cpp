#include "sim/device/input.hpp"

#include "core/base/error.hpp"

namespace lockstep::sim {

InputRate input_rate(const DataSpec& data, std::int64_t images, int gpus) {
  LOCKSTEP_EXPECTS(images >= 0 && gpus >= 1);
  const double per_node = static_cast<double>(images) * gpus;  // images that the node's ranks need for one step
  InputRate result;
  if (data.storage_rate.bytes_per_second() > 0) {
    result.per_step =
        Time::seconds(per_node * static_cast<double>(data.image_bytes.count()) / data.storage_rate.bytes_per_second());
    result.bottleneck = "storage";
  }
  if (data.decode_rate > 0) {
    const Time decoding = Time::seconds(per_node / data.decode_rate);
    if (decoding > result.per_step) {
      result.per_step = decoding;
      result.bottleneck = "decoding";
    }
  }
  return result;
}

}  // namespace lockstep::sim
