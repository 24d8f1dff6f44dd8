#include "experiments/sweep/axis.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "experiments/config_io/config_io.hpp"

namespace lockstep {

namespace {

constexpr double kExactWhole = 9007199254740992;  // 2^53: beyond it a double skips whole numbers

struct Number {
  double value = 0;
  bool whole = false;  // written without point and exponent
  std::string unit;
};

std::string trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(" \t") - begin + 1));
}

/// A number with an optional unit, all of `text`.
std::optional<Number> number_of(const std::string& text) {
  Number n;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, n.value);
  if (error != std::errc() || !std::isfinite(n.value)) return std::nullopt;
  const std::string_view digits(text.data(), static_cast<std::size_t>(rest - text.data()));
  n.whole = digits.find_first_of(".eE") == std::string_view::npos && std::abs(n.value) <= kExactWhole;
  n.unit = trimmed({rest, static_cast<std::size_t>(end - rest)});
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (!std::all_of(n.unit.begin(), n.unit.end(), is_letter)) return std::nullopt;
  return n;
}

/// Splits at `separator`, but not inside quotes, brackets or braces. False if one of them is left open.
bool split_outside(const std::string& text, char separator, std::vector<std::string>& items) {
  items.assign(1, "");
  std::string open;  // what closes each bracket or quote we are in
  for (char c : text) {
    const bool quoted = !open.empty() && (open.back() == '"' || open.back() == '\'');
    if (!open.empty() && c == open.back()) {
      open.pop_back();
    } else if (!quoted && (c == '"' || c == '\'')) {
      open += c;
    } else if (!quoted && (c == '[' || c == '{' || c == '(')) {
      open += c == '[' ? ']' : c == '{' ? '}' : ')';
    } else if (open.empty() && c == separator) {
      items.emplace_back();
      continue;
    }
    items.back() += c;
  }
  for (auto& item : items) item = trimmed(item);
  return open.empty();
}

/// How the values of a range go on after the first.
struct Range {
  enum class Kind { Step, Factor, Count } kind = Kind::Factor;
  Number low, high;
  Number by{2, true, ""};  // step, factor, or number of values
};

/// Why the text is no range is said in `why`; empty: it does not look like one, so it is a plain value.
std::optional<Range> range_of(const std::string& item, std::string& why) {
  if (item.empty() || std::string_view("+-.0123456789").find(item[0]) == std::string_view::npos) return std::nullopt;
  Range r;
  std::string low, high, by;
  if (const auto dots = item.find("..", 1); dots != std::string::npos) {
    low = trimmed(item.substr(0, dots));
    high = trimmed(item.substr(dots + 2));
    if (const auto times = high.find('x'); times != std::string::npos) {
      by = trimmed(high.substr(times + 1));
      high = trimmed(high.substr(0, times));
    }
  } else if (std::vector<std::string> parts; split_outside(item, ':', parts) && parts.size() > 1) {
    if (parts.size() != 3) {
      why = "expected first:last:step, such as 4:64:4, or first:last:log5, or first..last for doubling";
      return std::nullopt;
    }
    low = parts[0], high = parts[1], by = parts[2];
    r.kind = by.rfind("log", 0) == 0 ? Range::Kind::Count : Range::Kind::Step;
    if (r.kind == Range::Kind::Count) by = by.substr(3);
  } else {
    return std::nullopt;
  }
  const auto l = number_of(low), h = number_of(high), b = by.empty() ? std::optional(r.by) : number_of(by);
  if (!l || !h) {
    if (!l && r.kind == Range::Kind::Factor) return std::nullopt;  // a path such as ../x
    why = fmt::format("\"{}\" is not a number", l ? high : low);
  } else if (!b || (by.empty() && r.kind != Range::Kind::Factor)) {
    why = fmt::format("\"{}\" is not a {}", by, r.kind == Range::Kind::Count ? "number of values after log" : "number");
  } else if (l->unit != h->unit || (b->unit != l->unit && r.kind == Range::Kind::Step) ||
             (!b->unit.empty() && r.kind != Range::Kind::Step)) {
    why = "expected the same unit at both ends (and the step), such as 1MiB..64MiB or 1MiB:64MiB:1MiB";
  } else if (h->value < l->value) {
    why = fmt::format("{} is below {}; expected a first value that is not above the last", high, low);
  } else if (r.kind == Range::Kind::Step && b->value <= 0) {
    why = "expected a step above 0";
  } else if (r.kind != Range::Kind::Step && l->value <= 0) {
    why = "expected a first value above 0, since each is a multiple of the one before";
  } else if (r.kind == Range::Kind::Factor && b->value <= 1) {
    why = fmt::format("expected a factor above 1, found {}", by);
  } else if (r.kind == Range::Kind::Count && (!b->whole || b->value < 2 || b->value > kMostPoints)) {
    why = fmt::format("expected log and a number of values from 2 to {}, such as log5", kMostPoints);
  }
  if (!why.empty()) return std::nullopt;
  r.low = *l, r.high = *h, r.by = *b;
  return r;
}

std::string text_of(double value, bool whole, const std::string& unit) {
  return (whole ? fmt::format("{:.0f}", value) : fmt::format("{:.12g}", value)) + unit;
}

/// Keys whose values need not be whole: those of the run file that hold a fraction, and all that have a unit but sizes, which are whole bytes.
bool takes_fractions(const std::string& path, const std::string& unit) {
  if (!unit.empty()) return unit.back() != 'B';
  static const std::vector<RunKey> keys = run_keys();
  const auto key = std::find_if(keys.begin(), keys.end(), [&](const RunKey& k) { return k.key == path; });
  return key != keys.end() && !key->whole;
}

/// Of at most `room` values, ratios rounded to whole numbers unless the key takes `fractions`; else `why` says so.
std::vector<std::string> expand(const Range& r, bool fractions, std::size_t room, std::string& why) {
  std::vector<std::string> out;
  const double low = r.low.value, high = r.high.value;
  const bool whole = r.low.whole && r.high.whole && (r.kind == Range::Kind::Count ? !fractions : r.by.whole);
  const double beyond = high + 1e-9 * std::abs(high);  // 0.1 three times is more than 0.3
  // Before rounding: a step too small for twelve digits would give one value for ever.
  const double last = r.kind == Range::Kind::Step     ? (high - low) / r.by.value
                      : r.kind == Range::Kind::Factor ? std::log(high / low) / std::log(r.by.value)
                                                      : r.by.value - 1;
  if (!(last < static_cast<double>(room))) {
    why = fmt::format("more than {} values", kMostPoints);
    return {};
  }
  for (std::size_t i = 0;; ++i) {
    const auto n = static_cast<double>(i);
    double value = 0;
    if (r.kind == Range::Kind::Step) value = low + n * r.by.value;
    if (r.kind == Range::Kind::Factor) value = low * std::pow(r.by.value, n);
    if (r.kind == Range::Kind::Count) value = low * std::pow(high / low, n / (r.by.value - 1));
    if (r.kind == Range::Kind::Count ? n >= r.by.value : value > beyond || i > room) return out;
    std::string text = text_of(value, whole, r.low.unit);
    if (out.empty() || out.back() != text) out.push_back(std::move(text));  // rounding may meet a number twice
  }
}

}  // namespace

std::vector<std::string> parse_values(const std::string& text, const std::string& flag, const std::string& path,
                                      std::vector<Fault>& faults) {
  std::vector<std::string> items, values;
  const auto fault = [&](const std::string& message) { faults.push_back({flag, path, message}); };
  if (!split_outside(text, ',', items)) {
    fault("a quote or bracket is left open");
    return {};
  }
  for (const std::string& item : items) {
    std::string why;
    const auto range = range_of(item, why);
    std::vector<std::string> more;
    if (range)
      more = expand(*range, takes_fractions(path, range->low.unit), kMostPoints - values.size(), why);
    else if (item.empty())
      why = "an empty value; expected values such as 1024,2048 or 4:64:4 or 4..2048 (\"\" for empty text)";
    else if (why.empty())
      more = {item};
    if (!why.empty()) fault(items.size() > 1 && !item.empty() ? fmt::format("\"{}\": {}", item, why) : why);
    if (values.size() + more.size() > kMostPoints) {
      fault(fmt::format("more than {} values", kMostPoints));
      return {};
    }
    values.insert(values.end(), more.begin(), more.end());
  }
  return values;
}

Axis parse_axis(const std::string& text, const std::string& name, std::vector<Fault>& faults) {
  Axis axis;
  axis.flag = name + " " + text;
  const auto equals = text.find('=');
  axis.path = trimmed(text.substr(0, equals));
  if (equals == std::string::npos || axis.path.empty()) {
    faults.push_back({axis.flag, "", "expected path=VALUES, such as cluster.gpus=4..2048 or training.epochs=30,60,90"});
    axis.path.clear();
    return axis;
  }
  axis.values = parse_values(text.substr(equals + 1), axis.flag, axis.path, faults);
  return axis;
}

}  // namespace lockstep
