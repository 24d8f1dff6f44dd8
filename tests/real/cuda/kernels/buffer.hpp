// Arrays that stand for device memory, and the two orders of a run.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "core/base/rng.hpp"
#include "real/cuda/kernels/element.hpp"
#include "tests/real/cuda/emulation/emulator.hpp"

namespace lockstep::cuda {

inline constexpr Element kElements[] = {Element::F32, Element::F16, Element::Bf16};
inline std::string name_of(Element e) { return e == Element::F32 ? "F32" : e == Element::F16 ? "F16" : "Bf16"; }

/// Half a unit in the last place of 1: the relative error of one rounding.
inline double rounding(Element e) { return e == Element::F32 ? 0x1p-24 : e == Element::F16 ? 0x1p-11 : 0x1p-8; }
/// Half of the smallest step near 0.
inline double smallest(Element e) { return e == Element::F16 ? 0x1p-25 : 1e-40; }

/// Bytes at a 16-byte boundary, all ones at first (NaN in every type), with 16 more behind that nobody may write.
class Memory {
 public:
  explicit Memory(std::size_t bytes) : bytes_(bytes), lines_((bytes + 15) / 16 + 1) {
    std::memset(lines_.data(), 0xff, lines_.size() * 16);
  }
  ~Memory() {
    const unsigned char* p = reinterpret_cast<const unsigned char*>(lines_.data());
    for (std::size_t i = bytes_; i < lines_.size() * 16; ++i)
      EXPECT_EQ(p[i], 0xff) << "written " << i - bytes_ << " bytes behind the end";
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  void* data() { return lines_.data(); }
  const void* data() const { return lines_.data(); }
  std::size_t bytes() const { return bytes_; }

 private:
  struct alignas(16) Line {
    char bytes[16];
  };
  std::size_t bytes_;
  std::vector<Line> lines_;
};

/// Values of one element type. `skew`: elements from the 16-byte boundary.
class Buffer {
 public:
  Buffer(Element element, std::size_t size, std::size_t skew = 0)
      : element_(element), size_(size), skew_(skew), memory_((size + skew) * element_bytes(element)) {}
  Buffer(Element element, const std::vector<double>& values, std::size_t skew = 0)
      : Buffer(element, values.size(), skew) {
    for (std::size_t i = 0; i < values.size(); ++i) set(i, values[i]);
  }
  std::size_t size() const { return size_; }
  void* data() { return static_cast<char*>(memory_.data()) + skew_ * element_bytes(element_); }
  const void* data() const { return static_cast<const char*>(memory_.data()) + skew_ * element_bytes(element_); }
  float* floats() { return static_cast<float*>(data()); }

  double operator[](std::size_t i) const {
    switch (element_) {
      case Element::F32: return static_cast<double>(static_cast<const float*>(data())[i]);
      case Element::F16: return half(bits(i));
      case Element::Bf16: return bfloat(bits(i));
    }
    return 0;
  }
  /// Nearest value, ties to even, by arithmetic of the test's own.
  void set(std::size_t i, double x) {
    if (element_ == Element::F32) {
      floats()[i] = static_cast<float>(x);
      return;
    }
    static_cast<std::uint16_t*>(data())[i] = element_ == Element::F16 ? to_half(x) : to_bfloat(x);
  }
  std::vector<double> values() const {
    std::vector<double> v(size_);
    for (std::size_t i = 0; i < size_; ++i) v[i] = (*this)[i];
    return v;
  }
  std::string image() const { return {static_cast<const char*>(data()), size_ * element_bytes(element_)}; }

  static double half(std::uint16_t b) {
    const int exponent = b >> 10 & 31, fraction = b & 1023;
    const double sign = (b & 0x8000) != 0 ? -1 : 1;
    if (exponent == 31) return fraction != 0 ? std::nan("") : sign * HUGE_VAL;
    return sign * (exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25));
  }
  static double bfloat(std::uint16_t b) {
    const std::uint32_t wide = std::uint32_t{b} << 16;
    float f = 0;
    std::memcpy(&f, &wide, 4);
    return static_cast<double>(f);
  }
  static std::uint16_t to_half(double x) {
    const std::uint16_t sign = std::signbit(x) ? 0x8000 : 0;
    const double a = std::fabs(x);
    if (std::isnan(x)) return 0x7fff;
    if (a >= 65520) return static_cast<std::uint16_t>(sign | 0x7c00);
    const int exponent = a < 0x1p-14 ? -14 : std::ilogb(a);
    const double units = std::nearbyint(std::ldexp(a, 10 - exponent));  // 1024 to 2048, less below 2^-14
    const int code = a < 0x1p-14 ? static_cast<int>(units) : ((exponent + 15) << 10) + static_cast<int>(units) - 1024;
    return static_cast<std::uint16_t>(sign | code);
  }
  static std::uint16_t to_bfloat(double x) {
    const float f = static_cast<float>(x);
    std::uint32_t wide = 0;
    std::memcpy(&wide, &f, 4);
    if (std::isnan(x)) return 0x7fff;
    return static_cast<std::uint16_t>((wide + 0x7fff + (wide >> 16 & 1)) >> 16);
  }

 private:
  std::uint16_t bits(std::size_t i) const { return static_cast<const std::uint16_t*>(data())[i]; }
  Element element_;
  std::size_t size_, skew_;
  Memory memory_;
};

/// Normal values around `centre`.
inline std::vector<double> normals(std::size_t n, std::uint64_t seed, double deviation = 1, double centre = 0) {
  Rng rng(seed, "kernel test");
  std::vector<double> v(n);
  for (double& x : v) x = centre + deviation * rng.normal();
  return v;
}

/// |computed - expected| within one rounding to the element and `error` before it.
inline ::testing::AssertionResult near(Element e, double expected, double computed, double error) {
  const double allowed = rounding(e) * (std::fabs(expected) + error) + smallest(e) + error;
  if (std::fabs(computed - expected) <= allowed || computed == expected) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << computed << " instead of " << expected << ", allowed " << allowed;
}

/// Runs `once` with blocks and threads in order, then in reverse; both must return the same bytes, which it returns.
inline std::string in_both_orders(const std::function<std::string()>& once) {
  emulator::order = emulator::Order::Reversed;
  const std::string reversed = once();
  emulator::order = emulator::Order::Forward;
  std::string forward = once();
  EXPECT_TRUE(forward == reversed) << "the order of blocks and threads changes the result";
  return forward;
}

/// A trivially copyable value as bytes.
template <class T>
std::string image_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(T)};
}

}  // namespace lockstep::cuda
