// Where the model's own error comes from.
#include "experiments/validation/model_error.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "core/base/error.hpp"
#include "experiments/config_io/csv.hpp"
#include "experiments/config_io/reader.hpp"
#include "experiments/inputs/read_inputs.hpp"
#include "experiments/validation/validation.hpp"

namespace lockstep {
namespace {

const std::filesystem::path kSource = LOCKSTEP_SOURCE_DIR;
const DataPaths kData{kSource / "data"};

Inputs ladder(const std::vector<std::string>& sets) {
  return read_inputs(kSource / "experiments/dgx_ladders/run.toml", sets, kData);
}

TEST(ErrorBand, OfAFewErrorsByHand) {
  // 0.1, 0.2, 0.3: mean 0.2, sd 0.1; Student's 95th percentile at 2 degrees is 2.920; 2.920 x 0.1 x sqrt(4/3) = 0.3372.
  const ErrorBand b = band_of({0.1, 0.2, 0.3}, "s");
  EXPECT_NEAR(b.low, 0.2 - 0.3372, 1e-4);
  EXPECT_NEAR(b.high, 0.2 + 0.3372, 1e-4);
  // All of one sign and close together: 0 is held all the same, for predictions are not corrected.
  const ErrorBand biased = band_of({0.2, 0.2, 0.2001}, "s");
  EXPECT_EQ(biased.low, 0);
  EXPECT_NEAR(biased.high, 0.2003, 1e-3);
  EXPECT_TRUE(band_of({0.3}, "s").none());
}

TEST(ErrorBand, OfGroupsByHand) {
  // Groups {0.1, 0.3} and {0.4}: means 0.2 and 0.4, mean 0.3, b = 2 x 0.1^2 = 0.02; within: 0.02 over 3 - 2 = 0.02; 1/m = (1/2 + 1) / 2 = 3/4.
  // Student's 95th percentile at 1 degree is 6.314; 6.314 x sqrt(0.02 x 1.5 + 0.02 / 4) = 6.314 x 0.18708 = 1.1812.
  const ErrorBand b = band_of_groups({{0.1, 0.3}, {0.4}}, "s");
  EXPECT_NEAR(b.low, 0.3 - 1.1812, 1e-3);
  EXPECT_NEAR(b.high, 0.3 + 1.1812, 1e-3);
  // Groups that agree to the last digit leave what their members differ by.
  const ErrorBand alike = band_of_groups({{-0.1, 0.1}, {-0.1, 0.1}, {-0.1, 0.1}}, "s");
  EXPECT_NEAR(alike.high, 2.920 * std::sqrt(0.02 / 2), 1e-3);
  EXPECT_EQ(band_of_groups({{0.1, 0.2, 0.3}}, "s").high, band_of({0.1, 0.2, 0.3}, "s").high);
  EXPECT_TRUE(band_of_groups({}, "s").none());
}

/// The tables that data/model_error.toml names under `key`.
std::vector<std::string> evidence(const char* key) {
  Reader reader(kData.data / "model_error.toml");
  std::vector<std::string> tables;
  reader.root().read(key, tables);
  return tables;
}

/// GPUs of a row and of a node of its cluster.
std::pair<int, int> gpus_of(const ValidationRow& row) {
  std::string cluster, gpus;
  for (const auto& set : row.set) {
    if (set.rfind("cluster=", 0) == 0) cluster = set.substr(8);
    if (set.rfind("gpus=", 0) == 0) gpus = set.substr(5);
  }
  return {std::stoi(gpus), read_cluster(cluster, kData).node.gpus};
}

TEST(ModelErrorEvidence, IsOfBareCollectivesInsideOneNodeOrBetweenNodesAsItSays) {
  const std::vector<ValidationRow> rows = read_validation(kData.data);
  for (const char* key : {"inside_a_node", "without_nvlink", "between_nodes"}) {
    const std::vector<std::string> tables = evidence(key);
    EXPECT_FALSE(tables.empty()) << key;
    for (const std::string& table : tables) {
      int found = 0;
      for (const ValidationRow& row : rows) {
        if (row.quantity != "allreduce_us" || row.id.rfind(table + "_", 0) != 0) continue;
        const auto [gpus, node] = gpus_of(row);
        EXPECT_EQ(gpus > node, std::string(key) == "between_nodes") << row.id;
        ++found;
      }
      EXPECT_GT(found, 0) << table;
    }
  }
}

TEST(ModelErrorEvidenceSlow, HasASizeAndASourceForEveryTerm) {
  const ModelError e = read_model_error(kData, ladder({"cluster.same_software=false"}));
  for (const ErrorBand* b : {&e.batch, &e.network, &e.software, &e.collective, &e.run_to_run, &e.unanchored}) {
    EXPECT_FALSE(b->none());
    EXPECT_FALSE(b->source.empty());
    EXPECT_LE(b->low, 0);
    EXPECT_GE(b->high, 0);
  }
  EXPECT_NEAR(e.run_to_run.high, 1.645 * 0.012, 1e-5);
  const ModelError same = read_model_error(kData, ladder({}));
  EXPECT_TRUE(same.software.none());
  EXPECT_FALSE(same.drift.none());
  EXPECT_DOUBLE_EQ(same.drift.low, -same.drift.high);
  // Its own row is left out of a collective's interval.
  const ModelError without = read_model_error(kData, ladder({}), "v100x8_134217728");
  EXPECT_NE(without.collective.high, e.collective.high);
  // A single GPU communicates with nobody.
  EXPECT_TRUE(read_model_error(kData, ladder({"cluster.gpus=1", "training.global_batch=192"})).collective.none());
}

TEST(ModelErrorEvidenceSlow, BetweenTwoReleasesTheBandReachesToTheOther) {
  // A100: 2,180 images/s at 256 with mxnet-20.12, 3,411 at 512 with mxnet-22.10: about ln 1.5 apart, batches being unequal.
  const auto of = [](const char* framework) {
    return read_model_error(kData, ladder({"cluster.file=dgx-a100", "cluster.gpu=a100-sxm4-80gb", "cluster.gpus=1",
                                           "training.global_batch=256", std::string("cluster.framework=") + framework}))
        .beyond;
  };
  const ErrorBand older = of("mxnet-21.09"), newer = of("mxnet-22.04");
  EXPECT_EQ(older.high, 0);
  EXPECT_NEAR(older.low, -std::log(1.5), 0.1);
  EXPECT_EQ(newer.low, 0);
  EXPECT_DOUBLE_EQ(newer.high, -older.low);
  EXPECT_TRUE(of("mxnet-22.10").none());
}

TEST(ModelErrorEvidenceSlow, ANodeWithoutNvlinkTakesItsOwnTables) {
  const ModelError with = read_model_error(kData, ladder({}));
  EXPECT_NE(with.collective.source.find("allreduces inside a node in"), std::string::npos);
  const ModelError without = read_model_error(
      kData, ladder({"cluster.file=generic-ethernet-25", "cluster.gpus=4", "training.global_batch=256"}));
  EXPECT_NE(without.collective.source.find("with and without NVLink, in 9 tables"), std::string::npos)
      << without.collective.source;
  // One of the two takes up to 46 % longer than predicted.
  EXPECT_GT(without.collective.high, with.collective.high);
}

TEST(ModelErrorEvidenceSlow, RunsOverNodesTakeTheListedTables) {
  // No placement takes the ranks of a node apart, so a job that fits one stays in it.
  for (const char* placement : {"packed", "spread"}) {
    const std::string placed = std::string("cluster.placement=") + placement;
    const ModelError inside = read_model_error(kData, ladder({placed}));
    EXPECT_NE(inside.collective.source.find("inside a node"), std::string::npos) << placement;
    const ModelError between =
        read_model_error(kData, ladder({placed, "cluster.gpus=16", "training.global_batch=3072"}));
    EXPECT_NE(between.collective.source.find("between nodes"), std::string::npos) << placement;
  }
  const std::filesystem::path data = std::filesystem::path(testing::TempDir()) / "lockstep-model-error";
  std::filesystem::remove_all(data);
  std::filesystem::copy(kData.data, data, std::filesystem::copy_options::recursive);
  std::ofstream(data / "model_error.toml") << "run_to_run = 0.012\nunanchored = 0.25\ninside_a_node = [\"v100x8\"]\n"
                                              "without_nvlink = [\"v100x4_pcie\"]\nbetween_nodes = [\"a100x8x2\"]\n";
  try {
    read_model_error(DataPaths{data}, ladder({"cluster.gpus=16", "training.global_batch=3072"}));
    ADD_FAILURE() << "a table that is not there was accepted";
  } catch (const ConfigError& e) {
    EXPECT_NE(std::string(e.what()).find("between_nodes: no table \"a100x8x2\""), std::string::npos) << e.what();
  }
  std::filesystem::remove_all(data);
}

TEST(ValidationSlow, IntervalsOfEveryKindOfRow) {
  int seen = 0;
  for (const ValidationRow& row : read_validation(kData.data)) {
    const bool wanted = row.id == "dgx1_fp16_8" || row.id == "v100x8_67108864" || row.id == "goyal_ring_over_hd_256k";
    if (!wanted) continue;
    ++seen;
    const ValidationResult r = validate_row(row, kData.data, kSource / "experiments", true);
    ASSERT_TRUE(r.has_interval()) << row.id;
    EXPECT_LT(*r.interval_low, r.predicted) << row.id;
    EXPECT_GT(*r.interval_high, r.predicted) << row.id;
    EXPECT_GT(r.half_width(), 0.005) << row.id;
    EXPECT_TRUE(r.holds_published()) << row.id;
  }
  EXPECT_EQ(seen, 3);
}

}  // namespace
}  // namespace lockstep
