# Warnings and sanitizers of all of our code; third-party headers come in as system headers.
add_library(memwhy_options INTERFACE)
target_compile_options(memwhy_options INTERFACE -Wall -Wextra -Werror -Wshadow -Wnon-virtual-dtor -fno-omit-frame-pointer)
if(MEMWHY_SANITIZE)
  target_compile_options(memwhy_options INTERFACE -fsanitize=${MEMWHY_SANITIZE} -fno-sanitize-recover=all)
  # GCC 12 sees uninitialised reads in variants that are not there once sanitizers change the code's shape.
  target_compile_options(memwhy_options INTERFACE -Wno-error=maybe-uninitialized)
  target_link_options(memwhy_options INTERFACE -fsanitize=${MEMWHY_SANITIZE})
endif()
