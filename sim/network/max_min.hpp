// One max-min problem: progressive filling by bottleneck links.
//
//   repeat: share(l) = capacity left on l / flows on l without a rate;  take the smallest of all shares and of all caps
//   of such flows;
//           a cap: that flow gets its cap;  a share: all flows on that link without a rate get the share.
//   (Bertsekas & Gallager, Data Networks, section 6.5.)  Shares only grow while flows get rates, so a heap of old
//   shares is a heap of lower bounds: the top is looked at again before it is used.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace lockstep::sim {

/// Keeps its memory from problem to problem. O(crossings * log(links) + flows * log(flows)).
class MaxMin {
 public:
  /// Forgets the problem.
  void clear();
  /// cap >= 0, may be infinite if the flow crosses a link. Returns 0, 1, 2, ...
  std::int32_t add_flow(double cap);
  /// capacity >= 0, finite. Returns 0, 1, 2, ...
  std::int32_t add_link(double capacity);
  /// `flow` crosses the link added last; each flow at most once. It stands for `count` >= 1 flows of its rate there: the link's
  /// shares are capacity left / sum of counts.
  void cross(std::int32_t flow, std::int32_t count = 1);
  void solve();
  /// After solve(). Flows of one bottleneck get exactly equal rates.
  double rate(std::int32_t flow) const { return flows_[static_cast<std::size_t>(flow)].rate; }
  /// The share that this link gave to flows that it held back; infinite if it held back none.
  double share(std::int32_t link) const { return rows_[static_cast<std::size_t>(link)].share; }

 private:
  struct Flow {
    double cap;
    double rate;              ///< negative: none yet
    std::int32_t begin, end;  ///< in links_of_
    std::int32_t crossed;     ///< links that it crosses
  };
  struct LinkRow {
    double left;
    std::int32_t open;        ///< flows without a rate, each by its count
    std::int32_t begin, end;  ///< in flows_of_
    double share;
  };
  void fix(Flow& flow, double rate);
  void index_links();

  std::vector<Flow> flows_;
  std::vector<LinkRow> rows_;
  struct Crossing {
    std::int32_t other;  ///< the link of a flow, or the flow on a link
    std::int32_t count;
  };
  std::vector<Crossing> links_of_;
  std::vector<Crossing> flows_of_;
  std::vector<std::int32_t> by_cap_;
  std::vector<std::pair<double, std::int32_t>> heap_;
};

}  // namespace lockstep::sim
