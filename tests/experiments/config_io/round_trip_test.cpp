// The effective run file that a result directory holds must give back the run.
#include <tuple>

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "experiments/config_io/config_io.hpp"
#include "experiments/config_io/read_run.hpp"
#include "experiments/config_io/run_fields.hpp"
#include "tests/experiments/config_io/files.hpp"

namespace lockstep {

// Structured bindings name every field: a field added to a spec stops the compilation here until the comparison (and
// run_fields.hpp) has it.
static auto fields(const ModelSpec& s) {
  const auto& [a, b, c] = s;
  return std::tuple(a, b, c);
}
static auto fields(const TrainingSpec& s) {
  const auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q] = s;
  return std::tuple(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q);
}
static auto fields(const OptimizerSpec& s) {
  const auto& [a, b, c, d, e, f, g, h, i, j] = s;
  return std::tuple(a, b, c, d, e, f, g, h, i, j);
}
static auto fields(const ScheduleSpec& s) {
  const auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n] = s;
  return std::tuple(a, b, c, d, e, f, g, h, i, j, k, l, m, n);
}
static auto fields(const BucketsSpec& s) {
  const auto& [a, b, c, d, e, f] = s;
  return std::tuple(a, b, c, d, e, f);
}
static auto fields(const AllreduceSpec& s) {
  const auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n] = s;
  return std::tuple(a, b, c, d, e, f, g, h, i, j, k, l, m, n);
}
static auto fields(const ClusterRef& s) {
  const auto& [a, b, c, d, e, f] = s;
  return std::tuple(a, b, c, d, e, f);
}
static auto fields(const FileValue& s) {
  const auto& [a, b] = s;
  return std::tuple(a, b);
}
static bool operator==(const FileValue& x, const FileValue& y) { return fields(x) == fields(y); }
static auto fields(const FileValues& s) {
  const auto& [a, b, c] = s;
  return std::tuple(a, b, c);
}
static auto fields(const SlowRank& s) {
  const auto& [a, b] = s;
  return std::tuple(a, b);
}
static bool operator==(const SlowRank& x, const SlowRank& y) { return fields(x) == fields(y); }
static auto fields(const SlowLink& s) {
  const auto& [a, b] = s;
  return std::tuple(a, b);
}
static bool operator==(const SlowLink& x, const SlowLink& y) { return fields(x) == fields(y); }
static auto fields(const SimulationSpec& s) {
  const auto& [a, b, c, d, e, f, g, h, i, j] = s;
  return std::tuple(a, b, c, d, e, f, g, h, i, j);
}
static auto fields(const EffectsSpec& s) {
  const auto& [a, b, c, d, e, f, g, h, i] = s;
  return std::tuple(a, b, c, d, e, f, g, h, i);
}
static auto fields(const DataSpec& s) {
  const auto& [a, b, c, d, e, f, g, h, i, j, k, l, m] = s;
  return std::tuple(a, b, c, d, e, f, g, h, i, j, k, l, m);
}
static auto fields(const RealSpec& s) {
  const auto& [a, b, c, d, e, f] = s;
  return std::tuple(a, b, c, d, e, f);
}
static auto fields(const SetupSpec& s) {
  const auto& [a, b, c, d] = s;
  return std::tuple(a, b, c, d);
}
static auto fields(const OutputSpec& s) {
  const auto& [a, b, c, d, e] = s;
  return std::tuple(a, b, c, d, e);
}
static auto fields(const RunSpec& s) {
  const auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n] = s;
  return std::tuple_cat(fields(a), fields(b), fields(c), fields(d), fields(e), fields(f), fields(g), fields(h),
                        fields(i), fields(j), fields(k), fields(l), fields(m), fields(n));
}

namespace {

/// Fills every field with an arbitrary value of its type, sensible or not.
struct Arbitrary {
  void section(const char*) {}
  void operator()(const char*, bool& v, const char* = nullptr) { v = *rc::gen::arbitrary<bool>(); }
  void operator()(const char*, int& v, const char* = nullptr) { v = *rc::gen::arbitrary<int>(); }
  void operator()(const char*, std::int64_t& v, const char* = nullptr) { v = *rc::gen::arbitrary<std::int64_t>(); }
  void operator()(const char*, std::uint64_t& v, const char* = nullptr) {
    v = *rc::gen::arbitrary<std::uint64_t>() >> 1;
  }  // TOML integers end at 2^63 - 1
  void operator()(const char*, double& v, const char* = nullptr) { v = number(); }
  void operator()(const char*, std::string& v, const char* = nullptr) {
    v = *rc::gen::container<std::string>(
        rc::gen::map(rc::gen::inRange(1, 128), [](int c) { return static_cast<char>(c); }));
  }
  void operator()(const char*, Time& v, const char* = nullptr) {
    v = Time::picoseconds(*rc::gen::inRange<std::int64_t>(0, std::int64_t{1} << 50));
  }
  void operator()(const char*, Bytes& v, const char* = nullptr) {
    v = Bytes(*rc::gen::inRange<std::int64_t>(0, std::int64_t{1} << 53));
  }
  void operator()(const char*, Bandwidth& v, const char* = nullptr) {
    v = Bandwidth::bytes_per_second(std::abs(number()));
  }
  void operator()(const char*, std::vector<int>& v, const char* = nullptr) {
    v = *rc::gen::arbitrary<std::vector<int>>();
  }
  void operator()(const char*, std::vector<double>& v, const char* = nullptr) {
    v.assign(static_cast<std::size_t>(*rc::gen::inRange(0, 4)), 0);
    for (double& x : v) x = number();
  }
  void operator()(const char*, std::vector<std::pair<double, std::int64_t>>& v, const char* = nullptr) {
    v.resize(static_cast<std::size_t>(*rc::gen::inRange(0, 3)));
    for (auto& [epoch, batch] : v) {
      epoch = number();
      batch = *rc::gen::arbitrary<std::int64_t>();
    }
  }
  void operator()(const char*, std::vector<SlowLink>& v, const char* = nullptr) {
    v.resize(static_cast<std::size_t>(*rc::gen::inRange(0, 3)));
    for (SlowLink& slow : v) {
      (*this)("", slow.link);
      slow.factor = number();
    }
  }
  void operator()(const char*, std::vector<BucketAlgorithm>& v, const char* = nullptr) {
    v.resize(static_cast<std::size_t>(*rc::gen::inRange(0, 3)));
    for (BucketAlgorithm& b : v) {
      (*this)("", b.algorithm);
      (*this)("", b.across);
    }
  }
  void operator()(const char*, std::vector<std::string>& v, const char* = nullptr) {
    v.resize(static_cast<std::size_t>(*rc::gen::inRange(0, 3)));
    for (std::string& s : v) (*this)("", s);
  }
  /// Keys that do not collide, one of them below another table; values of every kind.
  void values(const char*, std::vector<FileValue>& v, const char* = nullptr) {
    v = {};
    std::string text;
    (*this)("", text);
    if (*rc::gen::arbitrary<bool>()) v.push_back({"a", toml_text(text)});
    if (*rc::gen::arbitrary<bool>()) v.push_back({"b.1.c", std::to_string(*rc::gen::arbitrary<int>())});
    if (*rc::gen::arbitrary<bool>()) v.push_back({"b.1.d", *rc::gen::arbitrary<bool>() ? "true" : "[[1, 2], []]"});
    if (*rc::gen::arbitrary<bool>()) v.push_back({"\"x y\".z", "[{ q = 0.5, \"r s\" = [] }, {}]"});
  }
  void operator()(const char*, std::vector<SlowRank>& v, const char* = nullptr) {
    v.resize(static_cast<std::size_t>(*rc::gen::inRange(0, 3)));
    for (SlowRank& slow : v) slow = {*rc::gen::arbitrary<int>(), number()};
  }
  template <class E>
  requires std::is_enum_v<E>
  void operator()(const char*, E& v, const char* = nullptr) {
    v = words(E{})[static_cast<std::size_t>(*rc::gen::inRange<int>(0, static_cast<int>(words(E{}).size())))].value;
  }
  /// Over many magnitudes: a fraction times a power of ten.
  static double number() {
    const int mantissa = *rc::gen::arbitrary<int>();
    const int exponent = *rc::gen::inRange(-30, 30);
    return static_cast<double>(mantissa) / 7 * std::pow(10.0, exponent);
  }
};

TEST(RoundTrip, AnyRunSpecIsReadBackEqual) {
  const Scratch scratch;
  EXPECT_TRUE(rc::check("write_run then read", [&] {
    RunSpec run;
    visit_run(run, Arbitrary{});
    const std::string text = write_run(run);
    Reader reader(scratch.write("run.toml", text));
    const RunSpec back = read_run_fields(reader);
    reader.finish();
    RC_ASSERT(fields(back) == fields(run));
    RC_ASSERT(write_run(back) == text);
  }));
}

TEST(RoundTrip, AnEmptyFileIsTheDefaultRun) {
  const Scratch scratch;
  EXPECT_EQ(fields(read_run(scratch.write("run.toml", ""))), fields(RunSpec{}));
  EXPECT_EQ(fields(read_run(scratch.write("full.toml", write_run(RunSpec{})))), fields(RunSpec{}));
}

TEST(RoundTrip, TheRunFilesOfTheExperiments) {
  const Scratch scratch;
  int seen = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(LOCKSTEP_SOURCE_DIR) / "experiments")) {
    const auto path = entry.path() / "run.toml";
    if (!std::filesystem::exists(path)) continue;
    ++seen;
    const RunSpec run = read_run(path);
    EXPECT_EQ(fields(read_run(scratch.write("run.toml", write_run(run)))), fields(run)) << path;
  }
  EXPECT_GE(seen, 4);
}

}  // namespace
}  // namespace lockstep
