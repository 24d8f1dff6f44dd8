// A directory of its own for each test, and the small files that go into it.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <string>

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "real/data/dataset.hpp"

namespace lockstep {

class Files : public testing::Test {
 protected:
  Files()
      : directory_(std::filesystem::path(testing::TempDir()) /
                   ("data_" + std::to_string(getpid()) + "_" +
                    testing::UnitTest::GetInstance()->current_test_info()->name())) {
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
  }
  ~Files() override { std::filesystem::remove_all(directory_); }

  void put(const std::string& name, const std::string& bytes) const {
    std::filesystem::create_directories((directory_ / name).parent_path());
    std::ofstream(directory_ / name, std::ios::binary) << bytes;
  }
  std::string get(const std::string& name) const {
    std::ifstream in(directory_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  static std::string idx_header(std::initializer_list<int> dims) {
    std::string out{0, 0, 8, static_cast<char>(dims.size())};
    for (const int d : dims) {
      for (const int shift : {24, 16, 8, 0}) out += static_cast<char>(d >> shift & 255);
    }
    return out;
  }
  /// Three images of 2 x 2: pixels 0 to 11; labels 1, 0, 2.
  void put_idx(const std::string& stem) const {
    std::string pixels;
    for (char p = 0; p < 12; ++p) pixels += p;
    put(stem + "-images-idx3-ubyte", idx_header({3, 2, 2}) + pixels);
    put(stem + "-labels-idx1-ubyte", idx_header({3}) + std::string{1, 0, 2});
  }

  DataSpec spec(DataKind kind, std::int64_t images) const {
    DataSpec d;
    d.kind = kind;
    d.path = directory_.string();
    d.training_images = d.validation_images = images;
    return d;
  }
  /// What the refusal to open says; empty if it was opened.
  static std::string refusal(const DataSpec& data, int classes = 10, Split split = Split::Training) {
    try {
      open_dataset(data, split, {3, 32, 32}, classes, 1);
    } catch (const ConfigError& e) {
      return e.what();
    }
    return "";
  }

  std::filesystem::path directory_;
};

}  // namespace lockstep
