// Communication lanes of one step, beside the compute lanes that they slow down.
#pragma once

#include <cstdint>
#include <vector>

#include "core/spec/library_spec.hpp"
#include "sim/network/collective_engine.hpp"
#include "sim/step/compute_lane.hpp"
#include "sim/step/step_input.hpp"

namespace lockstep::sim {

/// The next time that the library looks for complete buckets: multiples of `cycle` since a step's start; at once if it is zero.
Time next_tick(Time since_start, Time cycle);

/// The compute lanes of a step, by rank.
struct ComputeLanes {
  std::vector<Time> start;  ///< of the step on this rank
  std::vector<const LanePrefix*> prefix;
  std::vector<ComputeLane> lane;

  int world() const { return static_cast<int>(start.size()); }
};

/// What became of a bucket on a rank.
struct BucketTimes {
  Time full;   ///< its gradients are complete
  Time begin;  ///< its collective takes its turn
  Time done;   ///< its sums are unpacked
};

/// A bucket becomes full on a rank when the compute lane gets there, is agreed upon, packed and launched, takes its turn in the order of buckets
/// (`in_flight` at once), and then moves message by message. A rank's compute lane runs slower while its collectives are under way.
class CommunicationLanes {
 public:
  /// Kinds of the events of a step's queue: of the network, and the two of the collective engine. The lanes' own are larger.
  static constexpr std::uint32_t kFlow = 0, kEngine = 1;

  /// All references must outlive the lanes; queue, network and engine are without work.
  CommunicationLanes(EventQueue& queue, Network& network, CollectiveEngine& engine, const LibrarySpec& library,
                     const StepInput& input, ComputeLanes& compute);

  /// Runs the step until no event is left. Of at least two ranks.
  void simulate();
  /// After simulate(); a rank that is folded away has its representative's.
  const BucketTimes& times(int rank, int bucket) const { return times_[cell(input_.stands_for(rank), bucket)]; }

 private:
  static constexpr std::uint32_t kFull = 4;    // a bucket's gradients are complete on a rank
  static constexpr std::uint32_t kQueued = 5;  // it is packed and may take its turn
  static constexpr std::uint32_t kKnown = 6;   // a collective of known length is over

  std::size_t cell(int rank, int bucket) const {
    return static_cast<std::size_t>(rank) * static_cast<std::size_t>(buckets_) + static_cast<std::size_t>(bucket);
  }
  const CollectiveChoice& choice(int bucket) const { return input_.collectives[static_cast<std::size_t>(bucket)]; }
  void start(int rank);
  void handle(const Event& event);
  void expect(int rank, int bucket);
  void expect_next(int rank);
  void react(int rank);
  void on_full(int rank, int bucket);
  void enqueue(int rank, int bucket, Time agreed);
  void take_turn(int rank);
  void finish(int rank, int bucket);

  /// A rank's lane.
  struct Lane {
    KernelLoad load;  ///< of its collectives under way
    int awaited = 0;  ///< place in full_order of the bucket that is filled next, if collectives slow computation down
    std::uint32_t version = 0;  ///< changes of speed so far; older expectations are void
    Time free;                  ///< since when nothing is under way
    int busy = 0, next = 0;     ///< collectives under way; the bucket whose turn is next
  };

  EventQueue& queue_;
  Network& network_;
  CollectiveEngine& engine_;
  const LibrarySpec& library_;
  const StepInput& input_;
  ComputeLanes& compute_;
  int buckets_;
  std::vector<int> simulated_;
  bool contended_;
  std::vector<Lane> lanes_;         // by rank
  std::vector<BucketTimes> times_;  // by (rank, bucket)
  std::vector<char> queued_;        // likewise
  std::vector<int> full_ranks_;     // by bucket
};

}  // namespace lockstep::sim
