// The three kinds of error: the user's, the machine's, ours.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

namespace lockstep {

/// One thing that is wrong with what the user wrote.
struct Fault {
  std::string where;    ///< "run.toml:12:5", "--set", or a path; never empty
  std::string key;      ///< dotted key such as "network.links.bandwidth"; may be empty
  std::string message;  ///< what is wrong and what was expected
  /// "where: key: message"
  std::string text() const;
};

/// The user can fix it. Carries every fault found in one go; `what()` is one line per fault.
class ConfigError : public std::runtime_error {
 public:
  explicit ConfigError(std::vector<Fault> faults);
  ConfigError(std::string where, std::string key, std::string message);
  const std::vector<Fault>& faults() const { return faults_; }

 private:
  std::vector<Fault> faults_;
};

/// The machine failed (disk, network, GPU, another process). `what()` says which call, code, host and rank.
class BackendError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// We failed: no input can cause it.
class InternalError : public std::logic_error {
  using std::logic_error::logic_error;
};

[[noreturn]] void expectation_failed(const char* condition, const char* file, int line);

/// The candidate closest to `word` by edit distance, or empty when none is near (distance > 1 + length / 3).
std::string nearest(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace lockstep

/// States what must hold if Lockstep is correct. Throws InternalError. Always on; keep it out of inner loops.
#define LOCKSTEP_EXPECTS(condition) \
  ((condition) ? static_cast<void>(0) : ::lockstep::expectation_failed(#condition, __FILE__, __LINE__))
