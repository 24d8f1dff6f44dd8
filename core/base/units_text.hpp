// Units to and from text: "700ns", "25GBps", "100Gbps", "25MiB". The unit is mandatory.
#pragma once

#include <string>
#include <string_view>

#include "core/base/units.hpp"

namespace lockstep {

// Each parse function throws std::invalid_argument with a sentence that says what was wrong and gives an example, such
// as `"25GB" is not a rate; write "25GBps" or "200Gbps"`. Spaces between number and unit are allowed; negative values
// and values that the type cannot hold are refused.

/// ps ns us ms s min h; at most 106 days. Rounded to the nearest picosecond.
Time parse_time(std::string_view text);
/// B kB KB MB GB TB (powers of 1000) KiB MiB GiB TiB (powers of 1024); must be a whole number of bytes.
Bytes parse_bytes(std::string_view text);
/// Bps kBps MBps GBps TBps, KiBps MiBps GiBps, bps kbps Mbps Gbps Tbps.
Bandwidth parse_bandwidth(std::string_view text);
/// FLOPS GFLOPS TFLOPS PFLOPS.
FlopRate parse_flop_rate(std::string_view text);

/// Three to four significant digits and the largest fitting unit: "49.5 ms", "25.0 MiB", "47.9 GB/s", "125 TFLOP/s".
std::string to_text(Time time);
std::string to_text(Bytes size);
std::string to_text(Bandwidth rate);
std::string to_text(FlopRate rate);

/// Text that the parse functions read back to exactly the same value: "49467ns", "25MiB", "47900000000Bps".
/// For finite values that are not negative, the only ones that a file can hold.
std::string to_exact_text(Time time);
std::string to_exact_text(Bytes size);
std::string to_exact_text(Bandwidth rate);
std::string to_exact_text(FlopRate rate);

}  // namespace lockstep
