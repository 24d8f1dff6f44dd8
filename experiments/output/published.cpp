#include "experiments/output/published.hpp"

#include "core/base/error.hpp"
#include "experiments/config_io/csv.hpp"

namespace lockstep {

std::vector<PublishedFigure> read_figures(const std::filesystem::path& data, const std::string& run) {
  std::vector<PublishedFigure> figures;
  if (run.empty()) return figures;
  const std::filesystem::path path = data / "published" / "figures.csv";
  const CsvTable table = read_csv(path, {"run", "quantity", "gpus", "value", "source", "confidence", "note"});
  std::vector<std::string> names;
  for (std::size_t r = 0; r < table.rows(); ++r) {
    names.push_back(table.text(r, "run"));
    if (names.back() != run) continue;
    figures.push_back({run, table.text(r, "quantity"), table.whole(r, "gpus"), table.number(r, "value"),
                       table.text(r, "source"), table.text(r, "confidence"), table.text(r, "note")});
  }
  if (figures.empty()) {
    const std::string near = nearest(run, names);
    throw ConfigError(
        path.string(), "output.published",
        "no published figures of \"" + run + "\"" + (near.empty() ? "" : " (did you mean \"" + near + "\"?)"));
  }
  return figures;
}

}  // namespace lockstep
