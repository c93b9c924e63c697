# For another machine, with Debian's compilers and libraries (tools/install-deps --build ARCH):
#   cmake -DCMAKE_TOOLCHAIN_FILE=tools/toolchain.cmake -DHOLDFAST_ARCH=ARCH ...    arm64 or amd64, as Debian says
if(HOLDFAST_ARCH STREQUAL arm64)
  set(machine aarch64)
elseif(HOLDFAST_ARCH STREQUAL amd64)
  set(machine x86_64)
else()
  message(FATAL_ERROR "HOLDFAST_ARCH: arm64 or amd64, not '${HOLDFAST_ARCH}'")
endif()
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES HOLDFAST_ARCH)  # CMake reads this file for its trials too

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR ${machine})
set(CMAKE_C_COMPILER ${machine}-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER ${machine}-linux-gnu-g++)
set(CMAKE_LIBRARY_ARCHITECTURE ${machine}-linux-gnu)
set(LLD_PROGRAM OFF CACHE FILEPATH "Debian's cross compilers find only their own ld")
set(ENV{PKG_CONFIG_LIBDIR} /usr/lib/${machine}-linux-gnu/pkgconfig:/usr/share/pkgconfig)
set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE ${HOLDFAST_ARCH})
find_program(HOLDFAST_QEMU qemu-${machine}-static)
if(HOLDFAST_QEMU)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${HOLDFAST_QEMU})  # ctest runs the unit tests with it
endif()
