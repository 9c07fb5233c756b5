# cmake -DSOURCE_DIR=<repository> -DWORK_DIR=<a folder to write> -P headers_test.cmake
# Checks cmake/TensorRTHeaders.cmake with made-up headers and a made-up repository, each case in a process of its own.
file(REMOVE_RECURSE "${WORK_DIR}")

function(make_headers folder major_name major minor_name minor)
  file(WRITE "${folder}/NvInferRuntime.h" "")
  file(WRITE "${folder}/NvInferVersion.h"
       "#define ${major_name} ${major}\n#define ${minor_name} ${minor}\n#define NV_TENSORRT_MAJOR ${major_name}\n")
endfunction()

# Includes the module with these definitions; fails unless its output matches `pattern`.
function(expect pattern)
  execute_process(
    COMMAND "${CMAKE_COMMAND}" -E env --unset=TensorRT_ROOT ${environment}
            "${CMAKE_COMMAND}" ${ARGN} -P "${SOURCE_DIR}/cmake/TensorRTHeaders.cmake"
    WORKING_DIRECTORY "${WORK_DIR}" OUTPUT_VARIABLE output ERROR_VARIABLE errors
  )
  string(REGEX REPLACE "[ \n]+" " " output "${output}${errors}")
  if(NOT output MATCHES "${pattern}")
    message(SEND_ERROR "expected: ${pattern}\ngot: ${output}")
  endif()
endfunction()

make_headers("${WORK_DIR}/rtx" TRT_MAJOR_RTX 1 TRT_MINOR_RTX 4)
make_headers("${WORK_DIR}/ten/include" TRT_MAJOR_ENTERPRISE 10 TRT_MINOR_ENTERPRISE 14)
make_headers("${WORK_DIR}/ten_again" TRT_MAJOR_ENTERPRISE 10 TRT_MINOR_ENTERPRISE 14)
make_headers("${WORK_DIR}/eleven/include/x86_64-linux-gnu" TRT_MAJOR_ENTERPRISE 11 TRT_MINOR_ENTERPRISE 1)
make_headers("${WORK_DIR}/old" NV_TENSORRT_MAJOR 10 NV_TENSORRT_MINOR 8)
file(WRITE "${WORK_DIR}/odd/NvInferRuntime.h" "")
file(WRITE "${WORK_DIR}/odd/NvInferVersion.h" "// nothing\n")
file(MAKE_DIRECTORY "${WORK_DIR}/empty")

set(three "${WORK_DIR}/rtx\\;${WORK_DIR}/ten\\;${WORK_DIR}/eleven")
string(CONCAT found "tensorrt_rtx 1.4 in [^ ]*/rtx .*tensorrt 10.14 in [^ ]*/ten/include "
                    ".*tensorrt 11.1 in [^ ]*/eleven/include/x86_64-linux-gnu")
expect("${found}" "-DTensorRT_ROOT=${three}")
string(REPLACE "\\;" ":" three "${three}")
set(environment "TensorRT_ROOT=${three}")
expect("${found}")
set(environment "")

expect("10.14 in [^ ]*/ten/include $" "-DTensorRT_ROOT=${WORK_DIR}/ten\\;${WORK_DIR}/ten_again")
expect("old left out: 10.8 is older than 10.14.*TensorRT is left out: no headers" "-DTensorRT_ROOT=${WORK_DIR}/old")
expect("empty has no TensorRT headers. Expected NvInferRuntime.h" "-DTensorRT_ROOT=${WORK_DIR}/empty")
expect("does not tell TensorRT's version" "-DTensorRT_ROOT=${WORK_DIR}/odd")

# The repository: nothing at that address, then files that are not the ones they should be.
set(fetch -DNMT_TRT_FETCH_TENSORRT_HEADERS=ON "-DTensorRT_ROOT=${WORK_DIR}/rtx"
          "-DNMT_TRT_TENSORRT_HEADERS_URL=file://${WORK_DIR}/repository")
expect("cannot download file://[^ ]*/include/NvInferImpl.h: .*Give headers with -DTensorRT_ROOT" ${fetch})
include("${SOURCE_DIR}/cmake/TensorRTHeaderSums.cmake")
file(WRITE "${WORK_DIR}/repository/${nmt_trt_header_commit_10.15}/include/NvInferImpl.h" "#error forged\n")
expect("NvInferImpl.h is not the file it should be: SHA-256 [0-9a-f]+, expected [0-9a-f]+" ${fetch})
if(EXISTS "${WORK_DIR}/tensorrt-headers/10.15/NvInferImpl.h")
  message(SEND_ERROR "the forged file was kept")
endif()
