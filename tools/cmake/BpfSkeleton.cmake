# memwhy_skeleton: the header that bpftool makes of the linked BPF object. The rules are in Makefile.bpf; this only
# calls it and hands the header on.
file(GLOB_RECURSE bpf_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/bpf/*.c ${CMAKE_SOURCE_DIR}/bpf/*.h
     ${CMAKE_SOURCE_DIR}/include/memwhy/abi/*.h)
set(bpf_out ${CMAKE_BINARY_DIR}/bpf)
set(skeleton ${bpf_out}/memwhy.skel.h)
add_custom_command(
  OUTPUT ${skeleton}
  COMMAND make -j4 --no-print-directory -f ${CMAKE_SOURCE_DIR}/Makefile.bpf -C ${CMAKE_SOURCE_DIR} OUT=${bpf_out}
  DEPENDS ${bpf_sources} ${CMAKE_SOURCE_DIR}/Makefile.bpf
  COMMENT "BPF objects and skeleton"
  VERBATIM)
add_custom_target(memwhy_skeleton_header DEPENDS ${skeleton})
add_library(memwhy_skeleton INTERFACE)
target_include_directories(memwhy_skeleton SYSTEM INTERFACE ${bpf_out})
add_dependencies(memwhy_skeleton memwhy_skeleton_header)
