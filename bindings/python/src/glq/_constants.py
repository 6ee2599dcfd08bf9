"""The constants of the C header. Made from include/glq.h by bindings/generate.py; do not edit."""

from typing import Final

GLQ_VERSION_MAJOR: Final = 0
"""Version of this header: major."""
GLQ_VERSION_MINOR: Final = 1
"""Version of this header: minor."""
GLQ_VERSION_PATCH: Final = 0
"""Version of this header: patch."""
GLQ_VERSION: Final = 1000
"""Version of this header as one number: major * 1000000 + minor * 1000 + patch."""
GLQ_ABI_VERSION: Final = 0
"""Version of the binary interface."""
GLQ_MAX_NDIM: Final = 4
"""Largest rank of a glq_view."""
GLQ_WORKSPACE_ALIGNMENT: Final = 256
"""Alignment in bytes that glq_workspace::data must have."""
GLQ_E8P_MAX_STAGES: Final = 4
"""Largest number of stages of a weight."""
GLQ_E8P_MAX_DIM: Final = 1048576
"""Largest padded dimension of a weight."""
GLQ_E8P_MAX_GROUP: Final = 8
"""Largest number of weights in a group call."""
GLQ_GEMV_MAX_TOKENS: Final = 16
"""Largest number of rows of x in glq_gemv_bf16()."""
GLQ_OK: Final = 0
"""Success."""
GLQ_E_INVALID_ARGUMENT: Final = 100
"""Null pointer, unknown constant or value out of range."""
GLQ_E_SHAPE: Final = 101
"""Rank or extent does not fit."""
GLQ_E_DTYPE: Final = 102
"""Data type is not accepted here."""
GLQ_E_LAYOUT: Final = 103
"""Strides are not accepted here."""
GLQ_E_ALIGNMENT: Final = 104
"""Pointer is not aligned to its element (or the stated) size."""
GLQ_E_DEVICE_MISMATCH: Final = 105
"""Memory or handle belongs to another device."""
GLQ_E_STRUCT_SIZE: Final = 106
"""`struct_size` is too small, or an unknown field is set."""
GLQ_E_ALIASING: Final = 107
"""An output overlaps an input, an output or the workspace. Two views overlap if they share an element. Column slices of one row-strided buffer (equal row strides) do not overlap, so the outputs of a group may be column ranges of one matrix."""
GLQ_E_BAD_HANDLE: Final = 108
"""Not a live handle of the expected kind. Detection is best effort; using a destroyed handle is undefined."""
GLQ_E_NOT_FINITE: Final = 109
"""A scale or matrix holds NaN or infinity."""
GLQ_E_BAD_FILE: Final = 110
"""A file or saved state is truncated, malformed or inconsistent."""
GLQ_E_NOT_FOUND: Final = 111
"""No entry of that name or index."""
GLQ_E_WRONG_STATE: Final = 112
"""The object is not in a state that allows this call."""
GLQ_E_UNSUPPORTED: Final = 200
"""Valid, but not implemented for this combination."""
GLQ_E_UNSUPPORTED_ARCH: Final = 201
"""No kernel image for this GPU."""
GLQ_E_UNSUPPORTED_BUILD: Final = 202
"""This library was built without the needed part."""
GLQ_E_UNSUPPORTED_WHILE_CAPTURING: Final = 203
"""Not allowed while the stream captures a graph."""
GLQ_E_OUT_OF_HOST_MEMORY: Final = 300
"""A host allocation failed."""
GLQ_E_OUT_OF_DEVICE_MEMORY: Final = 301
"""A device allocation failed."""
GLQ_E_WORKSPACE_TOO_SMALL: Final = 302
"""The workspace is smaller than the workspace query says."""
GLQ_E_BUFFER_TOO_SMALL: Final = 303
"""An output buffer is too small; the needed size was written."""
GLQ_E_IO: Final = 304
"""The operating system refused a file operation."""
GLQ_E_NO_DEVICE: Final = 400
"""No such device."""
GLQ_E_NO_DRIVER: Final = 401
"""No NVIDIA driver is present."""
GLQ_E_DRIVER_TOO_OLD: Final = 402
"""The driver is older than the CUDA runtime needs."""
GLQ_E_LIBRARY_NOT_FOUND: Final = 403
"""Reserved: no function returns it. What needs an optional library does without (glq_context_info::cublaslt_message)."""
GLQ_E_CUDA: Final = 404
"""A CUDA call failed; see glq_error_info::native_code."""
GLQ_E_CUBLAS: Final = 405
"""A cuBLASLt call failed; see glq_error_info::native_code."""
GLQ_E_DEVICE_LOST: Final = 406
"""The CUDA context is unusable after an earlier fault or a reset."""
GLQ_E_INTERNAL: Final = 500
"""A defect of the library. Please report it."""
GLQ_E_CANCELLED: Final = 501
"""A callback asked to stop."""
GLQ_E_NUMERIC: Final = 502
"""A matrix cannot be factorised even after damping."""
GLQ_DTYPE_I8: Final = 67584
"""8-bit signed integer."""
GLQ_DTYPE_I16: Final = 69632
"""16-bit signed integer."""
GLQ_DTYPE_I32: Final = 73728
"""32-bit signed integer."""
GLQ_DTYPE_I64: Final = 81920
"""64-bit signed integer."""
GLQ_DTYPE_U8: Final = 67585
"""8-bit unsigned integer."""
GLQ_DTYPE_U16: Final = 69633
"""16-bit unsigned integer."""
GLQ_DTYPE_F16: Final = 69634
"""IEEE binary16."""
GLQ_DTYPE_F32: Final = 73730
"""IEEE binary32."""
GLQ_DTYPE_F64: Final = 81922
"""IEEE binary64."""
GLQ_DTYPE_BF16: Final = 69636
"""bfloat16."""
GLQ_DEVICE_CPU: Final = 1
"""Host memory. The index is 0."""
GLQ_DEVICE_CUDA: Final = 2
"""Memory of a CUDA device. The index follows `CUDA_VISIBLE_DEVICES`."""
GLQ_VIEW_READ_ONLY: Final = 1
"""The memory must not be written; rejected where an output is expected."""
GLQ_NATIVE_NONE: Final = 0
"""`native_code` is meaningless."""
GLQ_NATIVE_CUDA: Final = 1
"""`native_code` is a `cudaError_t`."""
GLQ_NATIVE_CUBLAS: Final = 2
"""`native_code` is a `cublasStatus_t`."""
GLQ_NATIVE_OS: Final = 3
"""`native_code` is an `errno`."""
GLQ_MATH_EXACT: Final = 0
"""The exact contract: same bytes on every device and for every batch size."""
GLQ_MATH_FP16_EXPANDED: Final = 1
"""May use an FP16 matrix product for large batches, of the weight decoded or expanded to FP16: same bytes in every run on one device with one cuBLASLt, close to but not equal to GLQ_MATH_EXACT; a row's may depend on the number of rows. Where it is not expected to be faster it is GLQ_MATH_EXACT."""
GLQ_MEMORY_HOST: Final = 1
"""Ordinary host memory."""
GLQ_MEMORY_CUDA: Final = 2
"""Memory of the context's CUDA device."""
GLQ_LOG_ERROR: Final = 1
"""A call failed."""
GLQ_LOG_WARNING: Final = 2
"""Something is slower or weaker than it could be."""
GLQ_LOG_INFO: Final = 3
"""Created and destroyed objects, libraries found."""
GLQ_LOG_DEBUG: Final = 4
"""The plan of every operation."""
GLQ_CONTEXT_LAZY: Final = 1
"""CUDA: load fewer kernels at creation. The first call that needs one of the others loads it and takes longer by that; it must not be captured, which is not checked."""
GLQ_CONTEXT_SYNC_EACH_CALL: Final = 2
"""Debugging: every CUDA operation synchronises its stream and reports faults at once. Refused during capture."""
GLQ_OP_FUSED_LINEAR_E8P: Final = 1
"""glq_fused_linear_e8p() and its group form."""
GLQ_OP_RHT_INPUT: Final = 2
"""glq_rht_input()."""
GLQ_OP_RHT_OUTPUT: Final = 3
"""glq_rht_output()."""
GLQ_OP_MATMUL_E8P: Final = 4
"""glq_matmul_e8p()."""
GLQ_OP_DECODE_E8P: Final = 5
"""glq_decode_e8p()."""
GLQ_OP_DEQUANTIZE: Final = 6
"""glq_dequantize()."""
GLQ_OP_GEMV_BF16: Final = 7
"""glq_gemv_bf16()."""
GLQ_ENCODING_DENSE: Final = 1
"""Plain elements of a glq_dtype."""
GLQ_ENCODING_E8P: Final = 2
"""E8P codes with residual stages; see e8p.h."""
GLQ_CODEBOOK_E8P: Final = 1
"""16-bit codes for 8 weights: 2 bits per weight."""
GLQ_CODEBOOK_E81B: Final = 2
"""8-bit codes for 8 weights: 1 bit per weight; only as the last stage."""
GLQ_QUANTIZER_POW2: Final = 1
"""Pad both dimensions to powers of two, the layout of old checkpoints. At least 16 rows and 64 columns have to come of it: out_features from 9, in_features from 33."""
GLQ_QUANTIZER_HAS_SEED: Final = 2
"""Use `seed`; otherwise 42, the seed of existing checkpoints."""
GLQ_QUANTIZER_SCALE_SPEC: Final = 0
"""The constants of existing checkpoints: 1.03, 3.45, 2.04."""
GLQ_QUANTIZER_SCALE_SEARCH: Final = 1
"""Choose the scales that lower the proxy loss; better at 4 bits and more."""
