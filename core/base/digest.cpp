#include "core/base/digest.hpp"

#include <fmt/format.h>

namespace lockstep {

std::string Digest::text() const { return fmt::format("{:016x}", value()); }

}  // namespace lockstep
