// usage: PROGRAM [--golden=FOLDER] [--smoke] [--quiet] [GoogleTest's options]
//
//   --golden=FOLDER  where the golden arrays are (or GLQ_GOLDEN_DIR)
//   --smoke          only the cases whose names contain "Smoke" (or GLQ_TEST_SMALL=1): few launches of every kernel,
//                    for compute-sanitizer
//   --quiet          GoogleTest's output alone, and no CUDA call but those of the cases and the count of GPUs
//   GLQ_TEST_NO_LIBRARY=1   contexts without cuBLASLt
//   GLQ_TEST_LAZY=1         the common context is a lazy one (GLQ_CONTEXT_LAZY)
//
// Ends with 77 where there is no GPU, or with --smoke or --quiet no case to run.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "glq.h"

int main(int argc, char** argv) {
  bool smoke = std::getenv("GLQ_TEST_SMALL") != nullptr, quiet = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    if (arg.substr(0, 9) == "--golden=") setenv("GLQ_GOLDEN_DIR", argv[i] + 9, 1);
    smoke |= arg == "--smoke";
    quiet |= arg == "--quiet";
  }
  if (smoke) {
    setenv("GLQ_TEST_SMALL", "1", 1);
    ::testing::GTEST_FLAG(filter) = "*Smoke*";
  }
  ::testing::InitGoogleTest(&argc, argv);

  int32_t gpus = 0;
  if (glq_device_count(GLQ_DEVICE_CUDA, &gpus) != GLQ_OK || gpus == 0) {
    std::printf("skipped: there is no GPU\n");
    return 77;
  }
  glq_device_info info = GLQ_DEVICE_INFO_INIT;
  const glq_device device{GLQ_DEVICE_CUDA, 0};
  // Not asked in vain: it makes a context on the device.
  if (!quiet && glq_device_get_info(&device, &info) == GLQ_OK) {
    std::printf("%s, compute capability %d, %d multiprocessors\n", info.name, info.compute_capability,
                info.multiprocessors);
  }
  const auto start = std::chrono::steady_clock::now();
  const int result = RUN_ALL_TESTS();
  const ::testing::UnitTest& all = *::testing::UnitTest::GetInstance();
  if ((smoke || quiet) && all.test_to_run_count() == 0) {  // quiet: some case was to run by its name
    std::printf("skipped: there is no such case\n");
    return 77;
  }
  if (quiet) return result;
  std::printf("summary: %d passed, %d failed, %d skipped, %.1f s\n", all.successful_test_count(),
              all.failed_test_count(), all.skipped_test_count(),
              std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  return result;
}
