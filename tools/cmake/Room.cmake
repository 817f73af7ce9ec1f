# memwhy_anywhere(TARGET): the folder that it is built in is in none of its bytes, so that two builds of a commit are the same.
function(memwhy_anywhere target)
  target_compile_options(${target} PRIVATE -ffile-prefix-map=${CMAKE_SOURCE_DIR}=/memwhy)
endfunction()

# memwhy_at_once(TARGET): with MEMWHY_UNITY all of its sources are one compilation, in which each header is read once. A name
# of a file's own (in its anonymous namespace, a macro) is therefore one that no other file of its room has.
function(memwhy_at_once target)
  memwhy_anywhere(${target})
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${MEMWHY_UNITY} UNITY_BUILD_BATCH_SIZE 0)
  if(NOT MEMWHY_UNITY)
    return()
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # It takes every included file for a header, in which a member of an anonymous type would be a mistake.
    target_compile_options(${target} PRIVATE -Wno-subobject-linkage)
    # It collects its garbage only from 1 GB on: a tenth of the time of a room, for 1.2 GB at most in place of 0.9.
    target_compile_options(${target} PRIVATE --param=ggc-min-heapsize=1000000 --param=ggc-min-expand=100)
  endif()
  # events compiles the headers that all rooms but base share.
  if(target STREQUAL memwhy_events)
    target_precompile_headers(${target} PRIVATE ${CMAKE_SOURCE_DIR}/tools/cmake/rooms.h)
  elseif(NOT target STREQUAL memwhy_base)
    target_precompile_headers(${target} REUSE_FROM memwhy_events)
  endif()
endfunction()

# memwhy_room(NAME [WORDS] [USES room|target ...] [LIBRARIES target ...]): the library of userspace/NAME.
# Its sources are all the .cpp files of the folder (and of its subfolders) but main.cpp; a room of headers only is an interface
# library. WORDS: it makes texts and files of an answer, or asks others; nothing in it is done for each event or page. It is
# optimized less, which takes a quarter less time to compile.
function(memwhy_room name)
  cmake_parse_arguments(ARG "WORDS" "" "USES;LIBRARIES" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/userspace/${name}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
  set(uses)
  foreach(room IN LISTS ARG_USES)
    if(room MATCHES "^memwhy_")
      list(APPEND uses ${room})
    else()
      list(APPEND uses memwhy_${room})
    endif()
  endforeach()
  if(sources)
    add_library(memwhy_${name} STATIC ${sources})
    target_include_directories(memwhy_${name} PUBLIC ${CMAKE_SOURCE_DIR}/userspace)
    target_link_libraries(memwhy_${name} PUBLIC ${uses} ${ARG_LIBRARIES} PRIVATE memwhy_options)
    memwhy_at_once(memwhy_${name})
    if(ARG_WORDS)
      target_compile_options(memwhy_${name} PRIVATE $<$<CONFIG:RelWithDebInfo>:-O1>)
    endif()
    set_property(GLOBAL APPEND PROPERTY MEMWHY_ARCHIVES memwhy_${name})
  else()
    add_library(memwhy_${name} INTERFACE)
    target_include_directories(memwhy_${name} INTERFACE ${CMAKE_SOURCE_DIR}/userspace)
    target_link_libraries(memwhy_${name} INTERFACE ${uses} ${ARG_LIBRARIES})
  endif()
endfunction()
