#pragma once
/// Directories on a share: found, made, moved, removed with all that is in them.
///
/// Nothing follows a symbolic link: a link in the place of a directory is ENOTDIR, and one among
/// what is removed is removed itself. Errors: those of the storage.

#include "fs/backend/backend.h"

#include <cstdint>
#include <string>
#include <string_view>

#include <boost/asio/awaitable.hpp>

namespace holdfast::csi {

template <class T>
using Storage = boost::asio::awaitable<Result<T>>;

[[nodiscard]] Storage<fs::Entry> find_in(fs::Backend& backend, fs::Entry directory,
                                         std::string name);
/// What comes after `cookie` (0: from the beginning); `verifier` is that of the page before.
[[nodiscard]] Storage<fs::DirectoryPage> list(fs::Backend& backend, fs::Entry directory,
                                              std::uint64_t cookie, std::uint64_t verifier);
/// A directory that exists is as good as a new one, its attributes untouched.
[[nodiscard]] Storage<fs::Entry> make_in(fs::Backend& backend, fs::Entry directory,
                                         std::string name, fs::SetAttributes attributes);
[[nodiscard]] Storage<void> move(fs::Backend& backend, fs::Entry from, std::string from_name,
                                 fs::Entry to, std::string to_name);
[[nodiscard]] Storage<void> remove_file(fs::Backend& backend, fs::Entry directory,
                                        std::string name);
[[nodiscard]] Storage<fs::Attributes> change(fs::Backend& backend, fs::Entry entry,
                                             fs::SetAttributes attributes);

/// The directory in which the last part of `path` ("a/b/c") lies, and that part's name.
struct Parent {
  fs::Entry directory;
  std::string name;
};
enum class Missing { kFail, kMake };  ///< parents that are missing; made with mode 0755
[[nodiscard]] Storage<Parent> find_parent(fs::Backend& backend, fs::Entry root, std::string path,
                                          Missing missing);

/// Removes `name` in `directory` and everything below; done if it is not there. Stopped at any
/// point and called again it goes on where it was.
[[nodiscard]] Storage<void> remove_tree(fs::Backend& backend, fs::Entry directory,
                                        std::string name);

}  // namespace holdfast::csi
