# The rooms of native/core as targets: a static library torchsearch_<room> each, and torchsearch_core for all of them.

# Reads ROOT/rooms.txt: a line `room: room room …` for each folder of ROOT, bottom first, with the rooms that it may
# include.
function(torchsearch_add_rooms ROOT)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${ROOT}/rooms.txt")
  file(STRINGS "${ROOT}/rooms.txt" LINES REGEX "^[^#]")
  get_filename_component(INCLUDES "${ROOT}" DIRECTORY)
  set(ROOMS "")
  add_library(torchsearch_core INTERFACE)
  foreach(LINE ${LINES})
    if(NOT LINE MATCHES "^([a-z0-9_]+):([a-z0-9_ ]*)$")
      message(FATAL_ERROR "${ROOT}/rooms.txt: \"${LINE}\" is not `room: room room …`.")
    endif()
    set(ROOM "${CMAKE_MATCH_1}")
    string(STRIP "${CMAKE_MATCH_2}" BELOW)
    string(REPLACE " " ";" BELOW "${BELOW}")
    set(LIBRARIES "")
    foreach(NAME ${BELOW})
      if(NOT NAME IN_LIST ROOMS)
        message(FATAL_ERROR "${ROOT}/rooms.txt: ${ROOM} includes ${NAME}, which is not a room below it.")
      endif()
      list(APPEND LIBRARIES torchsearch_${NAME})
    endforeach()
    list(APPEND ROOMS ${ROOM})

    file(GLOB_RECURSE SOURCES CONFIGURE_DEPENDS "${ROOT}/${ROOM}/*.cpp")
    file(GLOB_RECURSE FILES CONFIGURE_DEPENDS "${ROOT}/${ROOM}/*.h" "${ROOT}/${ROOM}/*.inc")
    add_library(torchsearch_${ROOM} STATIC ${SOURCES})
    target_include_directories(torchsearch_${ROOM} PUBLIC "${INCLUDES}")
    target_link_libraries(torchsearch_${ROOM} PUBLIC ${LIBRARIES} libtorch)
    torchsearch_compile(torchsearch_${ROOM})
    target_link_libraries(torchsearch_core INTERFACE torchsearch_${ROOM})

    # The check reads the room's link interface, so that what may be included and what is linked are one list.
    set(STAMP "${CMAKE_BINARY_DIR}/rooms/${ROOM}.stamp")
    add_custom_command(OUTPUT "${STAMP}" DEPENDS ${SOURCES} ${FILES} "${ROOT}/rooms.txt"
        "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/check_includes.cmake"
      COMMAND "${CMAKE_COMMAND}" "-DROOT=${ROOT}" "-DROOM=${ROOM}" "-DSTAMP=${STAMP}"
        "-DLINKED=$<JOIN:$<TARGET_PROPERTY:torchsearch_${ROOM},INTERFACE_LINK_LIBRARIES>,,>"
        -P "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/check_includes.cmake"
      COMMENT "Checking the includes of core/${ROOM}" VERBATIM)
    add_custom_target(torchsearch_${ROOM}_includes DEPENDS "${STAMP}")
    add_dependencies(torchsearch_${ROOM} torchsearch_${ROOM}_includes)
  endforeach()

  file(GLOB ENTRIES CONFIGURE_DEPENDS LIST_DIRECTORIES true RELATIVE "${ROOT}" "${ROOT}/*")
  foreach(ENTRY ${ENTRIES})
    if(IS_DIRECTORY "${ROOT}/${ENTRY}" AND NOT ENTRY IN_LIST ROOMS)
      message(FATAL_ERROR "${ROOT}/rooms.txt does not name the room ${ENTRY}.")
    endif()
    if(ENTRY MATCHES "\\.(cpp|h)$")
      message(FATAL_ERROR "${ROOT}/${ENTRY} is in no room: move it into a folder that rooms.txt names.")
    endif()
  endforeach()
endfunction()
