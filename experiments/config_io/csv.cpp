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

std::string trimmed(std::string_view cell) {
  const auto first = cell.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return "";
  return std::string(cell.substr(first, cell.find_last_not_of(" \t\r") - first + 1));
}

}  // namespace

/// Splits text into records, one at a time.
class CsvScanner {
 public:
  CsvScanner(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  bool done() const { return at_ >= text_.size(); }

  bool skip_line_if_blank_or_comment() {
    const std::size_t end = std::min(text_.find('\n', at_), text_.size());
    const std::string line = trimmed(text_.substr(at_, end - at_));
    if (!line.empty() && line.front() != '#') return false;
    at_ = end + 1;
    next_line(at_);
    return true;
  }

  CsvTable::Row record() {
    CsvTable::Row row;
    while (true) {
      add_cell(row);
      if (done()) return row;
      if (text_[at_++] == '\n') {
        next_line(at_);
        return row;
      }
    }
  }

 private:
  void next_line(std::size_t begin) {
    ++line_;
    line_begin_ = begin;
  }

  CsvTable::Place place(std::size_t at) const { return {line_, static_cast<int>(at - line_begin_) + 1}; }

  [[noreturn]] void fail(CsvTable::Place at, const char* message) const {
    throw ConfigError(fmt::format("{}:{}:{}", name_, at.line, at.column), "", message);
  }

  void add_cell(CsvTable::Row& row) {
    while (!done() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
    const CsvTable::Place begin = place(at_);
    row.places.push_back(begin);
    std::string& out = row.cells.emplace_back();
    if (done() || text_[at_] != '"') {
      const std::size_t end = std::min(text_.find_first_of(",\n", at_), text_.size());
      out = trimmed(text_.substr(at_, end - at_));
      at_ = end;
      return;
    }
    for (++at_; !done(); ++at_) {
      if (text_[at_] == '"') {
        if (at_ + 1 >= text_.size() || text_[at_ + 1] != '"') break;
        ++at_;
      }
      if (text_[at_] == '\n') next_line(at_ + 1);
      out += text_[at_];
    }
    if (done()) fail(begin, "a quote is never closed");
    const std::size_t end = std::min(text_.find_first_of(",\n", ++at_), text_.size());
    if (!trimmed(text_.substr(at_, end - at_)).empty())
      fail(place(text_.find_first_not_of(" \t\r", at_)), "text after a closing quote; expected a comma");
    at_ = end;
  }

  std::string_view text_;
  const std::string& name_;
  std::size_t at_ = 0, line_begin_ = 0;
  int line_ = 1;
};

CsvTable CsvTable::parse(std::string_view text, const std::string& name) {
  CsvTable table;
  table.name_ = name;
  constexpr int kShownRows = 5;  // one wrong header makes every row wrong
  int wrong_rows = 0;
  std::vector<Fault> faults;
  CsvScanner scanner(text, name);
  while (!scanner.done()) {
    if (scanner.skip_line_if_blank_or_comment()) continue;
    Row row = scanner.record();
    const std::size_t cells = row.cells.size(), expected = table.columns_.size();
    if (expected == 0) {
      table.columns_ = std::move(row.cells);
      table.header_ = std::move(row.places);
    } else if (cells == expected) {
      table.rows_.push_back(std::move(row));
    } else if (++wrong_rows <= kShownRows) {
      const Place odd = row.places[std::min(cells - 1, expected)];  // the first too many, or the last that is there
      faults.push_back({table.text_of(odd), "", fmt::format("{} cells; the header has {}", cells, expected)});
    }
  }
  if (wrong_rows > kShownRows)
    faults.push_back({name, "", fmt::format("and {} more rows of a wrong length", wrong_rows - kShownRows)});
  if (table.columns_.empty())
    faults.push_back({table.text_of({1, 1}), "", "no header line; expected the names of the columns"});
  for (std::size_t c = 0; c < table.columns_.size(); ++c) {
    if (!table.columns_[c].empty() && table.index(table.columns_[c]) != c)
      faults.push_back({table.text_of(table.header_[c]), table.columns_[c], "a second column of this name"});
  }
  if (!faults.empty()) throw ConfigError(std::move(faults));
  return table;
}

std::vector<std::vector<std::string>> CsvTable::cells() const {
  std::vector<std::vector<std::string>> out;
  for (const Row& row : rows_) out.push_back(row.cells);
  return out;
}

bool CsvTable::has(const std::string& column) const {
  return std::find(columns_.begin(), columns_.end(), column) != columns_.end();
}

void CsvTable::expect(const std::vector<std::string>& columns) const {
  std::vector<Fault> faults;
  for (const std::string& column : columns) {
    if (has(column)) continue;
    const std::string near = nearest(column, columns_);
    if (near.empty()) {
      faults.push_back({header(), column,
                        fmt::format("no such column; expected one of this name, found {}", fmt::join(columns_, ", "))});
    } else {
      faults.push_back({text_of(header_[index(near)]), column,
                        fmt::format("no such column; expected one of this name, found \"{}\"", near)});
    }
  }
  if (!faults.empty()) throw ConfigError(std::move(faults));
}

std::string CsvTable::text_of(Place place) const { return fmt::format("{}:{}:{}", name_, place.line, place.column); }

std::string CsvTable::header() const { return text_of(header_.front()); }

std::string CsvTable::where(std::size_t row) const {
  return fmt::format("{}:{}", name_, rows_.at(row).places.front().line);
}

std::string CsvTable::where(std::size_t row, const std::string& column) const {
  return text_of(rows_.at(row).places[index(column)]);
}

std::size_t CsvTable::index(const std::string& column) const {
  const auto it = std::find(columns_.begin(), columns_.end(), column);
  if (it == columns_.end()) expect({column});
  return static_cast<std::size_t>(it - columns_.begin());
}

const std::string& CsvTable::text(std::size_t row, const std::string& column) const {
  return rows_.at(row).cells[index(column)];
}

double CsvTable::number(std::size_t row, const std::string& column) const {
  const std::string& cell = text(row, column);
  double value = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (error != std::errc() || end != cell.data() + cell.size() || !std::isfinite(value)) {
    throw ConfigError(where(row, column), column, fmt::format("expected a number, found \"{}\"", cell));
  }
  return value;
}

int CsvTable::whole(std::size_t row, const std::string& column) const {
  const double value = number(row, column);
  if (value != std::floor(value) || std::abs(value) > 2e9) {
    throw ConfigError(where(row, column), column,
                      fmt::format("expected a whole number, found \"{}\"", text(row, column)));
  }
  return static_cast<int>(value);
}

std::optional<double> CsvTable::number_if_any(std::size_t row, const std::string& column) const {
  if (text(row, column).empty()) return std::nullopt;
  return number(row, column);
}

CsvTable read_csv(const std::filesystem::path& path, const std::vector<std::string>& columns) {
  std::error_code code;
  if (!std::filesystem::is_regular_file(path, code)) throw ConfigError(path.string(), "", "no such file");
  std::ifstream file(path, std::ios::binary);
  if (!file) throw ConfigError(path.string(), "", "cannot be opened for reading");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  CsvTable table = CsvTable::parse(text, path.string());
  table.expect(columns);
  return table;
}

}  // namespace lockstep
