/* The smallest real use from C99: a BF16 matrix-vector product on the CPU, checked. */
#include <glq.h>
#include <stdio.h>

static int Failed(const char* what, glq_status status) {
  glq_error_info info = GLQ_ERROR_INFO_INIT;
  glq_last_error(&info);
  fprintf(stderr, "%s: %s (%s)\n", what, glq_status_name(status), info.message ? info.message : "");
  return 1;
}

int main(void) {
  /* BF16 is the upper half of a float: 1, 2, 3, 4 are 3f80, 4000, 4040, 4080. */
  static uint16_t weights[6] = {0x3f80, 0x4000, 0x4040, 0x4080, 0x3f80, 0x4000}; /* [2, 3]: 1 2 3 / 4 1 2 */
  static uint16_t input[3] = {0x3f80, 0x4000, 0x4040};                           /* 1 2 3 */
  float output[2] = {0, 0};
  const int64_t weight_shape[2] = {2, 3};
  const int64_t input_shape[1] = {3};
  const int64_t output_shape[1] = {2};
  glq_context_desc desc = GLQ_CONTEXT_DESC_INIT;
  glq_context* context = NULL;
  glq_tensor* weight = NULL;
  glq_view w, x, y;
  glq_status status;

  if (glq_version() != GLQ_VERSION || glq_abi_version() != GLQ_ABI_VERSION) return Failed("version", GLQ_OK);
  if ((status = glq_context_create(&desc, &context)) != GLQ_OK) return Failed("glq_context_create", status);
  glq_view_init(&w, weights, GLQ_DTYPE_BF16, &desc.device, 2, weight_shape);
  glq_view_init(&x, input, GLQ_DTYPE_BF16, &desc.device, 1, input_shape);
  glq_view_init(&y, output, GLQ_DTYPE_F32, &desc.device, 1, output_shape);
  status = glq_tensor_create_copy(context, NULL, &w, &weight);
  if (status != GLQ_OK) return Failed("glq_tensor_create_copy", status);
  {
    /* So few columns need a little scratch at most; the size is asked for all the same. */
    static uint64_t storage[1024 + 32];
    glq_workspace workspace = {NULL, 0};
    workspace.data = (void*)(((uintptr_t)storage + 255) / 256 * 256);
    status = glq_gemv_bf16_workspace(context, weight, 1, NULL, &workspace.bytes);
    if (status != GLQ_OK) return Failed("glq_gemv_bf16_workspace", status);
    if (workspace.bytes > 1024 * sizeof(uint64_t)) return Failed("workspace size", GLQ_OK);
    status = glq_gemv_bf16(context, NULL, weight, &x, &y, &workspace, NULL);
    if (status != GLQ_OK) return Failed("glq_gemv_bf16", status);
  }
  glq_tensor_destroy(weight);
  glq_context_destroy(context);
  if (output[0] != 14.0f || output[1] != 12.0f) {
    fprintf(stderr, "got %g %g, expected 14 12\n", output[0], output[1]);
    return 1;
  }
  return 0;
}
