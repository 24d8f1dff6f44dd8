#include "experiments/cli/sweep_page.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "experiments/output/report.hpp"

namespace lockstep::cli {

namespace {

/// Columns as wide as their widest cell, numbers to the right.
std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c) line += fmt::format("  {:>{}}", row[c], widths[c]);
    out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return out;
}

}  // namespace

std::string description(const SweepRequest& request, const SweepPlan& plan, bool efficiency) {
  nlohmann::ordered_json j;
  j["lockstep"] = version();
  j["sources"] = revision();
  j["run_file"] = request.run_file.string();
  j["set"] = request.sets;
  j["over"] = request.overs;
  j["per_gpu_batch"] = request.per_gpu_batch;
  j["zip"] = request.zip;
  j["efficiency"] = efficiency;
  j["points"] = plan.points.size();
  for (const Axis& axis : plan.axes) j["axes"].push_back({{"path", axis.path}, {"values", axis.values}});
  return j.dump(2) + "\n";
}

std::string dry_text(const SweepPlan& plan) {
  std::vector<std::vector<std::string>> rows(1, {"index"});
  for (const Axis& axis : plan.axes) rows[0].push_back(axis.path);
  rows[0].insert(rows[0].end(), {"GPUs", "global batch"});
  std::string faults;
  std::size_t faulty = 0;
  for (const SweepPoint& point : plan.points) {
    auto& row = rows.emplace_back(1, std::to_string(point.index));
    row.insert(row.end(), point.values.begin(), point.values.end());
    const bool good = point.faults.empty();
    row.push_back(good ? std::to_string(point.gpus) : "-");
    row.push_back(good ? std::to_string(point.global_batch) : "-");
    if (good) continue;
    ++faulty;
    faults += fmt::format("  point {}: {}\n", point.index, error_of(point.faults));
  }
  std::string out = table(rows) + fmt::format("{} points", plan.points.size());
  if (faulty > 0) out += fmt::format(", {} of them cannot run:\n{}", faulty, faults);
  return out + (faulty > 0 ? "" : "\n");
}

std::string dry_json(const SweepPlan& plan) {
  std::string out;
  for (const SweepPoint& point : plan.points) {
    nlohmann::ordered_json j{{"index", point.index}};
    for (std::size_t a = 0; a < plan.axes.size(); ++a) j[plan.axes[a].path] = point.values[a];
    const bool good = point.faults.empty();
    j["gpus"] = good ? nlohmann::ordered_json(point.gpus) : nullptr;
    j["global_batch"] = good ? nlohmann::ordered_json(point.global_batch) : nullptr;
    j["inputs_digest"] = point.digest;
    j["error"] = good ? nlohmann::ordered_json() : nlohmann::ordered_json(error_of(point.faults));
    out += j.dump() + "\n";
  }
  return out;
}

std::string SweepPage::text() const {
  if (rows.empty()) return "";
  const auto at = [&](const std::string& name) {
    return static_cast<std::size_t>(std::find(columns.begin(), columns.end(), name) - columns.begin());
  };
  std::string out;
  constexpr std::size_t kFew = 40;
  if (rows.size() <= kFew) {
    std::vector<std::size_t> shown{0};
    for (std::size_t a = 0; a < plan.axes.size(); ++a) shown.push_back(a + 1);
    for (const char* name : {"gpus", "global_batch", "step_ms", "images_per_s", "efficiency", "time_to_train_s",
                             "gpu_hours", "top1_percent"}) {
      const std::size_t c = at(name);
      const bool any = c < columns.size() &&
                       std::any_of(rows.begin(), rows.end(), [&](const auto& r) { return !r.second[c].empty(); });
      const bool swept = std::string(name) == "gpus" && at("cluster.gpus") < columns.size();
      if (any && !swept) shown.push_back(c);
    }
    std::vector<std::vector<std::string>> cells(1);
    for (std::size_t c : shown) cells[0].push_back(columns[c]);
    for (const auto& [index, row] : rows) {
      auto& line = cells.emplace_back();
      for (std::size_t c : shown) line.push_back(row[c].empty() ? "-" : row[c]);
    }
    out += table(cells) + "\n";
  }
  const std::size_t doubts = at("doubts");
  const auto sound = [&](const SweepRow& row) { return !failed(row) && row[doubts].empty(); };
  std::size_t good = 0, doubtful = 0;
  for (const auto& [index, row] : rows) {
    good += sound(row) ? 1 : 0;
    doubtful += row[doubts].empty() ? 0 : 1;
  }
  // A point beyond what the machine can do is nobody's best, unless there is no other.
  const auto best = [&](const std::string& label, const std::string& name, const std::string& unit, bool most) {
    const std::size_t c = at(name);
    const SweepRow* found = nullptr;
    for (const auto& [index, row] : rows) {
      if (failed(row) || (good > 0 && !sound(row))) continue;
      const double value = std::stod(row[c]);
      const double record = found == nullptr ? 0 : std::stod((*found)[c]);
      if (found == nullptr || (most ? value > record : value < record)) found = &row;
    }
    if (found == nullptr) return;
    out += fmt::format("{:<22}{} {}   point {}: {}\n", label, (*found)[c], unit, (*found)[0],
                       describe(plan.axes, plan.points[index_of(*found)]));
  };
  best("most images/s", "images_per_s", "images/s", true);
  best("shortest training", "time_to_train_s", "s", false);
  best("fewest GPU-hours", "gpu_hours", "GPU-hours", false);
  if (doubtful > 0)
    out += fmt::format("{} of {} points ask for more than the machine has (column \"doubts\" of results.csv){}\n",
                       doubtful, rows.size(), good > 0 ? " and are left out of these three" : "");
  std::size_t bad = 0;
  for (const auto& [index, row] : rows) bad += failed(row) ? 1 : 0;
  out += fmt::format("{} of {} points in {:.1f} s{}{}\n", rows.size(), plan.points.size(), seconds,
                     kept > 0 ? fmt::format("; {} of them were there", kept) : "",
                     bad > 0 ? fmt::format("; {} failed", bad) : "");
  out += fmt::format("written to {}: results.csv, sweep.json\nplot: python3 notebooks/lockstep_plots/sweep.py {}\n",
                     directory.string(), directory.string());
  return out;
}

std::string SweepPage::failures() const {
  constexpr std::size_t kShown = 10;
  std::string out;
  std::size_t all = 0;
  for (const auto& [index, row] : rows) {
    if (!failed(row)) continue;
    if (++all <= kShown)
      out += fmt::format("point {} ({}) failed: {}\n", index, describe(plan.axes, plan.points[index]), row.back());
  }
  if (all > kShown) out += fmt::format("and {} more, see the column error of results.csv\n", all - kShown);
  return out;
}

}  // namespace lockstep::cli
