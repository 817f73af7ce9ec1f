# Warnings and sanitizers of all of our code; third-party headers come in as system headers.
add_library(memwhy_options INTERFACE)
target_compile_options(memwhy_options INTERFACE -Wall -Wextra -Werror -Wshadow -Wnon-virtual-dtor -fno-omit-frame-pointer)
if(MEMWHY_SANITIZE)
  target_compile_options(memwhy_options INTERFACE -fsanitize=${MEMWHY_SANITIZE} -fno-sanitize-recover=all)
  # GCC 12 sees uninitialised reads in variants that are not there once sanitizers change the code's shape.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(memwhy_options INTERFACE -Wno-error=maybe-uninitialized)
  endif()
  target_link_options(memwhy_options INTERFACE -fsanitize=${MEMWHY_SANITIZE})
endif()
if(MEMWHY_SANITIZE MATCHES address)
  # A third of the time to compile; a read through a null pointer or behind an object ends the test by the address sanitizer too.
  target_compile_options(memwhy_options INTERFACE -fno-sanitize=null,object-size)
endif()
if(MEMWHY_FUZZ)
  # Our compiler is g++; another one's opinion of the code is no reason not to fuzz it. An index that is out of range or an
  # optional that is empty is a find, not a value.
  target_compile_options(memwhy_options INTERFACE -fsanitize=fuzzer-no-link -Wno-error)
  target_compile_options(memwhy_options INTERFACE -fno-sanitize=vptr)
  target_compile_definitions(memwhy_options INTERFACE _GLIBCXX_ASSERTIONS)
endif()
