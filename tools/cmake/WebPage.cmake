# memwhy_web_page(TARGET FOLDER): the page of FOLDER (TypeScript, CSS, HTML) as one source file of TARGET. Its libraries come from npm by
# the lock file, into the build directory: the same versions, checked by their hashes, give the same bytes.
function(memwhy_web_page target folder)
  find_program(NODE_PROGRAM NAMES node nodejs REQUIRED)
  find_program(NPM_PROGRAM npm REQUIRED)
  set(out ${CMAKE_BINARY_DIR}/${target})
  set(libraries ${out}/node_modules/.package-lock.json)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${folder}/*.ts ${folder}/*.css ${folder}/*.html ${folder}/build.mjs)
  add_custom_command(
    OUTPUT ${libraries}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${out}
    COMMAND ${CMAKE_COMMAND} -E copy ${folder}/package.json ${folder}/package-lock.json ${out}
    COMMAND ${NPM_PROGRAM} ci --prefix ${out} --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error
    COMMAND ${CMAKE_COMMAND} -E touch ${libraries}
    DEPENDS ${folder}/package.json ${folder}/package-lock.json
    COMMENT "Fetching the libraries of the page"
    VERBATIM)
  add_custom_command(
    OUTPUT ${out}/bundle.cpp
    COMMAND ${NODE_PROGRAM} ${folder}/build.mjs ${out}
    DEPENDS ${sources} ${libraries}
    COMMENT "Bundling the page"
    VERBATIM)
  # A target without libraries: it is built at once, in place of after those of TARGET, for which all of app would wait.
  add_custom_target(${target}_page DEPENDS ${out}/bundle.cpp)
  add_dependencies(${target} ${target}_page)
  target_sources(${target} PRIVATE ${out}/bundle.cpp)
endfunction()
