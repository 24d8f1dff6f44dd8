// One file: which kind it is, its faults with places, what is implausible, and comments that accept it.
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "experiments/check/check_file.hpp"
#include "tests/experiments/check/subjects.hpp"
#include "tests/experiments/config_io/files.hpp"

namespace lockstep::check {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

const std::string kCluster =
    "nodes = 2\n[node]\ngpus = 1\ngpu = \"v100-sxm2-16gb\"\n[node.nic]\ncount = 1\nnic_of_gpu = [0]\nrate = "
    "\"12GBps\"\n"
    "latency = \"2ms\"\n[network]\nkind = \"star\"\n[[network.tiers]]\nname = \"switch\"\nrate = \"12GBps\"\n";

std::vector<std::string> lines(const Scratch& scratch, const FileReport& report) {
  std::vector<std::string> out;
  const auto prefix = scratch.directory().string() + "/";
  for (const Fault& f : report.faults) out.push_back(f.text());
  for (const Finding& f : report.findings) out.push_back(f.rule + " " + f.fault.text());
  for (std::string& line : out) {
    if (const auto at = line.find(prefix); at != std::string::npos) line.erase(at, prefix.size());
  }
  return out;
}

TEST(CheckFile, TellsTheKindFromTheKeys) {
  for (const auto& [file, kind] :
       {std::pair("data/clusters/abci.toml", FileKind::Cluster), std::pair("data/gpus/k80.toml", FileKind::Gpu),
        std::pair("data/libraries/plain.toml", FileKind::Library),
        std::pair("experiments/goyal_one_hour/run.toml", FileKind::Run)}) {
    const auto report = check_file(std::filesystem::path(LOCKSTEP_SOURCE_DIR) / file, kData);
    EXPECT_EQ(report.kind, kind) << file;
    EXPECT_THAT(report.faults, SizeIs(0)) << file;
  }
}

TEST(CheckFile, AsksForTheKindWhenKeysDoNotTell) {
  const Scratch scratch;
  EXPECT_THAT(lines(scratch, check_file(scratch.write("x.toml", "title = \"what?\"\n"), kData)),
              ElementsAre(AllOf(StartsWith("x.toml: is it a run, cluster, GPU or library file?"),
                                HasSubstr("--kind run, cluster, gpu, library"))));
  EXPECT_THAT(check_file(scratch.write("y.toml", ""), kData).faults, SizeIs(1));
  const auto report = check_file(scratch.write("z.toml", "title = \"what?\"\n"), kData, FileKind::Cluster);
  EXPECT_THAT(lines(scratch, report), testing::Contains(HasSubstr("nodes")));
}

TEST(CheckFile, FaultsComeAllAtOnceWithTheirPlaces) {
  const Scratch scratch;
  std::string text = kCluster;
  text.replace(text.find("\"12GBps\""), 8, "{ value = \"12GBps\", low = \"13GBps\" }");
  text.replace(text.find("[0]"), 3, "[5]");
  EXPECT_THAT(lines(scratch, check_file(scratch.write("c.toml", text), kData)),
              ElementsAre(StartsWith("c.toml:7:1: node.nic.nic_of_gpu: NIC 5 does not exist"),
                          AllOf(StartsWith("c.toml:8:"), HasSubstr("node.nic.rate.low: is above the value"))));
}

TEST(CheckFile, ImplausibleValuesHaveAPlaceARuleAndAReason) {
  const Scratch scratch;
  const auto report = check_file(scratch.write("c.toml", kCluster), kData);
  EXPECT_THAT(lines(scratch, report),
              ElementsAre(StartsWith("latency c.toml:9:1: node.nic.latency: 2.00 ms is outside 10.0 ns to 1.00 ms")));
  EXPECT_EQ(report.open(), 1u);
}

TEST(CheckFile, ACommentAcceptsAFindingAndKeepsItsReason) {
  const Scratch scratch;
  const auto report = check_file(
      scratch.write("c.toml", "# check latency: a link by satellite,\n# low orbit\n\n# something else\n" + kCluster),
      kData);
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_EQ(report.findings[0].reason, "a link by satellite, low orbit");
  EXPECT_EQ(report.open(), 0u);
}

TEST(CheckFile, CommentsThatAcceptNothingAreFound) {
  const Scratch scratch;
  const auto report =
      check_file(scratch.write("c.toml", kCluster + "# check taper: thin tree\n# check latencies: typo\n"), kData);
  EXPECT_THAT(
      lines(scratch, report),
      ElementsAre(StartsWith("latency "),
                  AllOf(StartsWith("comment c.toml:15:1: check taper: "), HasSubstr("accepts nothing")),
                  AllOf(StartsWith("comment c.toml:16:1: check latencies: "), HasSubstr("did you mean \"latency\"?"))));
  EXPECT_EQ(report.open(), 3u);
}

TEST(CheckFile, AGpuThatIsNotThereIsAFaultAtItsName) {
  const Scratch scratch;
  std::string text = kCluster;
  text.replace(text.find("v100-sxm2-16gb"), 14, "v100-smx2-16gb");
  EXPECT_THAT(lines(scratch, check_file(scratch.write("c.toml", text), kData)),
              ElementsAre(AllOf(StartsWith("c.toml:4:1: node.gpu: there is no GPU \"v100-smx2-16gb\""),
                                HasSubstr("did you mean \"v100-sxm2-16gb\"?"))));
}

TEST(CheckFile, MissingAndBrokenFiles) {
  const Scratch scratch;
  EXPECT_THAT(lines(scratch, check_file(scratch.directory() / "none.toml", kData)),
              ElementsAre(HasSubstr("no such file")));
  EXPECT_THAT(lines(scratch, check_file(scratch.write("b.toml", "nodes = = 2\n"), kData)),
              ElementsAre(StartsWith("b.toml:1:")));
}

TEST(CheckFile, RuleNamesAreUniqueWithinAKind) {
  for (const std::string& kind : kind_names()) {
    std::set<std::string> names;
    for (const auto& [name, expects] : rules_of(*kind_named(kind))) {
      EXPECT_TRUE(names.insert(name).second) << kind << " " << name;
      EXPECT_FALSE(expects.empty()) << name;
    }
    EXPECT_GE(names.size(), 5u) << kind;
  }
  EXPECT_FALSE(kind_named("clusters").has_value());
}

}  // namespace
}  // namespace lockstep::check
