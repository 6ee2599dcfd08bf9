/* Time of a call from C: what a binding adds is measured against this. Output as run.py wants it. */
#include <glq.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { IN = 64, OUT = 16, CALLS = 20000, ROUNDS = 200 };

static void check(glq_status status) {
  if (status == GLQ_OK) return;
  glq_error_info error = GLQ_ERROR_INFO_INIT;
  glq_last_error(&error);
  fprintf(stderr, "%s: %s\n", error.function, error.message);
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static glq_view rows(const float* data, int64_t tokens, int64_t features) {
  const int64_t shape[2] = {tokens, features};
  glq_view view;
  check(glq_view_init(&view, data, GLQ_DTYPE_F32, NULL, 2, shape));
  return view;
}

int main(void) {
  static int64_t codes[IN * OUT / 32];
  static float x_data[IN], y_data[OUT];
  static _Alignas(GLQ_WORKSPACE_ALIGNMENT) unsigned char memory[1 << 16];
  const int64_t packed[4] = {OUT / 16, IN / 64, 8, 4};
  glq_context* context = NULL;
  glq_context_desc options = GLQ_CONTEXT_DESC_INIT;
  options.num_threads = 1;
  check(glq_context_create(&options, &context));
  glq_e8p_stage stage = {.codebook = GLQ_CODEBOOK_E8P, .cum_inv_scale = 1.0};
  check(glq_view_init(&stage.indices, codes, GLQ_DTYPE_I64, NULL, 4, packed));
  glq_e8p_desc desc = GLQ_E8P_DESC_INIT;
  desc.in_features = IN, desc.out_features = OUT, desc.num_stages = 1, desc.weight_scale = 1, desc.stages = &stage;
  glq_tensor* weight = NULL;
  check(glq_tensor_create_e8p(context, NULL, &desc, &weight));
  glq_workspace workspace = {memory, 0};
  check(glq_fused_linear_e8p_workspace(context, weight, 1, NULL, &workspace.bytes));
  if (workspace.bytes > sizeof memory) return 1;

  double best = 1e30;
  for (int round = 0; round < ROUNDS; ++round) {
    const double start = now();
    for (int i = 0; i < CALLS; ++i) (void)glq_abi_version();
    const double each = (now() - start) / CALLS;
    if (each < best) best = each;
  }
  printf("C\tglq_abi_version\t\t%.1f\n", best);
  for (int64_t tokens = 0; tokens <= 1; ++tokens) {
    const glq_view x = rows(x_data, tokens, IN), y = rows(y_data, tokens, OUT);
    best = 1e30;
    for (int round = 0; round < ROUNDS; ++round) {
      const double start = now();
      for (int i = 0; i < CALLS; ++i) check(glq_fused_linear_e8p(context, NULL, weight, &x, &y, &workspace, NULL));
      const double each = (now() - start) / CALLS;
      if (each < best) best = each;
    }
    printf("C\tglq_fused_linear_e8p\t%d\t%.1f\n", (int)tokens, best);
  }
  glq_tensor_destroy(weight);
  glq_context_destroy(context);
  return 0;
}
