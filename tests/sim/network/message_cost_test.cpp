// What a message costs besides its bytes, over TCP.
#include "sim/network/message_cost.hpp"

#include <gtest/gtest.h>

namespace lockstep::sim {
namespace {

/// Between nodes, 1 GB/s in each of 4 connections.
Route tcp_route() {
  Route route;
  route.path_class = PathClass::Network;
  route.tcp = true;
  route.connection = Bandwidth::gigabytes_per_second(1);
  route.connections = 4;
  return route;
}

LibrarySpec library() {
  LibrarySpec l;
  l.protocols.emplace_back();
  l.tcp_latency = Sourced(Time::microseconds(20));
  l.many_connections = true;
  return l;
}

MessageCost cost_of(PhaseAlgorithm algorithm, int copies, const LibrarySpec& l, const Route& route) {
  Phase phase;
  phase.algorithm = algorithm;
  phase.copies = copies;
  return message_cost(l, l.protocols[0], phase, route);
}

double gigabytes(Bandwidth b) { return b.bytes_per_second() / 1e9; }

TEST(MessageCost, EveryChannelOfALaneHasConnectionsOfItsOwn) {
  const LibrarySpec l = library();
  EXPECT_EQ(gigabytes(cost_of(PhaseAlgorithm::Ring, 1, l, tcp_route()).cap), 4);
  EXPECT_EQ(gigabytes(cost_of(PhaseAlgorithm::HalvingDoubling, 1, l, tcp_route()).cap), 4);
  EXPECT_EQ(gigabytes(cost_of(PhaseAlgorithm::Ring, 2, l, tcp_route()).cap), 8);
  // A channel is on one of the two trees: of two one, of four two.
  EXPECT_EQ(gigabytes(cost_of(PhaseAlgorithm::Tree, 2, l, tcp_route()).cap), 4);
  EXPECT_EQ(gigabytes(cost_of(PhaseAlgorithm::Tree, 4, l, tcp_route()).cap), 8);
  EXPECT_EQ(cost_of(PhaseAlgorithm::Tree, 4, l, tcp_route()).latency, Time::microseconds(20));
  LibrarySpec one = l;
  one.many_connections = false;
  EXPECT_EQ(gigabytes(cost_of(PhaseAlgorithm::Ring, 2, one, tcp_route()).cap), 2);
}

TEST(MessageCost, HeadsOfNvlsToo) {
  LibrarySpec l = library();
  l.nvls.channels = 16;
  Phase phase;
  phase.algorithm = PhaseAlgorithm::Nvls;
  phase.node = 8;
  // Two nodes: two trees, 8 channels on each, 4 connections per channel.
  const MessageCost cost = nvls_cost(l, phase, 16, SwitchRole::None, tcp_route(), Bandwidth::gigabytes_per_second(450));
  EXPECT_EQ(gigabytes(cost.cap), 32);
  EXPECT_EQ(cost.latency, l.nvls.network + Time::microseconds(20));
}

TEST(MessageCost, VerbsKnowNoConnections) {
  Route route = tcp_route();
  route.tcp = false;
  const MessageCost cost = cost_of(PhaseAlgorithm::Ring, 1, library(), route);
  EXPECT_EQ(cost.cap, Bandwidth::unlimited());
  EXPECT_EQ(cost.latency, Time::zero());
}

}  // namespace
}  // namespace lockstep::sim
