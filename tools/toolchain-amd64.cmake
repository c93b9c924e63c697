# For amd64, on another machine, with Debian's compilers and libraries: tools/install-deps --build amd64.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER x86_64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER x86_64-linux-gnu-g++)
set(CMAKE_LIBRARY_ARCHITECTURE x86_64-linux-gnu)
set(LLD_PROGRAM OFF CACHE FILEPATH "Debian's cross compilers find only their own ld")
set(ENV{PKG_CONFIG_LIBDIR} /usr/lib/x86_64-linux-gnu/pkgconfig:/usr/share/pkgconfig)
set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE amd64)
find_program(HOLDFAST_QEMU qemu-x86_64-static)
if(HOLDFAST_QEMU)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${HOLDFAST_QEMU})  # ctest runs the unit tests with it
endif()
