using System;
using System.Runtime.InteropServices;
using Glq.Interop;

namespace Glq
{
    // How a view refers to managed memory: a span where the runtime has them, else an array.
    public readonly unsafe ref partial struct View
    {
#if NET8_0_OR_GREATER
        private View(glq_view native, Array array)
        {
            this.native = native;
            owner = null;
            byteOffset = 0;
            // Arrays are below 2^31 elements, but not always below 2^31 bytes, which is all a span of bytes can count.
            // Only its reference is used; lengths have been checked in elements.
            bytes = MemoryMarshal.CreateSpan(ref MemoryMarshal.GetArrayDataReference(array), array.Length == 0 ? 0 : 1);
        }

        private View(glq_view native, Span<byte> bytes)
        {
            this.native = native;
            owner = null;
            byteOffset = 0;
            this.bytes = bytes;
        }

        private View(glq_view native, SafeHandle owner)
        {
            this.native = native;
            this.owner = owner;
            byteOffset = 0;
            bytes = default;
        }

        private View(View other, glq_view native, long byteOffset)
        {
            this.native = native;
            owner = other.owner;
            this.byteOffset = byteOffset;
            bytes = other.bytes;
        }

        /// <summary>A span as one row.</summary>
        public static implicit operator View(Span<float> span) => Of(span);

        /// <summary>A span as one row.</summary>
        public static implicit operator View(Span<Half> span) => Of(span);

        /// <summary>A span as one row.</summary>
        public static implicit operator View(Span<BFloat16> span) => Of(span);

        /// <summary>A span as one row that is not written.</summary>
        public static implicit operator View(ReadOnlySpan<float> span) => Of(span);

        /// <summary>A span as one row that is not written.</summary>
        public static implicit operator View(ReadOnlySpan<Half> span) => Of(span);

        /// <summary>A span as one row that is not written.</summary>
        public static implicit operator View(ReadOnlySpan<BFloat16> span) => Of(span);

        /// <summary>The beginning of a span as a compact row-major array of this shape (none: one row).</summary>
        public static View Of<T>(Span<T> span, params long[] shape) where T : struct
        {
            return new View(Describe(DTypes.Of<T>(), shape, span.Length), First(span));
        }

        /// <summary>The beginning of a span as a compact row-major array of this shape (none: one row), not
        /// written.</summary>
        public static View Of<T>(ReadOnlySpan<T> span, params long[] shape) where T : struct
        {
            return Of(MemoryMarshal.CreateSpan(ref MemoryMarshal.GetReference(span), span.Length), shape).AsReadOnly();
        }

        /// <summary>The beginning of memory as a compact row-major array of this shape (none: one row).</summary>
        public static View Of<T>(Memory<T> memory, params long[] shape) where T : struct
        {
            return Of(memory.Span, shape);
        }

        /// <summary>The beginning of memory as a compact row-major array of this shape (none: one row), not
        /// written.</summary>
        public static View Of<T>(ReadOnlyMemory<T> memory, params long[] shape) where T : struct
        {
            return Of(memory.Span, shape);
        }

        /// <summary>The elements of a compact view of host memory, in row-major order, without a copy.</summary>
        /// <remarks>Of a tensor or checkpoint: valid only while that has not been disposed.</remarks>
        public ReadOnlySpan<T> AsSpan<T>() where T : struct
        {
            if (DTypes.Of<T>() != DType || native.device.type != Constants.GLQ_DEVICE_CPU || !IsCompact)
            {
                throw new GlqArgumentException(Status.Layout, "only a compact view of host memory of type "
                    + DTypes.Of<T>() + " is a span of " + typeof(T).Name);
            }
            if (native.data != null)
            {
                return new ReadOnlySpan<T>(native.data, checked((int)Count));
            }
            ref byte first = ref System.Runtime.CompilerServices.Unsafe.Add(ref MemoryMarshal.GetReference(bytes),
                                                                            (nint)byteOffset);
            return MemoryMarshal.CreateReadOnlySpan(ref System.Runtime.CompilerServices.Unsafe.As<byte, T>(ref first),
                                                    checked((int)Count));
        }

        /// <summary>What to pin during a call; see <see cref="At"/>.</summary>
        internal Span<byte> Bytes => bytes;

        /// <summary>Refers to a span of any length by its first byte.</summary>
        private static Span<byte> First<T>(Span<T> span) where T : struct
        {
            return span.IsEmpty ? default : MemoryMarshal.AsBytes(span.Slice(0, 1));
        }
#else
        private View(glq_view native, Array array)
        {
            this.native = native;
            owner = null;
            byteOffset = 0;
            this.array = array;
        }

        private View(glq_view native, SafeHandle owner)
        {
            this.native = native;
            this.owner = owner;
            byteOffset = 0;
            array = null;
        }

        private View(View other, glq_view native, long byteOffset)
        {
            this.native = native;
            owner = other.owner;
            this.byteOffset = byteOffset;
            array = other.array;
        }

        /// <summary>What to pin during a call; see <see cref="At"/>.</summary>
        internal byte[] Bytes
        {
            get
            {
                // Mono has the elements of all arrays of primitive values, whatever their rank, at one offset.
                var pun = default(ArrayPun);
                pun.Array = array;
                return pun.Bytes;
            }
        }

        [StructLayout(LayoutKind.Explicit)]
        private struct ArrayPun
        {
            [FieldOffset(0)]
            internal Array Array;

            [FieldOffset(0)]
            internal byte[] Bytes;
        }
#endif
    }
}
