#include "sim/device/input.hpp"

#include "core/base/error.hpp"

namespace lockstep::sim {

InputTime input_time(const DataSpec& data, std::int64_t images, int gpus) {
  LOCKSTEP_EXPECTS(images >= 0 && gpus >= 1);
  const double per_node = static_cast<double>(images) * gpus;
  InputTime t;
  if (data.storage_rate.bytes_per_second() > 0)
    t.reading =
        Time::seconds(per_node * static_cast<double>(data.image_bytes.count()) / data.storage_rate.bytes_per_second());
  if (data.decode_rate > 0) t.decoding = Time::seconds(per_node / data.decode_rate);
  return t;
}

}  // namespace lockstep::sim
