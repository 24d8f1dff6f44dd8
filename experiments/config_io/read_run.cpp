#include "experiments/config_io/read_run.hpp"

#include <optional>

#include "experiments/config_io/config_io.hpp"
#include "experiments/config_io/overlay.hpp"
#include "experiments/config_io/run_fields.hpp"

namespace lockstep {

namespace {

class RunVisitor {
 public:
  explicit RunVisitor(Reader& reader) : root_(reader.root()) {}

  void section(const char* name) { section_ = root_.table(name); }

  template <class Field>
  void operator()(const char* key, Field& field, const char*) {
    section_->read(key, field);
  }
  void values(const char* name, std::vector<FileValue>& field, const char*) {
    field = file_values(root_.table_of_values(name));
  }
  void operator()(const char* key, std::vector<SlowLink>& field, const char*) {
    if (!section_->has(key)) return;
    field.clear();
    for (ConfigTable slow : section_->tables(key)) {
      SlowLink& item = field.emplace_back();
      slow.require("link", "the link that is slow, such as \"node3.nic0.up\"");
      slow.require("factor", "the share of its rate that is left, such as 0.5");
      slow.read("link", item.link);
      slow.read("factor", item.factor);
    }
  }
  void operator()(const char* key, std::vector<SlowRank>& field, const char*) {
    if (!section_->has(key)) return;
    field.clear();
    for (ConfigTable slow : section_->tables(key)) {
      SlowRank& item = field.emplace_back();
      slow.require("rank", "the rank that is slow");
      slow.require("factor", "what its compute time is multiplied by, such as 1.3");
      slow.read("rank", item.rank);
      slow.read("factor", item.factor);
    }
  }

 private:
  ConfigTable root_;
  std::optional<ConfigTable> section_;
};

}  // namespace

RunSpec read_run_fields(Reader& reader) {
  RunSpec run;
  visit_run(run, RunVisitor(reader));
  reader.report_unknown_keys();
  return run;
}

RunSpec read_run(const std::filesystem::path& path, const std::vector<std::string>& overrides) {
  Reader reader(path, overrides);
  RunSpec run = read_run_fields(reader);
  reader.add(validate(run));
  reader.finish();
  return run;
}

std::string place_of(const std::filesystem::path& path, const std::vector<std::string>& overrides,
                     const std::string& key) {
  Node root = parse_toml_file(path);
  apply_overrides(root, overrides);
  return node_at(root, key).where;
}

}  // namespace lockstep
