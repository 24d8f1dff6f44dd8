#include "experiments/config_io/csv.hpp"

#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.hpp"

namespace lockstep {
namespace {

std::string fault_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(Csv, ReadsQuotesCommentsEmptyCellsAndLinesOfCells) {
  const CsvTable t = CsvTable::parse(
      "# where it comes from\n"
      "name, value ,note\r\n"
      "\n"
      "plain,1.5,\n"
      "\"a, b\",-2e3,\"said \"\"no\"\"\nand left\"\n"
      "last,,x",
      "t.csv");
  EXPECT_THAT(t.columns(), testing::ElementsAre("name", "value", "note"));
  ASSERT_EQ(t.rows(), 3u);
  EXPECT_EQ(t.text(1, "name"), "a, b");
  EXPECT_EQ(t.text(1, "note"), "said \"no\"\nand left");
  EXPECT_EQ(t.number(1, "value"), -2000);
  EXPECT_FALSE(t.number_if_any(2, "value").has_value());
  EXPECT_EQ(t.where(0), "t.csv:4");
  EXPECT_EQ(t.where(2), "t.csv:7");  // the quoted line break counts
  EXPECT_EQ(t.header(), "t.csv:2:1");
}

TEST(Csv, EveryRowOfAWrongLengthIsNamed) {
  EXPECT_EQ(fault_of([] { CsvTable::parse("a,b\n1\n1,2\n1,2,3\n", "t.csv"); }),
            "t.csv:2:1: 1 cells; the header has 2\n"
            "t.csv:4:5: 3 cells; the header has 2");
}

TEST(Csv, ManyWrongRowsAreCounted) {
  const std::string fault = fault_of([] { CsvTable::parse("a\n1,2\n1,2\n1,2\n1,2\n1,2\n1,2\n1,2\n", "t.csv"); });
  EXPECT_NE(fault.find("t.csv:6:3: 2 cells; the header has 1\nt.csv: and 2 more rows of a wrong length"),
            std::string::npos)
      << fault;
}

TEST(Csv, FaultsNameLineAndColumn) {
  const CsvTable t = CsvTable::parse("batch,speed\n8,12x\n8.5,1\n", "t.csv");
  EXPECT_EQ(fault_of([&] { t.number(0, "speed"); }), "t.csv:2:3: speed: expected a number, found \"12x\"");
  EXPECT_EQ(fault_of([&] { t.whole(1, "batch"); }), "t.csv:3:1: batch: expected a whole number, found \"8.5\"");
}

TEST(Csv, PlacesAreThoseOfTheCells) {
  const CsvTable t = CsvTable::parse("a,  b,c\n\"x\ny\", \"1\" ,  2\n", "t.csv");
  EXPECT_EQ(t.where(0, "a"), "t.csv:2:1");
  EXPECT_EQ(t.where(0, "b"), "t.csv:3:5");  // behind y", and a space
  EXPECT_EQ(t.where(0, "c"), "t.csv:3:12");
}

TEST(Csv, AMissingColumnIsToldWithTheLineOfTheHeaderAndWhatIsThere) {
  const CsvTable t = CsvTable::parse("# of another tool\n\nbatch, speed\n8,1\n", "t.csv");
  const std::string near = "t.csv:3:8: sped: no such column; expected one of this name, found \"speed\"";
  const std::string far = "t.csv:3:1: top1_percent: no such column; expected one of this name, found batch, speed";
  EXPECT_EQ(fault_of([&] { t.text(0, "sped"); }), near);
  EXPECT_EQ(fault_of([&] { t.number(0, "top1_percent"); }), far);
  EXPECT_EQ(fault_of([&] { t.expect({"sped", "batch", "top1_percent"}); }), near + "\n" + far);
  EXPECT_EQ(fault_of([&] { t.expect({"speed", "batch"}); }), "");
}

// Without a row nobody asks for a cell, and the column would not be missed.
TEST(Csv, AMissingColumnIsSeenInATableWithoutRows) {
  EXPECT_EQ(fault_of([] { CsvTable::parse("batch\n", "t.csv").expect({"speed"}); }),
            "t.csv:1:1: speed: no such column; expected one of this name, found batch");
}

TEST(Csv, ASecondColumnOfTheSameNameIsNotLostInSilence) {
  EXPECT_EQ(fault_of([] { CsvTable::parse("a,b,a\n1,2,3\n", "t.csv"); }), "t.csv:1:5: a: a second column of this name");
  EXPECT_EQ(CsvTable::parse("a,,\n1,,\n", "t.csv").rows(), 1u);  // empty ones, as spreadsheets leave them
}

TEST(Csv, RefusesWhatIsNoTable) {
  EXPECT_EQ(fault_of([] { CsvTable::parse("# only a comment\n", "t.csv"); }),
            "t.csv:1:1: no header line; expected the names of the columns");
  EXPECT_EQ(fault_of([] { CsvTable::parse("a,b\n1,\"2\n", "t.csv"); }), "t.csv:2:3: a quote is never closed");
  EXPECT_EQ(fault_of([] { CsvTable::parse("a,b\n\"1\"x,2\n", "t.csv"); }),
            "t.csv:2:4: text after a closing quote; expected a comma");
  EXPECT_EQ(fault_of([] { read_csv("no/such.csv"); }), "no/such.csv: no such file");
}

}  // namespace
}  // namespace lockstep
