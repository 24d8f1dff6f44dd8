// Combinations of units that mean nothing. CASE selects one; 0 is the control.
#include "core/base/ids.hpp"
#include "core/base/units.hpp"

using namespace lockstep;

auto control() { return Time::seconds(1) + Bytes(8) / Bandwidth::gigabytes_per_second(1); }
#if CASE == 1
auto wrong() { return Bytes(8) + Time::seconds(1); }
#elif CASE == 2
auto wrong() { return Time::seconds(1) * Time::seconds(1); }
#elif CASE == 3
Rank wrong() { return LayerId(1); }
#elif CASE == 4
Time wrong() { return 5; }
#elif CASE == 5
auto wrong() { return Bytes(8) / FlopRate::teraflops(1); }
#elif CASE == 6
auto wrong() { return Bandwidth::gigabytes_per_second(1) < Bytes(1); }
#elif CASE == 7
auto wrong() { return Rank(1) + Rank(2); }
#endif
