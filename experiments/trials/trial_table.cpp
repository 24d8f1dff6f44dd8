#include "experiments/trials/trial_table.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/spec/words.hpp"
#include "experiments/config_io/csv.hpp"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

std::string cell(const std::optional<double>& value, int digits) {
  return value ? fmt::format("{:.{}f}", *value, digits) : "";
}

/// Which row of a file is meant, and what it says.
class Row {
 public:
  Row(const CsvTable& table, std::size_t row) : table_(table), row_(row) {}
  const std::string& text(const std::string& column) const { return table_.text(row_, column); }
  std::string where() const { return table_.where(row_); }

  /// The trial of the row, if these trials hold such a one; else nothing and `why`.
  std::optional<Trial> trial(const TrialsSpec& spec, std::string& why) const {
    Trial t;
    const TrialSeries* series = spec.find(text("series"));
    if (series == nullptr) {
      why = fmt::format("there is no series \"{}\"", text("series"));
      return {};
    }
    t.series = static_cast<std::size_t>(series - spec.series.data());
    t.stage = text("stage") == "tune" ? TrialStage::Tune : TrialStage::Final;
    t.batch = table_.whole(row_, "batch");
    t.rate = table_.number(row_, "rate");
    t.seed = static_cast<std::uint64_t>(table_.number(row_, "seed"));
    t.edge = text("edge");
    const auto holds = [](const auto& list, auto value) {
      return std::find(list.begin(), list.end(), value) != list.end();
    };
    const bool tune = t.stage == TrialStage::Tune;
    if (!holds(series->batches, t.batch))
      why = fmt::format("\"{}\" has no batch of {}", series->name, t.batch);
    else if (tune && !holds(series->rates, t.rate))
      why = fmt::format("the grid of \"{}\" has no rate {:g}", series->name, t.rate);
    else if (tune ? t.seed != spec.tuning_seed : !holds(spec.seeds, t.seed))
      why = fmt::format("seed {} is none of these trials", t.seed);
    if (!why.empty()) return {};
    return t;
  }

  TrialOutcome outcome() const {
    TrialOutcome o;
    o.steps = static_cast<std::int64_t>(table_.number(row_, "steps"));
    o.top1_percent = table_.number_if_any(row_, "top1_percent");
    o.loss = table_.number_if_any(row_, "loss");
    o.diverged = text("diverged") == "yes";
    o.wall_s = table_.number(row_, "wall_s");
    return o;
  }

 private:
  const CsvTable& table_;
  std::size_t row_;
};

struct Cell {
  std::int64_t steps = 0;
  double rate = 0;
  std::string edge;
  std::vector<double> top1;  ///< of trials that did not diverge
  int diverged = 0, missing = 0;
};

Cell cell_of(const std::vector<Trial>& trials, const Outcomes& outcomes, std::size_t series, int batch) {
  Cell c;
  for (const Trial& t : trials) {
    if (t.stage != TrialStage::Final || t.series != series || t.batch != batch) continue;
    c.rate = t.rate;
    c.edge = t.edge;
    const auto found = outcomes.find(t.index);
    if (found == outcomes.end() || !found->second.error.empty()) {
      ++c.missing;
    } else if (found->second.diverged) {
      ++c.diverged;
    } else {
      c.steps = found->second.steps;
      if (found->second.top1_percent) c.top1.push_back(*found->second.top1_percent);
    }
  }
  return c;
}

std::string mean_and_deviation(const std::vector<double>& x) {
  if (x.empty()) return "-";
  const auto n = static_cast<double>(x.size());
  const double mean = std::accumulate(x.begin(), x.end(), 0.0) / n;
  if (x.size() < 2) return fmt::format("{:.2f}", mean);
  double squares = 0;
  for (const double v : x) squares += (v - mean) * (v - mean);
  return fmt::format("{:.2f} +- {:.2f}", mean, std::sqrt(squares / (n - 1)));
}

}  // namespace

const std::vector<std::string>& trial_columns() {
  static const std::vector<std::string> columns{
      "index",  "series",        "stage",  "optimizer", "batch",        "accumulation",    "rate",          "edge",
      "warmup", "warmup_epochs", "epochs", "decay",     "weight_decay", "label_smoothing", "tuning_trials", "seed",
      "steps",  "top1_percent",  "loss",   "diverged",  "wall_s",       "digest",          "error"};
  return columns;
}

SweepRow trial_row(const TrialsSpec& spec, const Trial& trial, const RunSpec& run, const std::string& digest,
                   const TrialOutcome& o) {
  const TrialSeries& series = spec.series[trial.series];
  const TrialSeries& tuned = series.tuned() ? series : *spec.find(series.rates_of);
  std::string error = o.error;
  std::replace(error.begin(), error.end(), '\n', ';');
  return {std::to_string(trial.index),
          series.name,
          trial.stage == TrialStage::Tune ? "tune" : "final",
          word_of(run.optimizer.kind),
          std::to_string(trial.batch),
          std::to_string(run.training.accumulation),
          fmt::format("{}", trial.rate),
          trial.edge,
          word_of(run.schedule.warmup),
          fmt::format("{}", run.schedule.warmup == WarmupKind::None ? 0.0 : run.schedule.warmup_epochs),
          fmt::format("{}", run.training.epochs),
          word_of(run.schedule.decay),
          fmt::format("{}", run.optimizer.weight_decay),
          fmt::format("{}", run.training.label_smoothing),
          std::to_string(tuned.rates.size()),
          std::to_string(trial.seed),
          std::to_string(o.steps),
          cell(o.top1_percent, 3),
          cell(o.loss, 6),
          o.diverged ? "yes" : "no",
          fmt::format("{:.1f}", o.wall_s),
          digest,
          error};
}

std::vector<FinishedTrial> finished_trials(const fs::path& path, const TrialsRequest& request, const TrialsSpec& spec,
                                           Fingerprints& prints) {
  const std::string text = whole_lines(path, "trial");
  if (text.empty()) return {};
  const CsvTable table = CsvTable::parse(text, path.string());
  parse_rows(trial_columns(), text, path.string());  // for its fault about other columns
  std::vector<FinishedTrial> finished;
  std::vector<Fault> faults;
  for (std::size_t r = 0; r < table.rows(); ++r) {
    const Row row(table, r);
    if (!row.text("error").empty()) continue;
    std::string why;
    const std::optional<Trial> trial = row.trial(spec, why);
    if (trial && prints.of(read_trial(request, spec, *trial)) != row.text("digest"))
      why =
          "was made from other inputs: the run file, the trials, a --set, a file of --data or the program has changed";
    if (why.empty())
      finished.push_back({*trial, row.outcome()});
    else
      faults.push_back({row.where(), "", why});
  }
  refuse_rows(std::move(faults), path, "rows", "the same trials");
  return finished;
}

std::string trials_page(const TrialsSpec& spec, const std::vector<Trial>& trials, const Outcomes& outcomes) {
  std::string out = fmt::format("\n{:<28}{:>7}{:>8}{:>10}  {:>16}{:>7}{:>10}{:>8}\n", "series", "batch", "steps",
                                "rate", "top-1, %", "seeds", "diverged", "tuning");
  std::vector<std::string> doubts;
  for (std::size_t s = 0; s < spec.series.size(); ++s) {
    const TrialSeries& series = spec.series[s];
    for (const int batch : series.batches) {
      const Cell c = cell_of(trials, outcomes, s, batch);
      const std::string at = fmt::format("{}, batch {}", series.name, batch);
      const std::size_t tuning = series.tuned() ? series.rates.size() : 0;
      out += fmt::format("{:<28}{:>7}{:>8}{:>10}{:<2}{:>16}{:>7}{:>10}{:>8}\n", series.name, batch,
                         c.steps > 0 ? std::to_string(c.steps) : "-", c.rate > 0 ? fmt::format("{:.4g}", c.rate) : "-",
                         c.edge.empty() ? "" : " *", mean_and_deviation(c.top1), c.top1.size(), c.diverged, tuning);
      if (!c.edge.empty() && series.tuned())
        doubts.push_back(
            fmt::format("{}: the best rate {:g} is the {}est of its grid; widen the grid", at, c.rate, c.edge));
      if (c.diverged > 0) doubts.push_back(fmt::format("{}: {} trials diverged and are in no mean", at, c.diverged));
      if (c.missing > 0) doubts.push_back(fmt::format("{}: {} trials are missing", at, c.missing));
    }
  }
  for (const std::string& doubt : doubts) out += "  " + doubt + "\n";
  return out;
}

}  // namespace lockstep
