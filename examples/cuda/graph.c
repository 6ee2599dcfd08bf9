/*
 * A product captured in a CUDA graph and replayed with new inputs. After each replay the output is compared with
 * the CPU's, byte for byte. Ends with status 77 where there is no GPU.
 *
 *   cc graph.c $(pkg-config --cflags --libs glq) -I$CUDA/include -L$CUDA/lib64 -lcudart -o graph && ./graph
 */
#include <cuda_runtime.h>
#include <glq.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 4, IN = 1024, OUT = 768, REPLAYS = 8 };

static void check(glq_status status) {
  if (status == GLQ_OK) return;
  glq_error_info error = GLQ_ERROR_INFO_INIT;
  glq_last_error(&error);
  fprintf(stderr, "%s: %s: %s\n", error.function, glq_status_name(status), error.message);
  exit(1);
}

static void check_cuda(cudaError_t status) {
  if (status == cudaSuccess) return;
  fprintf(stderr, "CUDA: %s\n", cudaGetErrorString(status));
  exit(1);
}

static uint32_t next_random(void) {
  static uint64_t state = 1;
  return (uint32_t)((state = state * 6364136223846793005u + 1442695040888963407u) >> 32);
}

static glq_view tokens(const float* data, const glq_device* device, int64_t features) {
  const int64_t shape[2] = {TOKENS, features};
  glq_view view;
  check(glq_view_init(&view, data, GLQ_DTYPE_F32, device, 2, shape));
  return view;
}

int main(void) {
  glq_cuda_info cuda = GLQ_CUDA_INFO_INIT;
  check(glq_get_cuda_info(&cuda));
  if (cuda.status != GLQ_OK) return printf("no GPU to run on: %s\n", cuda.message), 77;
  glq_context *cpu = NULL, *gpu = NULL;
  glq_context_desc on_gpu = GLQ_CONTEXT_DESC_INIT;
  check(glq_device_parse("cuda:0", &on_gpu.device));
  check(glq_context_create(NULL, &cpu));
  check(glq_context_create(&on_gpu, &gpu));
  /* A weight of 2 bits from random codes; every packed code is a valid one. */
  static uint32_t codes[OUT * IN / 16];
  for (int i = 0; i < OUT * IN / 16; ++i) codes[i] = next_random();
  const int64_t packed[4] = {OUT / 16, IN / 64, 8, 4};
  glq_e8p_stage stage = {.codebook = GLQ_CODEBOOK_E8P, .cum_inv_scale = 1.0};
  check(glq_view_init(&stage.indices, codes, GLQ_DTYPE_I64, NULL, 4, packed));
  glq_e8p_desc desc = {sizeof desc, .in_features = IN, .out_features = OUT, .num_stages = 1, .weight_scale = 0.02};
  desc.stages = &stage;
  glq_tensor *on_cpu = NULL, *weight = NULL;
  cudaStream_t stream;
  check_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  check(glq_tensor_create_e8p(cpu, NULL, &desc, &on_cpu));
  check(glq_tensor_create_e8p(gpu, stream, &desc, &weight));
  static float expected[TOKENS * OUT];
  float *x, *device_x;
  const size_t x_bytes = TOKENS * IN * sizeof(float), y_bytes = TOKENS * OUT * sizeof(float);
  glq_workspace cpu_workspace, workspace;
  check(glq_fused_linear_e8p_workspace(cpu, on_cpu, TOKENS, NULL, &cpu_workspace.bytes));
  check(glq_fused_linear_e8p_workspace(gpu, weight, TOKENS, NULL, &workspace.bytes));
  check_cuda(cudaMallocHost(&cpu_workspace.data, cpu_workspace.bytes)); /* page-aligned */
  check_cuda(cudaMalloc(&workspace.data, workspace.bytes));
  check_cuda(cudaMalloc((void**)&device_x, x_bytes + y_bytes));
  check_cuda(cudaMallocHost((void**)&x, x_bytes + y_bytes));
  float *y = x + TOKENS * IN, *device_y = device_x + TOKENS * IN;
  const glq_view gx = tokens(device_x, &on_gpu.device, IN), gy = tokens(device_y, &on_gpu.device, OUT);
  const glq_view cx = tokens(x, NULL, IN), cy = tokens(expected, NULL, OUT);
  cudaGraph_t graph;
  cudaGraphExec_t replay;
  check_cuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  check_cuda(cudaMemcpyAsync(device_x, x, x_bytes, cudaMemcpyHostToDevice, stream));
  check(glq_fused_linear_e8p(gpu, stream, weight, &gx, &gy, &workspace, NULL));
  check_cuda(cudaMemcpyAsync(y, device_y, y_bytes, cudaMemcpyDeviceToHost, stream));
  check_cuda(cudaStreamEndCapture(stream, &graph));
  check_cuda(cudaGraphInstantiate(&replay, graph, 0));
  int different = 0;
  for (int i = 0; i < REPLAYS; ++i) {
    for (int k = 0; k < TOKENS * IN; ++k) x[k] = (float)((int)(next_random() & 0xFFFF) - 0x8000) / 0x4000;
    check_cuda(cudaGraphLaunch(replay, stream));
    check(glq_fused_linear_e8p(cpu, NULL, on_cpu, &cx, &cy, &cpu_workspace, NULL)); /* meanwhile */
    check_cuda(cudaStreamSynchronize(stream));
    different += memcmp(y, expected, y_bytes) != 0;
  }
  printf("%d replays, %d differ from the CPU\n", REPLAYS, different);
  check_cuda(cudaGraphExecDestroy(replay));
  glq_tensor_destroy(weight); /* not earlier: a graph that can be replayed needs it */
  glq_tensor_destroy(on_cpu);
  glq_context_destroy(gpu);
  glq_context_destroy(cpu);
  return different != 0;
}
