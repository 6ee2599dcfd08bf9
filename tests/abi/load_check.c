/*
 * Loads the library the way a binding does and checks what must hold on every machine, one without an NVIDIA driver
 * included: loading resolves every symbol, does not touch the driver, and the CPU works.
 *
 * usage: load_check PATH_OF_LIBGLQ
 */
#include <dlfcn.h>
#include <glq.h>
#include <stdio.h>
#include <string.h>

static int failures = 0;

static void Check(int ok, const char* what) {
  if (!ok) {
    fprintf(stderr, "failed: %s\n", what);
    ++failures;
  }
}

static int Mapped(const char* name) {
  FILE* maps = fopen("/proc/self/maps", "r");
  char line[4096];
  int found = 0;
  if (!maps) return -1;
  while (fgets(line, sizeof line, maps))
    if (strstr(line, name)) found = 1;
  fclose(maps);
  return found;
}

/* Assigning through a void pointer's address is the POSIX way to get a function from dlsym in ISO C. */
#define GET(name)                              \
  *(void**)&p_##name = dlsym(library, #name);  \
  if (!p_##name) {                             \
    fprintf(stderr, "failed: no " #name "\n"); \
    return 1;                                  \
  }

int main(int argc, char** argv) {
  uint32_t (*p_glq_version)(void);
  uint32_t (*p_glq_abi_version)(void);
  const char* (*p_glq_build_info)(void);
  glq_status (*p_glq_get_cuda_info)(glq_cuda_info*);
  glq_status (*p_glq_device_count)(int32_t, int32_t*);
  glq_status (*p_glq_context_create)(const glq_context_desc*, glq_context**);
  void (*p_glq_context_destroy)(glq_context*);
  void* library;
  if (argc != 2) return 2;
  library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    fprintf(stderr, "failed: %s\n", dlerror());
    return 1;
  }
  Check(Mapped("libcuda.so") == 0, "loading the library does not load the driver");
  GET(glq_version)
  GET(glq_abi_version)
  GET(glq_build_info)
  GET(glq_get_cuda_info)
  GET(glq_device_count)
  GET(glq_context_create)
  GET(glq_context_destroy)

  Check(p_glq_version() == GLQ_VERSION, "the library has the header's version");
  Check(p_glq_abi_version() == GLQ_ABI_VERSION, "the library has the header's ABI version");
  Check(p_glq_build_info() && p_glq_build_info()[0], "the build describes itself");
  {
    glq_cuda_info info = GLQ_CUDA_INFO_INIT;
    int32_t cuda_devices = -1;
    Check(p_glq_get_cuda_info(&info) == GLQ_OK, "CUDA's state can be asked on every machine");
    Check(info.message && info.message[0], "CUDA's state comes with a sentence");
    Check((info.status == GLQ_OK) == (info.device_count > 0), "CUDA is usable exactly if there is a device");
    Check(p_glq_device_count(GLQ_DEVICE_CUDA, &cuda_devices) == GLQ_OK, "CUDA devices can be counted on every machine");
    Check(cuda_devices >= 0, "a number of CUDA devices");
    printf("%s\ncuda: %s\n", p_glq_build_info(), info.message);
  }
  {
    glq_context_desc desc = GLQ_CONTEXT_DESC_INIT;
    glq_context* context = NULL;
    Check(p_glq_context_create(&desc, &context) == GLQ_OK && context, "a CPU context");
    p_glq_context_destroy(context);
    p_glq_context_destroy(NULL);
  }
  return failures != 0;
}
