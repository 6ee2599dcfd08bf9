using System;
using Glq.Interop;

namespace Glq
{
    /// <summary>A device: the CPU or one CUDA GPU.</summary>
    public readonly struct Device : IEquatable<Device>
    {
        /// <summary>Names a device, which need not exist.</summary>
        public Device(DeviceType type, int index)
        {
            Type = type;
            Index = index;
        }

        /// <summary>Host memory and processors.</summary>
        public static Device Cpu => new Device(DeviceType.Cpu, 0);

        /// <summary>The kind of device.</summary>
        public DeviceType Type { get; }

        /// <summary>0 for the CPU, the CUDA ordinal otherwise.</summary>
        public int Index { get; }

        internal glq_device Native => new glq_device { type = (int)Type, index = Index };

        /// <summary>A CUDA device; the index follows <c>CUDA_VISIBLE_DEVICES</c>.</summary>
        public static Device Cuda(int index = 0)
        {
            return new Device(DeviceType.Cuda, index);
        }

        /// <summary>Reads <c>cpu</c>, <c>cuda</c> (device 0) or <c>cuda:N</c>.</summary>
        public static unsafe Device Parse(string text)
        {
            GlqLibrary.Load();
            var device = default(glq_device);
            fixed (byte* bytes = Utf8.Bytes(text, nameof(text)))
            {
                GlqException.Check(NativeMethods.glq_device_parse(bytes, &device));
            }
            return new Device((DeviceType)device.type, device.index);
        }

        /// <summary>Number of usable devices of one type; 0 without driver or GPU.</summary>
        public static unsafe int Count(DeviceType type)
        {
            GlqLibrary.Load();
            int count;
            GlqException.Check(NativeMethods.glq_device_count((int)type, &count));
            return count;
        }

        /// <summary>Properties of the device.</summary>
        public DeviceInfo GetInfo()
        {
            return new DeviceInfo(this);
        }

        /// <inheritdoc/>
        public bool Equals(Device other)
        {
            return Type == other.Type && Index == other.Index;
        }

        /// <inheritdoc/>
        public override bool Equals(object obj)
        {
            return obj is Device && Equals((Device)obj);
        }

        /// <inheritdoc/>
        public override int GetHashCode()
        {
            return ((int)Type * 397) ^ Index;
        }

        /// <inheritdoc/>
        public override string ToString()
        {
            return Type == DeviceType.Cpu ? "cpu" : Type == DeviceType.Cuda ? "cuda:" + Index : Type + ":" + Index;
        }
    }

    /// <summary>A CUDA stream: a <c>cudaStream_t</c> or <c>CUstream</c>. The default value is CUDA's default stream,
    /// and the only one allowed on the CPU.</summary>
    public readonly struct CudaStream
    {
        /// <summary>Wraps the stream of another library.</summary>
        public CudaStream(IntPtr handle)
        {
            Handle = handle;
        }

        /// <summary>The <c>cudaStream_t</c>.</summary>
        public IntPtr Handle { get; }
    }
}
