// A small reader of comma-separated tables that knows the line of every cell.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

/// A header line, then rows of as many cells. Lines that begin with '#' and empty lines are skipped. A cell in double
/// quotes may hold commas, line breaks, and "" for a quote. Cells are trimmed outside quotes.
class CsvTable {
 public:
  /// `name` stands in messages. Throws ConfigError with the rows of a wrong length (the first five, and how many more),
  /// an unclosed quote, or a missing header.
  static CsvTable parse(std::string_view text, const std::string& name);

  const std::vector<std::string>& columns() const { return columns_; }
  std::size_t rows() const { return rows_.size(); }
  bool has(const std::string& column) const;
  /// "figures.csv:12"
  std::string where(std::size_t row) const;

  /// Throws ConfigError for a column that the table lacks (naming the nearest one).
  const std::string& text(std::size_t row, const std::string& column) const;
  /// Throws ConfigError at file:line if the cell is not a finite number.
  double number(std::size_t row, const std::string& column) const;
  int whole(std::size_t row, const std::string& column) const;
  /// No value if the cell is empty.
  std::optional<double> number_if_any(std::size_t row, const std::string& column) const;

 private:
  struct Row {
    int line = 0;
    std::vector<std::string> cells;
  };
  std::size_t index(const std::string& column) const;

  std::string name_;
  std::vector<std::string> columns_;
  std::vector<Row> rows_;
};

/// Throws ConfigError if the file cannot be read or is no such table.
CsvTable read_csv(const std::filesystem::path& path);

}  // namespace lockstep
