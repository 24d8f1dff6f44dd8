#include "core/base/units_text.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <span>
#include <stdexcept>

namespace lockstep {

namespace {

struct Unit {
  std::string_view name;
  double factor;
};

constexpr Unit kTimes[] = {{"ps", 1},   {"ns", 1e3},    {"us", 1e6},   {"ms", 1e9},
                           {"s", 1e12}, {"min", 60e12}, {"h", 3600e12}};  // in picoseconds
constexpr Unit kSizes[] = {
    {"B", 1},     {"kB", 1e3},    {"KB", 1e3},       {"MB", 1e6},          {"GB", 1e9},
    {"TB", 1e12}, {"KiB", 1024.}, {"MiB", 1048576.}, {"GiB", 1073741824.}, {"TiB", 1099511627776.}};
constexpr Unit kRates[] = {{"Bps", 1},     {"kBps", 1e3},    {"MBps", 1e6},       {"GBps", 1e9},
                           {"TBps", 1e12}, {"KiBps", 1024.}, {"MiBps", 1048576.}, {"GiBps", 1073741824.},
                           {"bps", 0.125}, {"kbps", 125},    {"Mbps", 125e3},     {"Gbps", 125e6},
                           {"Tbps", 125e9}};
constexpr Unit kFlopRates[] = {{"FLOPS", 1}, {"GFLOPS", 1e9}, {"TFLOPS", 1e12}, {"PFLOPS", 1e15}};

struct Quantity {
  double number;
  std::optional<std::int64_t> whole;  ///< the number, if it is written without point and exponent
  double factor;
  /// number x unit as a whole count, exact where the number is written as one; nothing beyond 64 bits.
  std::optional<std::int64_t> count() const {
    std::int64_t exact = 0;
    if (whole && !__builtin_mul_overflow(*whole, static_cast<std::int64_t>(factor), &exact)) return exact;
    const double product = number * factor;
    if (product >= 0x1p63) return std::nullopt;
    return std::llround(product);
  }
};

std::invalid_argument refusal(std::string_view text, std::string_view kind, std::string_view why,
                              std::string_view example) {
  return std::invalid_argument(fmt::format("\"{}\" is not {}{}; write {}", text, kind, why, example));
}

Quantity parse(std::string_view text, std::span<const Unit> units, std::string_view kind, std::string_view example) {
  const auto refuse = [&](std::string_view why) { return refusal(text, kind, why, example); };
  std::string_view rest = text;
  while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
  while (!rest.empty() && rest.back() == ' ') rest.remove_suffix(1);
  double number = 0;
  const char* const begin = rest.data();
  const auto [end, error] = std::from_chars(begin, begin + rest.size(), number);
  if (error != std::errc() || !std::isfinite(number)) throw refuse("");
  std::int64_t digits = 0;
  const auto [digits_end, digits_error] = std::from_chars(begin, end, digits);
  std::optional<std::int64_t> whole;
  if (digits_error == std::errc() && digits_end == end) whole = digits;
  rest.remove_prefix(static_cast<std::size_t>(end - begin));
  while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
  if (rest.empty()) throw refuse(" (the unit is missing)");
  if (number < 0) throw refuse(" (it is negative)");
  for (const Unit& unit : units) {
    if (unit.name != rest) continue;
    if (!std::isfinite(number * unit.factor)) throw refuse(" (it is too large)");
    return {number, whole, unit.factor};
  }
  throw refuse("");
}

/// Largest unit that keeps the number at or above 1, three to four significant digits.
std::string pretty(double value, std::span<const Unit> ascending) {
  const Unit* best = &ascending.front();
  for (const Unit& unit : ascending) {
    if (std::abs(value) >= unit.factor * 0.9995) best = &unit;
  }
  const double v = value / best->factor;
  const int decimals = std::abs(v) >= 99.95 ? 0 : std::abs(v) >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f} {}", v, decimals, best->name);
}

}  // namespace

Time parse_time(std::string_view text) {
  constexpr std::string_view example = "\"700ns\", \"2.5us\" or \"1.3s\"";
  const Quantity q = parse(text, kTimes, "a time", example);
  const auto ps = q.count();
  if (!ps) throw refusal(text, "a time", " that fits (the longest is 106 days)", example);
  return Time::picoseconds(*ps);
}

Bytes parse_bytes(std::string_view text) {
  constexpr std::string_view example = "\"25MiB\" or \"4096B\"";
  const Quantity q = parse(text, kSizes, "a size", example);
  const double bytes = q.number * q.factor;
  const auto count = q.count();
  if (!count) throw refusal(text, "a size", " that fits (the largest is 8 EiB)", example);
  // "4.35TB" is whole, though 4.35 in binary is not: half a unit in the last place of the product is forgiven.
  if (std::abs(bytes - static_cast<double>(*count)) > bytes * 0x1p-52)
    throw std::invalid_argument(
        fmt::format("\"{}\" is not a whole number of bytes; write \"{}B\", which is next to it", text, *count));
  return Bytes(*count);
}

Bandwidth parse_bandwidth(std::string_view text) {
  const Quantity q = parse(text, kRates, "a rate", "\"25GBps\" or \"200Gbps\"");
  return Bandwidth::bytes_per_second(q.number * q.factor);
}

FlopRate parse_flop_rate(std::string_view text) {
  const Quantity q = parse(text, kFlopRates, "a compute rate", "\"15.7TFLOPS\"");
  return FlopRate::per_second(q.number * q.factor);
}

std::string to_text(Time time) {
  static constexpr Unit units[] = {{"ps", 1e-12}, {"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3},
                                   {"s", 1},      {"min", 120}, {"h", 7200}};
  const double s = time.seconds();
  if (std::abs(s) >= 7200) return fmt::format("{:.2f} h", s / 3600);
  if (std::abs(s) >= 120) return fmt::format("{:.1f} min", s / 60);
  if (s == 0) return "0 s";
  return pretty(s, std::span(units, 5));
}

std::string to_text(Bytes size) {
  static constexpr Unit units[] = {
      {"B", 1}, {"KiB", 1024.}, {"MiB", 1048576.}, {"GiB", 1073741824.}, {"TiB", 1099511627776.}};
  if (size.count() < 1024) return fmt::format("{} B", size.count());
  return pretty(static_cast<double>(size.count()), units);
}

std::string to_text(Bandwidth rate) {
  static constexpr Unit units[] = {{"B/s", 1}, {"kB/s", 1e3}, {"MB/s", 1e6}, {"GB/s", 1e9}, {"TB/s", 1e12}};
  if (std::isinf(rate.bytes_per_second())) return "unlimited";
  return pretty(rate.bytes_per_second(), units);
}

std::string to_text(FlopRate rate) {
  static constexpr Unit units[] = {{"FLOP/s", 1}, {"GFLOP/s", 1e9}, {"TFLOP/s", 1e12}, {"PFLOP/s", 1e15}};
  return pretty(rate.per_second(), units);
}

std::string to_exact_text(Time time) {
  std::int64_t count = time.picoseconds();
  int unit = 0;
  for (; unit < 4 && count != 0 && count % 1000 == 0; ++unit) count /= 1000;
  return fmt::format("{}{}", count,
                     std::array{"ps", "ns", "us", "ms", "s"}[static_cast<std::size_t>(count == 0 ? 4 : unit)]);
}

std::string to_exact_text(Bytes size) {
  std::int64_t count = size.count();
  int unit = 0;
  for (; unit < 3 && count != 0 && count % 1024 == 0; ++unit) count /= 1024;
  return fmt::format("{}{}", count, std::array{"B", "KiB", "MiB", "GiB"}[static_cast<std::size_t>(unit)]);
}

std::string to_exact_text(Bandwidth rate) { return fmt::format("{}Bps", rate.bytes_per_second()); }
std::string to_exact_text(FlopRate rate) { return fmt::format("{}FLOPS", rate.per_second()); }

}  // namespace lockstep
