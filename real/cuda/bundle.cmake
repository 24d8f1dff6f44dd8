# Target "bundle" of the preset gpu-bundle: the program and the GPU tests, stripped, with the libraries they need beside them (found through $ORIGIN),
# for a machine that has a driver, CUDA, cuDNN and NCCL but nothing of Debian's. nvJPEG, which few machines have, is among them; other libraries of CUDA and the C library are not.
#
# Run as a script (cmake -DPROGRAMS=a;b -DOUT=dir -P bundle.cmake) it does the copying.
if(CMAKE_SCRIPT_MODE_FILE)
  file(REMOVE_RECURSE ${OUT})
  file(MAKE_DIRECTORY ${OUT})
  file(GET_RUNTIME_DEPENDENCIES EXECUTABLES ${PROGRAMS} RESOLVED_DEPENDENCIES_VAR found UNRESOLVED_DEPENDENCIES_VAR lost
       PRE_EXCLUDE_REGEXES "^lib(c|m|dl|rt|pthread)\\.so" "^ld-linux" "^lib(cuda|cudart|cudnn|cublas|cublasLt|nccl)[._]")
  if(lost)
    message(FATAL_ERROR "libraries that cannot be found: ${lost}")
  endif()
  foreach(file ${PROGRAMS} ${found})
    get_filename_component(real ${file} REALPATH)
    get_filename_component(name ${file} NAME)
    configure_file(${real} ${OUT}/${name} COPYONLY)
    execute_process(COMMAND ${STRIP} ${OUT}/${name} COMMAND_ERROR_IS_FATAL ANY)
  endforeach()
  file(GLOB files ${OUT}/*)
  set(total 0)
  foreach(file ${files})
    file(SIZE ${file} bytes)
    math(EXPR total "${total} + ${bytes}")
  endforeach()
  math(EXPR mib "${total} / 1048576")
  message(STATUS "${OUT}: ${mib} MiB")
  if(mib GREATER_EQUAL 60)
    message(FATAL_ERROR "the bundle has ${mib} MiB, 60 at most were expected")
  endif()
  return()
endif()

foreach(target lockstep gpu_tests)
  set_target_properties(${target} PROPERTIES BUILD_RPATH "$ORIGIN" BUILD_RPATH_USE_ORIGIN ON)
endforeach()
add_custom_target(bundle
  COMMAND ${CMAKE_COMMAND} "-DPROGRAMS=$<TARGET_FILE:lockstep>;$<TARGET_FILE:gpu_tests>" -DOUT=${CMAKE_BINARY_DIR}/bundle -DSTRIP=${CMAKE_STRIP}
          -P ${CMAKE_CURRENT_LIST_FILE}
  DEPENDS lockstep gpu_tests VERBATIM)
