/*
 * What is loaded, which devices there are, and one product with a compressed weight on the CPU.
 *
 *   cc -std=c99 -O2 hello.c $(pkg-config --cflags --libs glq) -lm -o hello && ./hello
 */
#define _POSIX_C_SOURCE 200112L /* posix_memalign */
#include <glq.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { TOKENS = 3, IN = 512, OUT = 256 };

static void check(glq_status status) {
  if (status == GLQ_OK) return;
  glq_error_info error = GLQ_ERROR_INFO_INIT;
  glq_last_error(&error);
  fprintf(stderr, "%s: %s: %s\n", error.function, glq_status_name(status), error.message);
  exit(1);
}

static uint32_t next_random(void) { /* the same numbers on every machine */
  static uint32_t state = 1;
  state = state * 1664525u + 1013904223u;
  return state >> 16;
}

static glq_view host_view(const void* data, glq_dtype dtype, int32_t ndim, int64_t a, int64_t b, int64_t c, int64_t d) {
  const int64_t shape[4] = {a, b, c, d};
  glq_view view;
  check(glq_view_init(&view, data, dtype, NULL, ndim, shape));
  return view;
}

int main(void) {
  printf("%s\n", glq_build_info());
  glq_cuda_info cuda = GLQ_CUDA_INFO_INIT;
  check(glq_get_cuda_info(&cuda));
  printf("CUDA: %s\n", cuda.message);
  for (int32_t i = -1; i < cuda.device_count; ++i) {
    const glq_device device = {i < 0 ? GLQ_DEVICE_CPU : GLQ_DEVICE_CUDA, i < 0 ? 0 : i};
    glq_device_info info = GLQ_DEVICE_INFO_INIT;
    if (i >= 0 && cuda.status != GLQ_OK) break;
    check(glq_device_get_info(&device, &info));
    printf("device: %s (%s)\n", info.name, info.detail);
  }

  glq_context* ctx = NULL;
  check(glq_context_create(NULL, &ctx));

  /* A weight of 2 bits: each 16-bit code stands for eight weights. Checkpoints hold the codes packed. */
  static uint16_t codes[OUT * IN / 8];
  static int64_t packed[OUT * IN / 32];
  for (int i = 0; i < OUT * IN / 8; ++i) codes[i] = (uint16_t)next_random();
  const glq_view codes_view = host_view(codes, GLQ_DTYPE_U16, 2, OUT, IN / 8, 0, 0);
  glq_e8p_stage stage = {GLQ_CODEBOOK_E8P, 0, 1.0, host_view(packed, GLQ_DTYPE_I64, 4, OUT / 16, IN / 64, 8, 4)};
  check(glq_e8p_pack(ctx, NULL, GLQ_CODEBOOK_E8P, &codes_view, &stage.indices));
  const glq_e8p_desc desc = {.struct_size = sizeof desc,
                             .in_features = IN,
                             .out_features = OUT,
                             .num_stages = 1,
                             .weight_scale = 0.02,
                             .stages = &stage};
  glq_tensor* weight = NULL;
  check(glq_tensor_create_e8p(ctx, NULL, &desc, &weight));

  static float x[TOKENS * IN], y[TOKENS * OUT], w[OUT * IN];
  for (int i = 0; i < TOKENS * IN; ++i) x[i] = (float)((int)(next_random() & 255) - 128) / 64;
  const glq_view x_view = host_view(x, GLQ_DTYPE_F32, 2, TOKENS, IN, 0, 0);
  const glq_view y_view = host_view(y, GLQ_DTYPE_F32, 2, TOKENS, OUT, 0, 0);
  const glq_view w_view = host_view(w, GLQ_DTYPE_F32, 2, OUT, IN, 0, 0);
  size_t product = 0, expansion = 0;
  check(glq_fused_linear_e8p_workspace(ctx, weight, TOKENS, NULL, &product));
  check(glq_dequantize_workspace(ctx, weight, NULL, &expansion));
  glq_workspace workspace = {NULL, product > expansion ? product : expansion};
  if (posix_memalign(&workspace.data, GLQ_WORKSPACE_ALIGNMENT, workspace.bytes)) return 1;
  check(glq_fused_linear_e8p(ctx, NULL, weight, &x_view, &y_view, &workspace, NULL));

  /* The same with the weight expanded, which running it never needs. */
  check(glq_dequantize(ctx, NULL, weight, &w_view, &workspace, NULL));
  double error = 0, norm = 0;
  for (int i = 0; i < TOKENS * OUT; ++i) {
    double sum = 0;
    for (int k = 0; k < IN; ++k) sum += (double)x[i / OUT * IN + k] * w[i % OUT * IN + k];
    error += (y[i] - sum) * (y[i] - sum);
    norm += sum * sum;
  }
  error = sqrt(error / norm);
  printf("y[0] = %.9g, relative difference to the expanded weight: %.1e\n", (double)y[0], error);
  glq_tensor_destroy(weight);
  glq_context_destroy(ctx);
  free(workspace.data);
  return error < 1e-4 && y[0] == -0.528115988f ? 0 : 1; /* this very number, on every machine */
}
