// The double binary tree that joins nodes, or ranks: who is whose neighbour.
#pragma once

namespace lockstep {

/// Neighbours in one of the trees; -1 = none.
struct TreeNeighbours {
  int parent = -1, left = -1, right = -1;
  bool is_left = false;  ///< the left child of its parent
};

/// Of `member` in tree 0 or 1 over n >= 1 members. Tree 0 is in order, its even places are leaves; tree 1 is tree 0 shifted by one place, so that who
/// is inside one is a leaf of the other (for even n; Sanders, Speck & Traeff 2009). O(1).
TreeNeighbours double_tree(int n, int tree, int member);

}  // namespace lockstep
