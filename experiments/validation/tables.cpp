#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "experiments/validation/validation.hpp"

namespace lockstep {

namespace {
constexpr double kNarrow = 0.10;

std::string number(double v) {
  if (std::isnan(v)) return "-";
  return v >= 1000 ? fmt::format("{:.0f}", v) : v >= 100 ? fmt::format("{:.1f}", v) : fmt::format("{:.3g}", v);
}

std::string interval_text(const ValidationResult& r) {
  return r.has_interval() ? fmt::format("{} - {}{}", number(*r.interval_low), number(*r.interval_high),
                                        r.holds_published() ? "" : " !")
                          : "";
}

/// How many published values lie in their intervals, and how wide those are.
std::string interval_summary(const std::vector<ValidationResult>& results) {
  int with = 0, holding = 0, narrow = 0;
  for (const auto& r : results) {
    if (!r.row.counted || !r.has_interval()) continue;
    ++with;
    holding += r.holds_published();
    narrow += r.half_width() <= kNarrow;
  }
  if (with == 0) return "";
  return fmt::format(
      "{} of {} counted rows with an interval (90 %) have the published value in it (! = not); {} of them are "
      "at most {:.0f} % wide to either side\n",
      holding, with, narrow, 100 * kNarrow);
}
}  // namespace

std::string to_text(const std::vector<ValidationResult>& results) {
  std::string out = fmt::format("{:<30} {:<16} {:>10} {:>10} {:>9}  {:<19} {:<19} {:<9} {}\n", "row", "quantity",
                                "predicted", "published", "error", "band", "interval", "source is", "verdict");
  int counted = 0, inside = 0;
  for (const auto& r : results) {
    counted += r.row.counted;
    inside += r.row.counted && r.inside();
    const std::string band = r.row.counted ? fmt::format("{} - {}", number(r.row.low), number(r.row.high)) : "";
    const std::string verdict = !r.row.counted ? "shown: " + r.row.reason : r.inside() ? "inside" : "OUTSIDE";
    out += fmt::format("{:<30} {:<16} {:>10} {:>10} {:>9}  {:<19} {:<19} {:<9} {}\n", r.row.id, r.row.quantity,
                       number(r.predicted), number(r.row.published),
                       std::isnan(r.predicted) ? "" : fmt::format("{:+.1f} %", 100 * r.error()), band, interval_text(r),
                       r.row.confidence, verdict);
  }
  out += fmt::format("\n{} of {} counted rows inside their bands; {} shown only\n", inside, counted,
                     static_cast<int>(results.size()) - counted);
  return out + interval_summary(results);
}

std::string to_json(const std::vector<ValidationResult>& results) {
  nlohmann::ordered_json j = nlohmann::ordered_json::array();
  for (const auto& r : results) {
    nlohmann::ordered_json row = {{"id", r.row.id},           {"quantity", r.row.quantity},
                                  {"predicted", r.predicted}, {"published", r.row.published},
                                  {"error", r.error()},       {"band_low", r.row.low},
                                  {"band_high", r.row.high},  {"counted", r.row.counted},
                                  {"inside", r.inside()},     {"reason", r.row.reason},
                                  {"source", r.row.source},   {"confidence", r.row.confidence}};
    if (r.interval_low) {
      row["interval_low"] = *r.interval_low;
      row["interval_high"] = *r.interval_high;
      row["published_in_interval"] = r.holds_published();
    }
    j.push_back(row);
  }
  return j.dump(2) + "\n";
}

std::string to_csv(const std::vector<ValidationResult>& results) {
  std::string out =
      "id,quantity,predicted,published,error,low,high,counted,inside,interval_low,interval_high,published_in_interval,"
      "confidence\n";
  for (const auto& r : results) {
    out += fmt::format("{},{},{:.6g},{:.6g},{:.5f},{:.6g},{:.6g},{},{},{},{},{},{}\n", r.row.id, r.row.quantity,
                       r.predicted, r.row.published, r.error(), r.row.low, r.row.high, r.row.counted ? "yes" : "no",
                       r.inside() ? "yes" : "no", r.interval_low ? fmt::format("{:.6g}", *r.interval_low) : "",
                       r.interval_high ? fmt::format("{:.6g}", *r.interval_high) : "",
                       !r.has_interval()     ? ""
                       : r.holds_published() ? "yes"
                                             : "no",
                       r.row.confidence);
  }
  return out;
}

}  // namespace lockstep
