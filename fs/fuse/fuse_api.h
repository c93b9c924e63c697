#pragma once
/// libfuse with the API version we are written against (3.14).
#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>  // IWYU pragma: export
