#pragma once
/// What `holdfast bench fs` is asked to do.

#include <cstddef>
#include <string>
#include <vector>

namespace holdfast::bench::fs {

struct PlaceName {
  std::string name;               ///< "main", or what the user calls a peer
  std::vector<std::string> dirs;  ///< one file system, seen through as many mounts
};

struct Options {
  std::vector<PlaceName> places;  ///< the first is what is measured, the others are its peers
  std::vector<std::string> only;  ///< empty: all
  double seconds = 1;             ///< of each measurement, where the work is not a fixed amount
  unsigned rounds = 3;
  std::size_t files = 10'000;
  std::size_t megabytes = 128;  ///< of the file of streams and random reads
  bool json = false;
};

}  // namespace holdfast::bench::fs
