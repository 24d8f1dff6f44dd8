// What collectives need from message passing between the processes, or threads, of one job.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "real/comm/scratch.hpp"

namespace lockstep {

/// One per rank. Messages between two ranks with equal tags arrive in the order in which they were sent. Used by one thread at a time.
/// Throws BackendError naming call, code, host and rank when the machine fails.
class Transport {
 public:
  /// A message under way; the memory it names must live until test() says true.
  using Request = std::int64_t;

  virtual ~Transport() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// Of any rank.
  virtual const std::string& host(int rank) const = 0;
  /// "Open MPI 4.1.4", "threads", "alone".
  virtual std::string description() const = 0;

  /// 0 <= tag < kTags; to != rank(). At most 2 GiB.
  virtual Request send(int to, int tag, std::span<const std::byte> data) = 0;
  virtual Request receive(int from, int tag, std::span<std::byte> data) = 0;
  /// True once the message has left or arrived; the request is then gone.
  virtual bool test(Request request) = 0;
  /// Gives up a message under way. False where the library may still touch its memory, until the job ends.
  virtual bool cancel(Request request) = 0;
  /// The library's own allreduce of fp32 values in place, as a baseline. Every rank begins them in the same order.
  virtual Request begin_allreduce(std::span<float> values) = 0;

  /// The collectives below wait, and may only be called while nothing else is under way. gather() gives every rank the bytes of all,
  /// in rank order.
  virtual std::vector<std::string> gather(const std::string& mine) = 0;
  virtual void broadcast(std::span<std::byte> data, int root) = 0;
  virtual void barrier() = 0;

  /// Memory for messages, of whoever uses the transport.
  Scratch& scratch() { return scratch_; }

  static constexpr int kTags = 1 << 30;

 private:
  Scratch scratch_;
};

/// Sums in rank order, so that every rank gets the same bits. One gather.
std::vector<double> sum_over_ranks(Transport& transport, std::span<const double> mine);
/// The largest over ranks, value by value.
std::vector<double> max_over_ranks(Transport& transport, std::span<const double> mine);

/// Where a rank is among the nodes, numbered in the order of their lowest ranks.
struct NodePlace {
  int node = 0, nodes = 1;
  int local_rank = 0, local_size = 1;
  bool equal = true;  ///< all nodes have as many ranks
};
NodePlace node_place(const Transport& transport, int rank);

/// True if the environment says that a launcher started this process as one of several (Open MPI's mpirun, PMIx under Slurm).
bool launched_as_job(const std::function<const char*(const char*)>& environment);

/// A job of one.
std::unique_ptr<Transport> solo_transport();

}  // namespace lockstep
