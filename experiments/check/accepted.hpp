// Comments that accept a finding: "# check RULE: reason" anywhere in a file.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace lockstep::check {

struct Accepted {
  std::string rule, reason;
  std::string where;  ///< "abci.toml:12:1"
};

/// Every such comment, in the order of the file. A reason may go on in the comment lines below, up to an empty one. The file is readable text.
std::vector<Accepted> accepted_in(const std::filesystem::path& file);

}  // namespace lockstep::check
