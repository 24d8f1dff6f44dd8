#include "real/comm/transport.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "core/base/error.hpp"

namespace lockstep {

namespace {

template <class Combine>
std::vector<double> over_ranks(Transport& transport, std::span<const double> mine, Combine combine) {
  std::string bytes(mine.size_bytes(), '\0');
  std::memcpy(bytes.data(), mine.data(), mine.size_bytes());
  std::vector<double> result;
  for (const std::string& one : transport.gather(bytes)) {
    LOCKSTEP_EXPECTS(one.size() == mine.size_bytes());
    std::vector<double> values(mine.size());
    std::memcpy(values.data(), one.data(), one.size());
    if (result.empty()) {
      result = std::move(values);
      continue;
    }
    for (std::size_t i = 0; i < values.size(); ++i) result[i] = combine(result[i], values[i]);
  }
  return result;
}

class Solo final : public Transport {
 public:
  Solo() {
    char name[256] = "";
    ::gethostname(name, sizeof name - 1);
    host_ = name;
  }
  int rank() const override { return 0; }
  int size() const override { return 1; }
  const std::string& host(int) const override { return host_; }
  std::string description() const override { return "alone"; }
  Request send(int, int, std::span<const std::byte>) override { throw InternalError("a job of one sends nothing"); }
  Request receive(int, int, std::span<std::byte>) override { throw InternalError("a job of one receives nothing"); }
  bool test(Request) override { return true; }
  bool cancel(Request) override { return true; }
  Request begin_allreduce(std::span<float>) override { return 0; }
  std::vector<std::string> gather(const std::string& mine) override { return {mine}; }
  void broadcast(std::span<std::byte>, int) override {}
  void barrier() override {}

 private:
  std::string host_;
};

}  // namespace

std::vector<double> sum_over_ranks(Transport& transport, std::span<const double> mine) {
  return over_ranks(transport, mine, [](double a, double b) { return a + b; });
}

std::vector<double> max_over_ranks(Transport& transport, std::span<const double> mine) {
  return over_ranks(transport, mine, [](double a, double b) { return std::max(a, b); });
}

NodePlace node_place(const Transport& transport, int rank) {
  std::map<std::string, int> number;  // of a host
  std::vector<int> ranks;             // per node
  NodePlace place;
  for (int r = 0; r < transport.size(); ++r) {
    const auto [it, added] = number.try_emplace(transport.host(r), static_cast<int>(ranks.size()));
    if (added) ranks.push_back(0);
    int& local = ranks[static_cast<std::size_t>(it->second)];
    if (r == rank) {
      place.node = it->second;
      place.local_rank = local;
    }
    ++local;
  }
  place.nodes = static_cast<int>(ranks.size());
  place.local_size = ranks[static_cast<std::size_t>(place.node)];
  place.equal = std::all_of(ranks.begin(), ranks.end(), [&](int n) { return n == ranks[0]; });
  return place;
}

bool launched_as_job(const std::function<const char*(const char*)>& environment) {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK"}) {
    if (environment(name) != nullptr) return true;
  }
  return false;
}

std::unique_ptr<Transport> solo_transport() { return std::make_unique<Solo>(); }

}  // namespace lockstep
