// Comma-separated tables: as tables, as the convolutions and as the profile of a GPU.
#include "experiments/config_io/config_io.hpp"
#include "experiments/config_io/csv.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace lockstep::fuzz {
namespace {

std::string quoted(const std::string& cell) {
  std::string out = "\"";
  for (const char c : cell) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + '"';
}

/// Every cell quoted, so that it reads as it stands.
std::string printed_table(const std::vector<std::vector<std::string>>& rows) {
  std::string out;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) out += (i == 0 ? "" : ",") + quoted(row[i]);
    out += '\n';
  }
  return out;
}

std::vector<std::vector<std::string>> cells_of(const CsvTable& table) {
  std::vector<std::vector<std::string>> rows{table.columns()};
  for (std::size_t row = 0; row < table.rows(); ++row) {
    rows.emplace_back();
    for (const std::string& column : table.columns()) rows.back().push_back(table.text(row, column));
  }
  return rows;
}

void as_table(const std::filesystem::path& path) {
  std::vector<std::vector<std::string>> rows;
  if (!accepted([&] { rows = cells_of(read_csv(path)); })) return;
  const std::string text = printed_table(rows);
  std::vector<std::vector<std::string>> again;
  require_accepted([&] { again = cells_of(CsvTable::parse(text, "printed.csv")); }, text);
  require(again == rows, "printed and read back it is another table:\n" + text);
}

void as_gpu(const char* key) {
  const std::filesystem::path path = written(
      "gpu.toml",
      std::string("fp32_peak = \"1TFLOPS\"\nhalf_peak = \"1TFLOPS\"\nmemory = \"1GiB\"\nmemory_peak = \"1GBps\"\n"
                  "memory_achieved = \"1GBps\"\n") +
          key + " = \"table.csv\"\n");
  GpuSpec gpu;
  accepted([&] { gpu = read_gpu(path.string(), {scratch()}); });
  for (const ConvTiming& conv : gpu.convolutions) {
    for (const Time time : {conv.forward, conv.backward_data, conv.backward_weight})
      require(time >= Time::zero(), "a convolution that takes less than no time");
  }
  for (const ProfileRow& row : gpu.profile)
    require(row.forward >= Time::zero() && row.backward >= Time::zero(), "an operation that takes less than no time");
}

}  // namespace

void one_input(const std::string& text) {
  as_table(written("table.csv", text));
  as_gpu("convolutions");
  as_gpu("profile");
}

}  // namespace lockstep::fuzz
