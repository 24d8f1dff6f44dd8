// Values that are made when they are first asked for, and kept.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace lockstep {

/// Values by name, each made once. Safe to call from several threads; what `make` throws is not kept. References last as long as this.
template <class T>
class MadeOnce {
 public:
  template <class Make>
  const T& of(const std::string& name, Make&& make) {
    {
      const std::lock_guard lock(guard_);
      if (const auto known = values_.find(name); known != values_.end()) return *known->second;
    }
    auto made = std::make_unique<const T>(make());  // two threads may make the same: the first one's stays
    const std::lock_guard lock(guard_);
    return *values_.try_emplace(name, std::move(made)).first->second;
  }

 private:
  std::mutex guard_;
  std::map<std::string, std::unique_ptr<const T>> values_;
};

}  // namespace lockstep
