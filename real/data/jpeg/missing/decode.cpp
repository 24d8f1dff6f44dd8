#include "real/data/jpeg/decode.hpp"

#include "core/base/error.hpp"

namespace lockstep {

void require_jpeg() {
  throw ConfigError(
      "lockstep", "data.kind",
      "this program was built without libjpeg; install libjpeg-dev and build again, or take another kind");
}

void decode_jpeg(std::span<const char>, const WantedOf&, const std::string&, Image&) { require_jpeg(); }

}  // namespace lockstep
