// Executes collectives on the network: every rank's lazy schedule, message by message.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/plan/collective.hpp"
#include "core/spec/library_spec.hpp"
#include "sim/network/event_queue.hpp"
#include "sim/network/fabric.hpp"
#include "sim/network/fold.hpp"
#include "sim/network/network.hpp"

namespace lockstep::sim {

/// Where messages of the engine start and end, and what each costs besides its bytes.
struct EngineSettings {
  LibrarySpec library;
  std::vector<int> gpu_of_rank;  ///< placement: GPU index in the fabric of every rank
  int gpus_per_node = 1;         ///< of the cluster
};

/// One phase of one rank, for traces.
struct PhaseRecord {
  int collective = 0;
  Rank rank;
  int phase = 0;
  Time begin, end;
};

/// A message costs  route latency + protocol's share per message + staging latency  on top of  bytes / (efficiency * rate), where the
/// rate is the flow's max-min share, capped by the protocol and by connections over TCP; over NVLink the efficiency includes what the library's kernels
/// reach of a copy's rate. A rank's limit over all channels is dealt evenly among them. A reducing receive then costs bytes / reduce rate, unless a switch added.
/// Where switches add and copy (SwitchRole) a message crosses only its sender's way into the switch or its receiver's way out of it.
/// Each phase begins `base` (of the protocol) after the rank reaches it. Every message must meet its receive: verified at the end.
class CollectiveEngine {
 public:
  /// Uses event kinds `first_kind` and `first_kind + 1`. All references must outlive the engine.
  CollectiveEngine(EventQueue& queue, Network& network, Fabric& fabric, EngineSettings settings,
                   std::uint32_t first_kind);
  ~CollectiveEngine();

  /// From now on only the representatives enter and are simulated; null: all ranks. While no collective is open. `fold` must outlive them.
  void fold(const Fold* fold);
  /// Announces a collective; nothing happens until ranks enter. `protocol`: index into the library's protocols. Returns its number.
  int open(std::shared_ptr<const CollectivePlan> plan, int protocol);
  /// Rank reaches the collective now.
  void enter(int collective, Rank rank);
  /// The engine's network finished something with this token.
  void flow_ended(std::uint64_t token);
  /// True if `event` was one of this engine's.
  bool handle(const Event& event);
  /// Ranks that finished since the last call: (collective, rank), in order of time.
  std::vector<std::pair<int, Rank>>& finished() { return finished_; }

  /// Throws InternalError unless every opened collective is complete on every rank and every message was received. Frees them.
  void close_all();
  std::int64_t messages() const { return messages_; }
  void trace(std::vector<char> ranks) { traced_ = std::move(ranks); }  ///< 1 for each rank whose phases are recorded
  std::vector<PhaseRecord>& records() { return records_; }

 private:
  struct Collective;
  struct PhaseState;
  struct Seat;
  struct Lane;
  struct Way;
  struct Message;

  void begin_phase(Collective& c, Rank rank);
  void start_phase(Collective& c, Rank rank);
  void end_phase(PhaseState& p, const Seat& seat);
  PhaseState& lay_out(Collective& c, int index);
  void advance_all(PhaseState& p, Seat& seat, std::int32_t begin, std::int32_t end);
  void advance(PhaseState& p, std::int32_t lane);
  bool proceed(PhaseState& p, Seat& seat, Lane& lane);           ///< true if a step was completed
  bool begin_step(PhaseState& p, const Seat& seat, Lane& lane);  ///< false: it must wait for another lane
  bool combine(PhaseState& p, Lane& lane);                       ///< false: not received yet, or still being reduced
  void send(PhaseState& p, Lane& lane, const Way& way, std::int64_t elements, std::int32_t to_lane,
            std::int32_t to_step);
  Way way_between(const PhaseState& p, const Seat& from, int to_member, SwitchRole role = SwitchRole::None,
                  Bandwidth* copy_out = nullptr) const;
  static void in_switch(SwitchRole role, Way& way);
  void arrive(const Message& message);

  EventQueue& queue_;
  Network& network_;
  Fabric& fabric_;
  EngineSettings settings_;
  std::uint32_t kind_;
  const Fold* fold_ = nullptr;
  std::vector<std::unique_ptr<Collective>> collectives_;
  std::vector<Message> under_way_;  ///< by number in the network
  std::vector<std::pair<int, Rank>> finished_;
  std::vector<char> traced_;
  std::vector<PhaseRecord> records_;
  std::int64_t messages_ = 0;
};

/// Time of a collective on an otherwise idle network, from 0 to the last exit: what nccl-tests measures, without launch. `entries`: when each rank
/// enters, >= 0; empty: all at 0.
Time bare_collective_time(Fabric& fabric, const EngineSettings& settings, const CollectivePlan& plan, int protocol,
                          std::span<const Time> entries = {}, std::uint64_t* digest = nullptr,
                          std::int64_t* messages = nullptr);

}  // namespace lockstep::sim
