using System;
using System.Collections.Generic;
using Glq.Interop;

namespace Glq
{
    /// <summary>Properties of a device.</summary>
    public sealed unsafe class DeviceInfo
    {
        internal DeviceInfo(Device device)
        {
            GlqLibrary.Load();
            var info = new glq_device_info { struct_size = (uint)sizeof(glq_device_info) };
            glq_device native = device.Native;
            GlqException.Check(NativeMethods.glq_device_get_info(&native, &info));
            Device = new Device((DeviceType)info.type, info.index);
            Name = Utf8.Read(info.name);
            Detail = Utf8.Read(info.detail);
            ComputeCapability = info.compute_capability;
            Multiprocessors = info.multiprocessors;
            MaxSharedMemory = info.max_shared_memory;
            TotalMemory = info.total_memory;
            FreeMemory = info.free_memory;
            L2Cache = info.l2_cache;
        }

        /// <summary>Which device.</summary>
        public Device Device { get; }

        /// <summary>Its name.</summary>
        public string Name { get; }

        /// <summary>CUDA: PCI id. CPU: the SIMD target in use.</summary>
        public string Detail { get; }

        /// <summary>CUDA: major * 10 + minor. CPU: 0.</summary>
        public int ComputeCapability { get; }

        /// <summary>CUDA: streaming multiprocessors. CPU: logical processors this process may use.</summary>
        public int Multiprocessors { get; }

        /// <summary>CUDA: bytes of shared memory a block can opt in to. CPU: 0.</summary>
        public int MaxSharedMemory { get; }

        /// <summary>Bytes of memory.</summary>
        public long TotalMemory { get; }

        /// <summary>Bytes free at this moment, an estimate.</summary>
        public long FreeMemory { get; }

        /// <summary>CUDA: bytes of L2 cache. CPU: 0.</summary>
        public long L2Cache { get; }
    }

    /// <summary>Whether CUDA is usable and, if not, why.</summary>
    public sealed unsafe class CudaInfo
    {
        private CudaInfo(glq_cuda_info info)
        {
            Status = (Status)info.status;
            DeviceCount = info.device_count;
            DriverVersion = info.driver_version;
            RuntimeVersion = info.runtime_version;
            Message = Utf8.Read(info.message);
            Architectures = Utf8.Read(info.architectures);
        }

        /// <summary>Whether at least one device can be used.</summary>
        public bool IsUsable => Status == Status.Ok;

        /// <summary>Ok, or the reason.</summary>
        public Status Status { get; }

        /// <summary>Devices the driver reports.</summary>
        public int DeviceCount { get; }

        /// <summary>13000 is 13.0; 0 without a driver.</summary>
        public int DriverVersion { get; }

        /// <summary>CUDA runtime in the library; 0 in a CPU-only build.</summary>
        public int RuntimeVersion { get; }

        /// <summary>One sentence.</summary>
        public string Message { get; }

        /// <summary>GPU code in the library.</summary>
        public string Architectures { get; }

        /// <summary>Asks the library. Never fails for want of CUDA.</summary>
        public static CudaInfo Get()
        {
            GlqLibrary.Load();
            var info = new glq_cuda_info { struct_size = (uint)sizeof(glq_cuda_info) };
            GlqException.Check(NativeMethods.glq_get_cuda_info(&info));
            return new CudaInfo(info);
        }
    }

    /// <summary>What a context found and holds.</summary>
    public sealed unsafe class ContextInfo
    {
        internal ContextInfo(glq_context_info info)
        {
            Device = new Device((DeviceType)info.device.type, info.device.index);
            Flags = (ContextFlags)info.flags;
            Threads = info.num_threads;
            CublasLtVersion = info.cublaslt_version;
            HostBytes = info.host_bytes;
            DeviceBytes = info.device_bytes;
            CublasLtMessage = Utf8.Read(info.cublaslt_message);
        }

        /// <summary>Its device.</summary>
        public Device Device { get; }

        /// <summary>Flags it was made with.</summary>
        public ContextFlags Flags { get; }

        /// <summary>Pieces into which CPU work is cut at most.</summary>
        public int Threads { get; }

        /// <summary>0 if cuBLASLt was not found.</summary>
        public int CublasLtVersion { get; }

        /// <summary>Host memory held by the context's objects.</summary>
        public long HostBytes { get; }

        /// <summary>Device memory held by the context's objects.</summary>
        public long DeviceBytes { get; }

        /// <summary>Where cuBLASLt was found, or each place tried.</summary>
        public string CublasLtMessage { get; }
    }

    /// <summary>Whether and how an operation would run.</summary>
    public sealed unsafe class OpSupport
    {
        internal OpSupport(glq_op_support_info info)
        {
            Status = (Status)info.status;
            WorkspaceBytes = (long)info.workspace_bytes;
            FastAlignment = (int)info.fast_alignment;
            Path = Utf8.Read(info.path);
            Reason = Utf8.Read(info.reason);
        }

        /// <summary>Whether a call with these properties would be accepted.</summary>
        public bool IsSupported => Status == Status.Ok;

        /// <summary>What a call would return.</summary>
        public Status Status { get; }

        /// <summary>Enough for the tokens asked about and fewer.</summary>
        public long WorkspaceBytes { get; }

        /// <summary>Alignment in bytes of x, y and their rows for the fastest path.</summary>
        public int FastAlignment { get; }

        /// <summary>Name of the code path.</summary>
        public string Path { get; }

        /// <summary>Empty if supported, else one sentence.</summary>
        public string Reason { get; }
    }

    /// <summary>What an E8P weight is.</summary>
    /// <remarks>Output features can be cut between two entries of <see cref="OutBlocks"/>, input features between two
    /// of <see cref="InBlocks"/>; inside a block a rotation mixes all features.</remarks>
    public sealed unsafe class E8PInfo
    {
        internal E8PInfo(glq_e8p_info info)
        {
            Bits = info.bits;
            InFeatures = info.in_features;
            OutFeatures = info.out_features;
            PaddedIn = info.padded_in;
            PaddedOut = info.padded_out;
            WeightScale = info.weight_scale;
            var scales = new double[info.num_stages];
            var codebooks = new Codebook[info.num_stages];
            for (int stage = 0; stage < info.num_stages; ++stage)
            {
                scales[stage] = info.cum_inv_scale[stage];
                codebooks[stage] = (Codebook)info.codebook[stage];
            }
            CumInvScale = Array.AsReadOnly(scales);
            Codebooks = Array.AsReadOnly(codebooks);
            HasSv = info.has_sv != 0;
            HasSu = info.has_su != 0;
            BiasDType = (DType)info.bias_dtype;
            InBlocks = Copy(info.in_blocks, info.num_in_blocks);
            OutBlocks = Copy(info.out_blocks, info.num_out_blocks);
            InputTransformId = info.input_transform_id;
        }

        /// <summary>2 to 8.</summary>
        public int Bits { get; }

        /// <summary>Columns of W.</summary>
        public long InFeatures { get; }

        /// <summary>Rows of W.</summary>
        public long OutFeatures { get; }

        /// <summary>Columns of the rotated matrix.</summary>
        public long PaddedIn { get; }

        /// <summary>Rows of the rotated matrix.</summary>
        public long PaddedOut { get; }

        /// <summary>As given.</summary>
        public double WeightScale { get; }

        /// <summary>Scale of each stage, as given.</summary>
        public IReadOnlyList<double> CumInvScale { get; }

        /// <summary>Codebook of each stage.</summary>
        public IReadOnlyList<Codebook> Codebooks { get; }

        /// <summary>Whether an SV vector was given.</summary>
        public bool HasSv { get; }

        /// <summary>Whether an SU vector was given.</summary>
        public bool HasSu { get; }

        /// <summary>Type of the bias as given; None if there is none.</summary>
        public DType BiasDType { get; }

        /// <summary>Hadamard blocks of the input side.</summary>
        public IReadOnlyList<long> InBlocks { get; }

        /// <summary>Hadamard blocks of the output side.</summary>
        public IReadOnlyList<long> OutBlocks { get; }

        /// <summary>Weights of one context that share the input transform have equal values.</summary>
        public ulong InputTransformId { get; }

        /// <summary>Bytes of all packed codes.</summary>
        public long PackedBytes => PaddedIn * PaddedOut * Bits / 8;

        private static IReadOnlyList<long> Copy(long* from, int count)
        {
            var to = new long[count];
            for (int i = 0; i < count; ++i)
            {
                to[i] = from[i];
            }
            return Array.AsReadOnly(to);
        }
    }
}
