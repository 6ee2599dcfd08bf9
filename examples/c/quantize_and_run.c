/*
 * Quantizes a layer with calibration data, runs it and compares it with the layer it was made from.
 *
 *   cc -std=c99 -O2 quantize_and_run.c $(pkg-config --cflags --libs glq) -lm -o quantize_and_run && ./quantize_and_run
 */
#define _POSIX_C_SOURCE 200112L /* posix_memalign */
#include <glq.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { TOKENS = 1024, TRY = 16, IN = 192, OUT = 256 };

static void check(glq_status status) {
  if (status == GLQ_OK) return;
  glq_error_info error = GLQ_ERROR_INFO_INIT;
  glq_last_error(&error);
  fprintf(stderr, "%s: %s: %s\n", error.function, glq_status_name(status), error.message);
  exit(1);
}

static float next_random(void) { /* roughly normal: a sum of four uniform numbers */
  static uint32_t state = 1;
  float sum = 0;
  for (int i = 0; i < 4; ++i) sum += (float)((state = state * 1664525u + 1013904223u) >> 8) / 16777216 - 0.5f;
  return sum * 1.7320508f;
}

static glq_view matrix(const float* data, int64_t rows, int64_t cols) {
  const int64_t shape[2] = {rows, cols};
  glq_view view;
  check(glq_view_init(&view, data, GLQ_DTYPE_F32, NULL, 2, shape));
  return view;
}

/* y = x W^T in double, and how far `result` is from it: |y|^2 / |y - result|^2 in dB. */
static double sqnr_of_output(const float* x, const float* w, const float* result) {
  double signal = 0, noise = 0;
  for (int i = 0; i < TRY * OUT; ++i) {
    double y = 0;
    for (int k = 0; k < IN; ++k) y += (double)x[i / OUT * IN + k] * w[i % OUT * IN + k];
    signal += y * y;
    noise += (y - result[i]) * (y - result[i]);
  }
  return 10 * log10(signal / noise);
}

static int32_t print_progress(void* user, int64_t done, int64_t total, const char* phase) {
  if (*(const int*)user) fprintf(stderr, "\r%-12s %3d %%", phase, (int)(100 * done / (total ? total : 1)));
  return 0; /* anything else would stop the run; it could be continued later */
}

int main(int argc, char** argv) {
  (void)argv;
  int show_progress = argc > 1;
  static float w[OUT * IN], x[TOKENS * IN], y[TRY * OUT];
  for (int i = 0; i < OUT * IN; ++i) w[i] = next_random();
  for (int t = 0; t < TOKENS; ++t) /* neighbouring features are correlated, as in real networks */
    for (int k = 0; k < IN; ++k) x[t * IN + k] = (k ? 0.8f * x[t * IN + k - 1] : 0) + next_random();

  glq_context* ctx = NULL;
  check(glq_context_create(NULL, &ctx));
  const glq_view w_view = matrix(w, OUT, IN), x_view = matrix(x, TRY, IN), y_view = matrix(y, TRY, OUT);
  int failed = 0;
  for (int32_t bits = 2; bits <= 4; ++bits) {
    glq_quantizer_desc desc = GLQ_QUANTIZER_DESC_INIT;
    desc.in_features = IN;
    desc.out_features = OUT;
    desc.bits = bits;
    desc.refine_passes = 2;
    glq_quantizer* quantizer = NULL;
    check(glq_quantizer_create(ctx, &desc, &quantizer));
    for (int t = 0; t < TOKENS; t += TOKENS / 4) { /* as many batches as you like */
      const glq_view batch = matrix(x + t * IN, TOKENS / 4, IN);
      check(glq_quantizer_add_batch(quantizer, &batch));
    }
    glq_tensor* weight = NULL;
    check(glq_quantizer_run(quantizer, NULL, &w_view, NULL, print_progress, &show_progress, &weight));
    glq_quantizer_report report = GLQ_QUANTIZER_REPORT_INIT;
    check(glq_quantizer_get_report(quantizer, &report));

    glq_workspace workspace = {NULL, 0};
    check(glq_fused_linear_e8p_workspace(ctx, weight, TRY, NULL, &workspace.bytes));
    if (posix_memalign(&workspace.data, GLQ_WORKSPACE_ALIGNMENT, workspace.bytes)) return 1;
    check(glq_fused_linear_e8p(ctx, NULL, weight, &x_view, &y_view, &workspace, NULL));
    const double output = sqnr_of_output(x, w, y), least = 6.0 * bits;
    printf("bits=%d weight_sqnr_db=%.2f output_sqnr_db=%.2f\n", (int)bits, report.sqnr_db, output);
    failed |= !(output > least);
    free(workspace.data);
    glq_tensor_destroy(weight);
    glq_quantizer_destroy(quantizer);
  }
  glq_context_destroy(ctx);
  return failed;
}
