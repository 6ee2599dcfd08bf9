/* Structs that never change: their layout is part of every compiled caller. */
#include <glq.h>

#define PIN_SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type " is frozen at " #bytes " bytes")
#define PIN_FIELD(type, field, bytes) _Static_assert(offsetof(type, field) == (bytes), #type "." #field " has moved")

_Static_assert(sizeof(void*) == 8 && sizeof(size_t) == 8, "64-bit targets only");

PIN_SIZE(glq_device, 8);
PIN_FIELD(glq_device, type, 0);
PIN_FIELD(glq_device, index, 4);

PIN_SIZE(glq_view, 96);
PIN_FIELD(glq_view, data, 0);
PIN_FIELD(glq_view, shape, 8);
PIN_FIELD(glq_view, strides, 40);
PIN_FIELD(glq_view, dtype, 72);
PIN_FIELD(glq_view, ndim, 76);
PIN_FIELD(glq_view, device, 80);
PIN_FIELD(glq_view, flags, 88);
PIN_FIELD(glq_view, reserved, 92);

PIN_SIZE(glq_workspace, 16);
PIN_FIELD(glq_workspace, data, 0);
PIN_FIELD(glq_workspace, bytes, 8);

PIN_SIZE(glq_allocator, 24);
PIN_SIZE(glq_logger, 24);
PIN_SIZE(glq_threading, 24);

/* A struct that grows starts with its size. */
PIN_FIELD(glq_error_info, struct_size, 0);
PIN_FIELD(glq_cuda_info, struct_size, 0);
PIN_FIELD(glq_device_info, struct_size, 0);
PIN_FIELD(glq_context_desc, struct_size, 0);
PIN_FIELD(glq_context_info, struct_size, 0);
PIN_FIELD(glq_op_query, struct_size, 0);
PIN_FIELD(glq_op_support_info, struct_size, 0);
PIN_FIELD(glq_tensor_info, struct_size, 0);
PIN_FIELD(glq_e8p_desc, struct_size, 0);
PIN_FIELD(glq_e8p_info, struct_size, 0);
PIN_FIELD(glq_e8p_parts, struct_size, 0);
PIN_FIELD(glq_launch_opts, struct_size, 0);
PIN_FIELD(glq_quantizer_desc, struct_size, 0);
PIN_FIELD(glq_quantizer_report, struct_size, 0);

/* A data type is the DLPack triple in one integer. */
_Static_assert(GLQ_DTYPE_F16 == (2 | 16 << 8 | 1 << 16), "kDLFloat, 16 bits, 1 lane");
_Static_assert(GLQ_DTYPE_BF16 == (4 | 16 << 8 | 1 << 16), "kDLBfloat, 16 bits, 1 lane");
_Static_assert(GLQ_DEVICE_CPU == 1 && GLQ_DEVICE_CUDA == 2, "DLPack's device types");
