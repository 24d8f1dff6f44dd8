// Combinations of units that mean nothing. CASE selects one; 0 is the control, in which each has its meaningful twin.
#include "core/base/units.hpp"
#include "core/base/ids.hpp"

using namespace lockstep;

const Bytes size(8);
const Time time_taken = Time::seconds(1);
const Bandwidth rate = Bandwidth::gigabytes_per_second(1);
const Flops work(1);
const FlopRate speed = FlopRate::teraflops(1);

#if CASE == 0
auto right_1() { return size + size; }
auto right_2() { return time_taken * 2; }
Rank right_3() { return Rank(1); }
Time right_4() { return Time::picoseconds(5); }
auto right_5() { return time_taken + size / rate + work / speed; }
auto right_6() { return rate < rate; }
auto right_7() { return Rank(1) < Rank(2); }
auto right_8() { return size * 8; }
auto right_9() { return time_taken + Time::seconds(1.0); }
double right_10() { return time_taken.seconds(); }
auto right_11() { return rate + rate; }
#elif CASE == 1
auto wrong() { return size + time_taken; }
#elif CASE == 2
auto wrong() { return time_taken * time_taken; }
#elif CASE == 3
Rank wrong() { return LayerId(1); }
#elif CASE == 4
Time wrong() { return 5; }
#elif CASE == 5
auto wrong() { return size / speed; }
#elif CASE == 6
auto wrong() { return rate < size; }
#elif CASE == 7
auto wrong() { return Rank(1) + Rank(2); }
#elif CASE == 8
auto wrong() { return size * size; }
#elif CASE == 9
auto wrong() { return time_taken + 1.0; }
#elif CASE == 10
double wrong() { return time_taken; }
#elif CASE == 11
auto wrong() { return rate + size; }
#else
#error "no such case"
#endif
