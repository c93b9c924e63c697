#include "fs/volume/volume.h"

#include <cerrno>
#include <string>

namespace holdfast::fs {
namespace {

class VolumeCategory final : public boost::system::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "holdfast.volume"; }
  [[nodiscard]] std::string message(int value) const override {
    switch (static_cast<VolumeErrc>(value)) {
      case VolumeErrc::kNotWritable:
        return "the volume has no marker yet and it cannot be created";
      case VolumeErrc::kMissing:
        return "the volume has no marker";
      case VolumeErrc::kDamaged:
        return "the volume's marker cannot be read";
      case VolumeErrc::kOtherVolume:
        return "this is another volume than the one asked for";
    }
    return "unknown volume error";
  }
  [[nodiscard]] boost::system::error_condition default_error_condition(
      int value) const noexcept override {
    switch (static_cast<VolumeErrc>(value)) {
      case VolumeErrc::kNotWritable:
        return {EACCES, boost::system::generic_category()};
      case VolumeErrc::kMissing:
        return {ENOENT, boost::system::generic_category()};
      case VolumeErrc::kDamaged:
        return {EUCLEAN, boost::system::generic_category()};
      case VolumeErrc::kOtherVolume:
        return {EXDEV, boost::system::generic_category()};
    }
    return {EIO, boost::system::generic_category()};
  }
};

}  // namespace

const boost::system::error_category& volume_category() {
  static const VolumeCategory category;
  return category;
}

}  // namespace holdfast::fs
