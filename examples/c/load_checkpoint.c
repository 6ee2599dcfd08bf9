/*
 * Opens a checkpoint, creates each of its E8P layers, runs it, and checks the result: each token alone gives the
 * same bytes as in the batch, and the expanded weight gives nearly the same numbers.
 *
 *   cc -std=c99 -O2 load_checkpoint.c $(pkg-config --cflags --libs glq) -lm -o load_checkpoint &&
 *   ./load_checkpoint ../../tests/data/golden/ckpt_e8p_blockdiag
 */
#define _POSIX_C_SOURCE 200112L /* posix_memalign */
#include <glq.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 5 };

static void check(glq_status status) {
  if (status == GLQ_OK) return;
  glq_error_info error = GLQ_ERROR_INFO_INIT;
  glq_last_error(&error);
  fprintf(stderr, "%s: %s: %s\n", error.function, glq_status_name(status), error.message);
  exit(1);
}

static glq_view new_matrix(int64_t rows, int64_t cols) {
  const int64_t shape[2] = {rows, cols};
  glq_view view;
  float* data = calloc((size_t)(rows * cols), sizeof *data);
  if (!data) exit(1);
  check(glq_view_init(&view, data, GLQ_DTYPE_F32, NULL, 2, shape));
  return view;
}

/* |y - x W^T| / |x W^T + bias| with the expanded weight; the bias is what the layer makes of x = 0. */
static double difference(const glq_view* x, const glq_view* w, const glq_view* bias, const glq_view* y) {
  const int64_t in = w->shape[1], out = w->shape[0];
  const float *xs = x->data, *ws = w->data, *bs = bias->data, *ys = y->data;
  double error = 0, norm = 0;
  for (int64_t i = 0; i < TOKENS * out; ++i) {
    double sum = bs[i % out];
    for (int64_t k = 0; k < in; ++k) sum += (double)xs[i / out * in + k] * ws[i % out * in + k];
    error += (ys[i] - sum) * (ys[i] - sum);
    norm += sum * sum;
  }
  return sqrt(error / norm);
}

int main(int argc, char** argv) {
  if (argc != 2) return fprintf(stderr, "usage: load_checkpoint PATH\n"), 2;
  glq_context* ctx;
  glq_checkpoint* file;
  int64_t layers, failed = 0;
  check(glq_context_create(NULL, &ctx));
  check(glq_checkpoint_open(argv[1], &file));
  check(glq_checkpoint_layer_count(file, &layers));
  for (int64_t layer = 0; layer < layers; ++layer) {
    const char* name;
    glq_e8p_desc desc = GLQ_E8P_DESC_INIT;
    glq_e8p_info info = GLQ_E8P_INFO_INIT;
    glq_tensor* weight;
    check(glq_checkpoint_layer_name(file, layer, &name));
    check(glq_checkpoint_layer(file, name, &desc));
    check(glq_tensor_create_e8p(ctx, NULL, &desc, &weight));
    check(glq_e8p_get_info(weight, &info));
    const int64_t in = info.in_features, out = info.out_features;
    const glq_view x = new_matrix(TOKENS, in), zero = new_matrix(1, in), bias = new_matrix(1, out);
    const glq_view y = new_matrix(TOKENS, out), alone = new_matrix(TOKENS, out), w = new_matrix(out, in);
    for (int64_t i = 0; i < TOKENS * in; ++i) ((float*)x.data)[i] = (float)sin(0.7 * (double)i);

    size_t need[2]; /* one workspace serves calls that follow one another */
    check(glq_fused_linear_e8p_workspace(ctx, weight, TOKENS, NULL, &need[0]));
    check(glq_dequantize_workspace(ctx, weight, NULL, &need[1]));
    glq_workspace workspace = {NULL, need[0] > need[1] ? need[0] : need[1]};
    if (posix_memalign(&workspace.data, GLQ_WORKSPACE_ALIGNMENT, workspace.bytes)) return 1;
    check(glq_fused_linear_e8p(ctx, NULL, weight, &x, &y, &workspace, NULL));
    check(glq_fused_linear_e8p(ctx, NULL, weight, &zero, &bias, &workspace, NULL));
    for (int64_t t = 0; t < TOKENS; ++t) {
      glq_view row_x = x, row_y = alone;
      row_x.shape[0] = row_y.shape[0] = 1;
      row_x.data = (float*)x.data + t * in;
      row_y.data = (float*)alone.data + t * out;
      check(glq_fused_linear_e8p(ctx, NULL, weight, &row_x, &row_y, &workspace, NULL));
    }
    check(glq_dequantize(ctx, NULL, weight, &w, &workspace, NULL));
    const double error = difference(&x, &w, &bias, &y);
    const int same = !memcmp(y.data, alone.data, (size_t)(TOKENS * out) * sizeof(float));
    printf("%s: %" PRId32 " bits, %" PRId64 " x %" PRId64 ", alone %s, expanded %.1e\n", name, info.bits, out, in,
           same ? "equal" : "DIFFER", error);
    failed += !same || !(error < 1e-4);
    const glq_view* all[] = {&x, &zero, &y, &bias, &w, &alone};
    for (size_t i = 0; i < sizeof all / sizeof *all; ++i) free(all[i]->data);
    free(workspace.data);
    glq_tensor_destroy(weight);
  }
  glq_checkpoint_destroy(file);
  glq_context_destroy(ctx);
  return layers == 0 || failed;
}
