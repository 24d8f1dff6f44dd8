#include "experiments/config_io/csv.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <iterator>

#include <fmt/format.h>

#include "core/base/error.hpp"

namespace lockstep {

namespace {

std::string trimmed(const std::string& cell) {
  const auto first = cell.find_first_not_of(" \t\r");
  return first == std::string::npos ? "" : cell.substr(first, cell.find_last_not_of(" \t\r") - first + 1);
}

/// Splits text into records, one at a time.
class Scanner {
 public:
  Scanner(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  bool done() const { return at_ >= text_.size(); }
  int line() const { return line_; }

  bool skip_line_if_blank_or_comment() {
    const std::size_t end = std::min(text_.find('\n', at_), text_.size());
    const std::string line = trimmed(std::string(text_.substr(at_, end - at_)));
    if (!line.empty() && line.front() != '#') return false;
    at_ = end + 1;
    ++line_;
    return true;
  }

  std::vector<std::string> record() {
    std::vector<std::string> cells;
    while (true) {
      cells.push_back(cell());
      if (done()) return cells;
      if (text_[at_++] == '\n') {
        ++line_;
        return cells;
      }
    }
  }

 private:
  std::string cell() {
    while (!done() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
    if (done() || text_[at_] != '"') {
      const std::size_t end = std::min(text_.find_first_of(",\n", at_), text_.size());
      const std::string out = trimmed(std::string(text_.substr(at_, end - at_)));
      at_ = end;
      return out;
    }
    const int opened = line_;
    std::string out;
    for (++at_; !done(); ++at_) {
      if (text_[at_] == '"') {
        if (at_ + 1 >= text_.size() || text_[at_ + 1] != '"') break;
        ++at_;
      }
      if (text_[at_] == '\n') ++line_;
      out += text_[at_];
    }
    if (done()) throw ConfigError(fmt::format("{}:{}", name_, opened), "", "a quote is never closed");
    const std::size_t end = std::min(text_.find_first_of(",\n", ++at_), text_.size());
    if (!trimmed(std::string(text_.substr(at_, end - at_))).empty()) {
      throw ConfigError(fmt::format("{}:{}", name_, line_), "", "text after a closing quote; expected a comma");
    }
    at_ = end;
    return out;
  }

  std::string_view text_;
  const std::string& name_;
  std::size_t at_ = 0;
  int line_ = 1;
};

}  // namespace

CsvTable CsvTable::parse(std::string_view text, const std::string& name) {
  CsvTable table;
  table.name_ = name;
  constexpr int kShownRows = 5;  // one wrong header makes every row wrong
  int wrong_rows = 0;
  std::vector<Fault> faults;
  Scanner scanner(text, name);
  while (!scanner.done()) {
    if (scanner.skip_line_if_blank_or_comment()) continue;
    const int line = scanner.line();
    std::vector<std::string> cells = scanner.record();
    if (table.columns_.empty()) {
      table.columns_ = std::move(cells);
    } else if (cells.size() == table.columns_.size()) {
      table.rows_.push_back({line, std::move(cells)});
    } else if (++wrong_rows <= kShownRows) {
      faults.push_back({fmt::format("{}:{}", name, line), "",
                        fmt::format("{} cells; the header has {}", cells.size(), table.columns_.size())});
    }
  }
  if (wrong_rows > kShownRows)
    faults.push_back({name, "", fmt::format("and {} more rows of a wrong length", wrong_rows - kShownRows)});
  for (std::size_t i = 0; i < table.columns_.size(); ++i) {
    const std::string& column = table.columns_[i];
    if (!column.empty() && table.index(column) < i) faults.push_back({name, column, "two columns have this name"});
  }
  if (table.columns_.empty()) faults.push_back({name, "", "no header line; expected the names of the columns"});
  if (!faults.empty()) throw ConfigError(std::move(faults));
  return table;
}

bool CsvTable::has(const std::string& column) const {
  return std::find(columns_.begin(), columns_.end(), column) != columns_.end();
}

std::string CsvTable::where(std::size_t row) const { return fmt::format("{}:{}", name_, rows_.at(row).line); }

std::size_t CsvTable::index(const std::string& column) const {
  const auto it = std::find(columns_.begin(), columns_.end(), column);
  if (it != columns_.end()) return static_cast<std::size_t>(it - columns_.begin());
  const std::string near = nearest(column, columns_);
  throw ConfigError(name_, column,
                    near.empty() ? fmt::format("no such column; there are {}", fmt::join(columns_, ", "))
                                 : fmt::format("no such column; is \"{}\" meant to be it?", near));
}

const std::string& CsvTable::text(std::size_t row, const std::string& column) const {
  return rows_.at(row).cells[index(column)];
}

double CsvTable::number(std::size_t row, const std::string& column) const {
  const std::string& cell = text(row, column);
  double value = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (error != std::errc() || end != cell.data() + cell.size() || !std::isfinite(value)) {
    throw ConfigError(where(row), column, fmt::format("expected a number, found \"{}\"", cell));
  }
  return value;
}

int CsvTable::whole(std::size_t row, const std::string& column) const {
  const double value = number(row, column);
  if (value != std::floor(value) || std::abs(value) > 2e9) {
    throw ConfigError(where(row), column, fmt::format("expected a whole number, found \"{}\"", text(row, column)));
  }
  return static_cast<int>(value);
}

std::optional<double> CsvTable::number_if_any(std::size_t row, const std::string& column) const {
  if (text(row, column).empty()) return std::nullopt;
  return number(row, column);
}

CsvTable read_csv(const std::filesystem::path& path) {
  std::error_code code;
  if (!std::filesystem::is_regular_file(path, code)) throw ConfigError(path.string(), "", "no such file");
  std::ifstream file(path, std::ios::binary);
  if (!file) throw ConfigError(path.string(), "", "cannot be opened for reading");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  return CsvTable::parse(text, path.string());
}

}  // namespace lockstep
