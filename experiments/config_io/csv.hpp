// A small reader of comma-separated tables that knows the place of every cell.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

/// A header line, then rows of as many cells. Lines that begin with '#' and empty lines are skipped. A cell in double
/// quotes may hold commas, line breaks, and "" for a quote. Cells are trimmed outside quotes. Places are file:line:column,
/// both from 1, the column in bytes.
class CsvTable {
 public:
  /// `name` stands in messages. Throws ConfigError with the rows of a wrong length (the first five, and how many more),
  /// an unclosed quote, a missing header, or a column that is named twice.
  static CsvTable parse(std::string_view text, const std::string& name);

  const std::vector<std::string>& columns() const { return columns_; }
  std::size_t rows() const { return rows_.size(); }
  /// Row by row, as many as columns().
  std::vector<std::vector<std::string>> cells() const;
  bool has(const std::string& column) const;

  /// Throws ConfigError with every one of `columns` that the table lacks: at the nearest name of the header where there is
  /// one, else at its begin, with what was found instead.
  void expect(const std::vector<std::string>& columns) const;

  /// "figures.csv:4:1", where the header begins.
  std::string header() const;
  /// "figures.csv:12"
  std::string where(std::size_t row) const;
  /// "figures.csv:12:5". Throws as text() does.
  std::string where(std::size_t row, const std::string& column) const;

  /// Throws ConfigError for a column that the table lacks, as expect() does.
  const std::string& text(std::size_t row, const std::string& column) const;
  /// Throws ConfigError at file:line:column if the cell is not a finite number.
  double number(std::size_t row, const std::string& column) const;
  int whole(std::size_t row, const std::string& column) const;
  /// No value if the cell is empty.
  std::optional<double> number_if_any(std::size_t row, const std::string& column) const;

 private:
  struct Place {
    int line = 0, column = 0;
  };
  struct Row {
    std::vector<std::string> cells;
    std::vector<Place> places;
  };
  friend class CsvScanner;

  std::string text_of(Place place) const;
  std::size_t index(const std::string& column) const;

  std::string name_;
  std::vector<std::string> columns_;
  std::vector<Place> header_;
  std::vector<Row> rows_;
};

/// Throws ConfigError if the file cannot be read, is no such table, or lacks one of `columns`.
CsvTable read_csv(const std::filesystem::path& path, const std::vector<std::string>& columns = {});

}  // namespace lockstep
