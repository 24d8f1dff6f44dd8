#include "experiments/sweep/results.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "experiments/config_io/csv.hpp"
#include "experiments/output/report.hpp"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

const std::vector<std::string> kFigures{"gpus",       "global_batch", "step_ms",   "forward_ms", "backward_ms",
                                        "exposed_ms", "straggler_ms", "update_ms", "input_ms",   "images_per_s"};
const std::vector<std::string> kOfTheRun{"steps",        "time_to_train_s", "gpu_hours",
                                         "top1_percent", "top1_low",        "top1_high"};
// What stands at the end of each row, as text.
const std::vector<std::string> kTexts{"event_digest", "fold", "inputs_digest", "doubts", "warnings", "error"};
constexpr std::size_t kInputsDigest = 4;  // from the end

SweepRow first_cells(const SweepPoint& point) {
  SweepRow row{std::to_string(point.index)};
  row.insert(row.end(), point.values.begin(), point.values.end());
  return row;
}

std::string one_line(std::string text) {
  for (std::size_t at = text.find('\n'); at != std::string::npos; at = text.find('\n', at)) text.replace(at, 1, "; ");
  return text;
}

}  // namespace

std::vector<std::string> sweep_columns(const std::vector<Axis>& axes, bool efficiency) {
  std::vector<std::string> columns{"index"};
  for (const Axis& axis : axes) columns.push_back(axis.path);
  columns.insert(columns.end(), kFigures.begin(), kFigures.end());
  if (efficiency) columns.emplace_back("efficiency");
  columns.insert(columns.end(), kOfTheRun.begin(), kOfTheRun.end());
  columns.insert(columns.end(), kTexts.begin(), kTexts.end());
  return columns;
}

SweepRow row_of(const SweepPoint& point, const RunPrediction& prediction, std::optional<double> efficiency,
                const std::vector<std::string>& doubts) {
  const StepPrediction& step = prediction.step;
  const TrainingResult& run = prediction.run;
  const Breakdown& b = step.parts;
  SweepRow row = first_cells(point);
  row.push_back(std::to_string(step.gpus));
  row.push_back(std::to_string(step.global_batch));
  for (Time t : {step.step, b.forward, b.backward, b.exposed, b.straggler, b.update, b.input})
    row.push_back(fmt::format("{:.4f}", t.milliseconds()));
  row.push_back(fmt::format("{:.1f}", step.images_per_second));
  if (efficiency) row.push_back(fmt::format("{:.5f}", *efficiency));
  row.push_back(std::to_string(run.steps));
  row.push_back(fmt::format("{:.3f}", run.elapsed.seconds()));
  row.push_back(fmt::format("{:.5f}", run.elapsed.seconds() * step.gpus / 3600));
  if (run.top1) {
    for (double v : {run.top1->value, run.top1->low, run.top1->high}) row.push_back(fmt::format("{:.3f}", v));
  } else {
    row.insert(row.end(), 3, "");
  }
  row.push_back(fmt::format("{:016x}", step.digest));
  row.push_back(step.folding);
  row.push_back(point.digest);
  row.push_back(one_line(fmt::format("{}", fmt::join(doubts, "; "))));
  row.push_back(one_line(fmt::format("{}", fmt::join(prediction.warnings, "; "))));
  row.emplace_back();
  return row;
}

SweepRow failed_row(const SweepPoint& point, const std::string& error, bool efficiency) {
  SweepRow row = first_cells(point);
  row.push_back(point.gpus > 0 ? std::to_string(point.gpus) : "");
  row.push_back(point.gpus > 0 ? std::to_string(point.global_batch) : "");
  row.insert(row.end(), kFigures.size() - 2 + (efficiency ? 1 : 0) + kOfTheRun.size() + 2, "");
  row.push_back(point.digest);
  row.insert(row.end(), 2, "");
  row.push_back(one_line(error.empty() ? "unknown error" : error));
  return row;
}

std::string error_of(const std::vector<Fault>& faults) {
  std::string out;
  for (const Fault& f : faults) out += (out.empty() ? "" : "; ") + f.text();
  return out;
}

bool failed(const SweepRow& row) { return !row.back().empty(); }
std::size_t index_of(const SweepRow& row) { return std::stoull(row.front()); }

std::string csv_line(const SweepRow& row) {
  std::string out;
  for (std::size_t c = 0; c < row.size(); ++c) {
    const std::string& cell = row[c];
    if (c > 0) out += ',';
    const bool bare = cell.find_first_of(",\"\r\n") == std::string::npos &&
                      (cell.empty() || (cell.front() != ' ' && cell.back() != ' ' && cell.front() != '#'));
    if (bare) {
      out += cell;
      continue;
    }
    out += '"';
    for (char ch : cell) out += ch == '"' ? "\"\"" : std::string(1, ch);
    out += '"';
  }
  return out + "\n";
}

std::vector<SweepRow> parse_rows(const std::vector<std::string>& columns, const std::string& text,
                                 const std::string& name) {
  const CsvTable table = CsvTable::parse(text, name);
  if (table.columns() != columns) {
    throw ConfigError(table.header(), "",
                      fmt::format("is of another sweep: it has the columns {}; expected {}",
                                  fmt::join(table.columns(), ","), fmt::join(columns, ",")));
  }
  std::vector<SweepRow> rows(table.rows());
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (const auto& column : columns) rows[r].push_back(table.text(r, column));
  }
  return rows;
}

std::string json_line(const std::vector<std::string>& columns, const SweepRow& row) {
  nlohmann::ordered_json j;
  for (std::size_t c = 0; c < columns.size(); ++c) {
    const bool text = c + kTexts.size() >= columns.size();
    auto value = text ? nlohmann::ordered_json() : nlohmann::ordered_json::parse(row[c], nullptr, false);
    if (text || value.is_discarded()) value = row[c];
    if (row[c].empty() && columns[c] != "warnings" && columns[c] != "doubts") value = nullptr;
    j[columns[c]] = value;
  }
  return j.dump() + "\n";
}

std::string whole_lines(const fs::path& path, const std::string& what) {
  std::ifstream in(path, std::ios::binary);
  if (!in)
    throw ConfigError(path.string(), "",
                      "no such file, so there is no " + what + " to go on with; leave --resume away");
  std::string text(std::istreambuf_iterator<char>(in), {});
  text.erase(text.rfind('\n') + 1);  // npos + 1 = 0: not even the header is whole
  return text;
}

void refuse_rows(std::vector<Fault> faults, const fs::path& path, const std::string& rows,
                 const std::string& expected) {
  if (faults.empty()) return;
  constexpr std::size_t kShown = 5;
  const std::size_t all = faults.size();
  faults.resize(std::min(all, kShown));
  const std::string more = all > kShown ? fmt::format("{} more {} differ; ", all - kShown, rows) : "";
  faults.push_back(
      {path.string(), "", more + "expected " + expected + "; start anew with --force, or in another --output"});
  throw ConfigError(std::move(faults));
}

std::vector<SweepRow> finished_rows(const fs::path& path, const SweepPlan& plan, bool efficiency) {
  const std::string text = whole_lines(path, "sweep");
  const auto columns = sweep_columns(plan.axes, efficiency);
  if (text.empty()) return {};
  std::vector<SweepRow> kept;
  std::vector<Fault> faults;
  std::set<std::size_t> seen;
  for (SweepRow& row : parse_rows(columns, text, path.string())) {
    const std::string where = path.string() + ": point " + row.front();
    std::size_t index = plan.points.size();
    if (!row.front().empty() && row.front().find_first_not_of("0123456789") == std::string::npos &&
        row.front().size() < 10)
      index = index_of(row);
    if (index >= plan.points.size() || !seen.insert(index).second) {
      faults.push_back({where, "index", fmt::format("expected each of 0 to {} at most once", plan.points.size() - 1)});
      continue;
    }
    if (failed(row)) continue;
    const SweepPoint& point = plan.points[index];
    if (!std::equal(point.values.begin(), point.values.end(), row.begin() + 1)) {
      faults.push_back({where, "", "has other values; here it is " + describe(plan.axes, point)});
    } else if (row[row.size() - kInputsDigest] != point.digest) {
      faults.push_back(
          {where, "",
           "was made from other inputs: the run file, a --set, a file of --data or the program has changed"});
    } else {
      kept.push_back(std::move(row));
    }
  }
  refuse_rows(std::move(faults), path, "points", "the same sweep");
  return kept;
}

ResultsFile::ResultsFile(fs::path path, std::vector<std::string> columns, const std::vector<SweepRow>& rows)
    : path_(std::move(path)), columns_(std::move(columns)) {
  for (const SweepRow& row : rows) rows_[index_of(row)] = row;
  write_file(path_, whole());
  out_.open(path_, std::ios::binary | std::ios::app);
  if (!out_) throw BackendError("opening " + path_.string() + " failed: " + std::strerror(errno));
}

void ResultsFile::append(const SweepRow& row) {
  rows_[index_of(row)] = row;
  out_ << csv_line(row) << std::flush;
  if (!out_) throw BackendError("writing " + path_.string() + " failed: " + std::strerror(errno));
}

void ResultsFile::finish() {
  out_.close();
  write_file(path_, whole());
}

std::string ResultsFile::whole() const {
  std::string out = csv_line(columns_);
  for (const auto& [index, row] : rows_) out += csv_line(row);
  return out;
}

}  // namespace lockstep
