# memwhy_strip(TARGET): the program without symbols and debug information, and TARGET.debug beside it, which it names
# (.gnu_debuglink) and which has its build id. Debuggers take it from there; once installed, from lib/debug/.build-id.
function(memwhy_strip target)
  target_link_options(${target} PRIVATE -Wl,--build-id=sha1)
  add_custom_command(
    TARGET ${target} POST_BUILD
    COMMAND ${CMAKE_OBJCOPY} --only-keep-debug ${target} ${target}.debug
    COMMAND ${CMAKE_OBJCOPY} --strip-all --add-gnu-debuglink=${target}.debug ${target}
    WORKING_DIRECTORY $<TARGET_FILE_DIR:${target}>
    BYPRODUCTS ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/${target}.debug
    VERBATIM)
endfunction()

# memwhy_install_debug(TARGET): the debug information of a stripped program, where debuggers look for it by the build id.
function(memwhy_install_debug target)
  # The build id is known when the program is.
  install(CODE "
    execute_process(COMMAND ${CMAKE_READELF} --notes $<TARGET_FILE:${target}> OUTPUT_VARIABLE notes COMMAND_ERROR_IS_FATAL ANY)
    string(REGEX MATCH \"Build ID: ([0-9a-f][0-9a-f])([0-9a-f]+)\" found \"\${notes}\")
    file(INSTALL $<TARGET_FILE:${target}>.debug DESTINATION \"\${CMAKE_INSTALL_PREFIX}/lib/debug/.build-id/\${CMAKE_MATCH_1}\"
         RENAME \"\${CMAKE_MATCH_2}.debug\")")
endfunction()
