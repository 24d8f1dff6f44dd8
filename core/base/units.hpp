// Units as types: time, sizes and rates that only combine in ways that mean something.
//
// GB = 1e9 bytes, GiB = 2^30 bytes, Gb = 1e9 bits. Link rates are per direction.
// Every conversion from a real number rounds once, to the nearest representable value.
#pragma once

#include <cmath>
#include <compare>
#include <cstdint>
#include <limits>

namespace lockstep {

/// A point on, or a length of, simulated or measured time: signed 64-bit picoseconds (about +-106 days).
class Time {
 public:
  constexpr Time() = default;
  static constexpr Time picoseconds(std::int64_t ps) { return Time(ps); }
  static Time nanoseconds(double ns) { return Time(std::llround(ns * 1e3)); }
  static Time microseconds(double us) { return Time(std::llround(us * 1e6)); }
  static Time milliseconds(double ms) { return Time(std::llround(ms * 1e9)); }
  static Time seconds(double s) { return Time(std::llround(s * 1e12)); }
  static constexpr Time zero() { return Time(0); }
  /// Later than every time a simulation can reach.
  static constexpr Time never() { return Time(std::numeric_limits<std::int64_t>::max()); }

  constexpr std::int64_t picoseconds() const { return ps_; }
  constexpr double nanoseconds() const { return static_cast<double>(ps_) * 1e-3; }
  constexpr double microseconds() const { return static_cast<double>(ps_) * 1e-6; }
  constexpr double milliseconds() const { return static_cast<double>(ps_) * 1e-9; }
  constexpr double seconds() const { return static_cast<double>(ps_) * 1e-12; }

  constexpr auto operator<=>(const Time&) const = default;
  constexpr Time operator+(Time o) const { return Time(ps_ + o.ps_); }
  constexpr Time operator-(Time o) const { return Time(ps_ - o.ps_); }
  constexpr Time operator-() const { return Time(-ps_); }
  constexpr Time& operator+=(Time o) {
    ps_ += o.ps_;
    return *this;
  }
  constexpr Time& operator-=(Time o) {
    ps_ -= o.ps_;
    return *this;
  }
  constexpr Time operator*(std::int64_t n) const { return Time(ps_ * n); }
  constexpr Time operator*(int n) const { return Time(ps_ * n); }
  Time operator*(double f) const { return Time(std::llround(static_cast<double>(ps_) * f)); }
  Time operator/(double f) const { return Time(std::llround(static_cast<double>(ps_) / f)); }
  /// Ratio of two lengths of time.
  constexpr double operator/(Time o) const { return static_cast<double>(ps_) / static_cast<double>(o.ps_); }

 private:
  explicit constexpr Time(std::int64_t ps) : ps_(ps) {}
  std::int64_t ps_ = 0;
};

/// A size in bytes.
class Bytes {
 public:
  constexpr Bytes() = default;
  explicit constexpr Bytes(std::int64_t n) : n_(n) {}
  static constexpr Bytes kib(std::int64_t n) { return Bytes(n << 10); }
  static constexpr Bytes mib(std::int64_t n) { return Bytes(n << 20); }
  static constexpr Bytes gib(std::int64_t n) { return Bytes(n << 30); }

  constexpr std::int64_t count() const { return n_; }
  constexpr double mib() const { return static_cast<double>(n_) / (1 << 20); }

  constexpr auto operator<=>(const Bytes&) const = default;
  constexpr Bytes operator+(Bytes o) const { return Bytes(n_ + o.n_); }
  constexpr Bytes operator-(Bytes o) const { return Bytes(n_ - o.n_); }
  constexpr Bytes& operator+=(Bytes o) {
    n_ += o.n_;
    return *this;
  }
  constexpr Bytes operator*(std::int64_t k) const { return Bytes(n_ * k); }
  constexpr Bytes operator/(std::int64_t k) const { return Bytes(n_ / k); }
  constexpr double operator/(Bytes o) const { return static_cast<double>(n_) / static_cast<double>(o.n_); }

 private:
  std::int64_t n_ = 0;
};

/// A transfer rate in bytes per second, per direction.
class Bandwidth {
 public:
  constexpr Bandwidth() = default;
  static constexpr Bandwidth bytes_per_second(double b) { return Bandwidth(b); }
  static constexpr Bandwidth gigabytes_per_second(double g) { return Bandwidth(g * 1e9); }
  static constexpr Bandwidth gigabits_per_second(double g) { return Bandwidth(g * 1e9 / 8); }
  static constexpr Bandwidth unlimited() { return Bandwidth(std::numeric_limits<double>::infinity()); }

  constexpr double bytes_per_second() const { return bps_; }
  constexpr double gigabytes_per_second() const { return bps_ * 1e-9; }

  constexpr auto operator<=>(const Bandwidth&) const = default;
  constexpr Bandwidth operator+(Bandwidth o) const { return Bandwidth(bps_ + o.bps_); }
  constexpr Bandwidth operator*(double f) const { return Bandwidth(bps_ * f); }
  constexpr Bandwidth operator/(double f) const { return Bandwidth(bps_ / f); }
  constexpr double operator/(Bandwidth o) const { return bps_ / o.bps_; }

 private:
  explicit constexpr Bandwidth(double b) : bps_(b) {}
  double bps_ = 0;
};

/// A count of floating-point operations (one multiply-add counts two).
class Flops {
 public:
  constexpr Flops() = default;
  explicit constexpr Flops(double n) : n_(n) {}
  constexpr double count() const { return n_; }
  constexpr auto operator<=>(const Flops&) const = default;
  constexpr Flops operator+(Flops o) const { return Flops(n_ + o.n_); }
  constexpr Flops& operator+=(Flops o) {
    n_ += o.n_;
    return *this;
  }
  constexpr Flops operator*(double k) const { return Flops(n_ * k); }
  constexpr double operator/(Flops o) const { return n_ / o.n_; }

 private:
  double n_ = 0;
};

/// Floating-point operations per second.
class FlopRate {
 public:
  constexpr FlopRate() = default;
  static constexpr FlopRate per_second(double f) { return FlopRate(f); }
  static constexpr FlopRate teraflops(double t) { return FlopRate(t * 1e12); }
  constexpr double per_second() const { return fps_; }
  constexpr double teraflops() const { return fps_ * 1e-12; }
  constexpr auto operator<=>(const FlopRate&) const = default;
  constexpr FlopRate operator*(double f) const { return FlopRate(fps_ * f); }
  constexpr double operator/(FlopRate o) const { return fps_ / o.fps_; }

 private:
  explicit constexpr FlopRate(double f) : fps_(f) {}
  double fps_ = 0;
};

inline Time operator/(Bytes size, Bandwidth rate) {
  return Time::seconds(static_cast<double>(size.count()) / rate.bytes_per_second());
}
inline Bandwidth operator/(Bytes size, Time time) {
  return Bandwidth::bytes_per_second(static_cast<double>(size.count()) / time.seconds());
}
inline Time operator/(Flops work, FlopRate rate) { return Time::seconds(work.count() / rate.per_second()); }
inline FlopRate operator/(Flops work, Time time) { return FlopRate::per_second(work.count() / time.seconds()); }

}  // namespace lockstep
