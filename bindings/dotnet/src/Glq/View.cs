using System;
using System.Runtime.InteropServices;
using Glq.Interop;

namespace Glq
{
    /// <summary>A strided array in memory that stays the caller's: what operations read and write.</summary>
    /// <remarks>
    /// <para>Arrays convert by themselves: <c>float[]</c> is one row, <c>float[,]</c> is rows and columns. Arrays,
    /// spans and memory are pinned for the duration of a call only, so a view is free to make and need not be disposed;
    /// being a ref struct it cannot outlive a span.</para>
    /// <para>Memory behind a pointer (<see cref="FromPointer"/>) must stay valid until the work that uses it has
    /// finished; a view of a <see cref="Tensor"/> or <see cref="Checkpoint"/> keeps that alive.</para>
    /// </remarks>
    public readonly unsafe ref partial struct View
    {
        private readonly glq_view native;
        private readonly SafeHandle owner;
        private readonly long byteOffset;
#if NET8_0_OR_GREATER
        private readonly Span<byte> bytes;
#else
        private readonly Array array;
#endif

        /// <summary>Number of dimensions, at most 4.</summary>
        public int Rank => native.ndim;

        /// <summary>Type of the elements.</summary>
        public DType DType => (DType)native.dtype;

        /// <summary>Where the memory is.</summary>
        public Device Device => new Device((DeviceType)native.device.type, native.device.index);

        /// <summary>Whether it must not be written.</summary>
        public bool IsReadOnly => (native.flags & Constants.GLQ_VIEW_READ_ONLY) != 0;

        /// <summary>The extents.</summary>
        public long[] Shape
        {
            get
            {
                glq_view copy = native;
                var shape = new long[copy.ndim];
                for (int i = 0; i < shape.Length; ++i)
                {
                    shape[i] = copy.shape[i];
                }
                return shape;
            }
        }

        /// <summary>Number of elements.</summary>
        public long Count
        {
            get
            {
                glq_view copy = native;
                long count = 1;
                for (int i = 0; i < copy.ndim; ++i)
                {
                    count *= copy.shape[i];
                }
                return count;
            }
        }

        /// <summary>Rows, where all dimensions but the last count: 1 for a single row.</summary>
        internal long Tokens
        {
            get
            {
                glq_view copy = native;
                return copy.ndim >= 2 ? copy.shape[0] : 1;
            }
        }

        /// <summary>An array as one row.</summary>
        public static implicit operator View(float[] array) => OfArray(array, DType.F32);

        /// <summary>An array as one row.</summary>
        public static implicit operator View(double[] array) => OfArray(array, DType.F64);

        /// <summary>An array as one row.</summary>
        public static implicit operator View(Half[] array) => OfArray(array, DType.F16);

        /// <summary>An array as one row.</summary>
        public static implicit operator View(BFloat16[] array) => OfArray(array, DType.BF16);

        /// <summary>An array as a matrix.</summary>
        public static implicit operator View(float[,] array) => OfArray(array, DType.F32);

        /// <summary>An array as a matrix.</summary>
        public static implicit operator View(double[,] array) => OfArray(array, DType.F64);

        /// <summary>An array as a matrix.</summary>
        public static implicit operator View(Half[,] array) => OfArray(array, DType.F16);

        /// <summary>An array as a matrix.</summary>
        public static implicit operator View(BFloat16[,] array) => OfArray(array, DType.BF16);

        /// <summary>A dense tensor.</summary>
        public static implicit operator View(Tensor tensor)
        {
            return tensor == null ? throw new ArgumentNullException(nameof(tensor)) : tensor.View;
        }

        /// <summary>An array of one to four dimensions in its own shape.</summary>
        public static View OfArray(Array array)
        {
            return array == null
                ? throw new ArgumentNullException(nameof(array))
                : OfArray(array, DTypes.Of(array.GetType().GetElementType()));
        }

        /// <summary>The beginning of an array as a compact row-major array of this shape (none: all of it, as one
        /// row).</summary>
        public static View Of<T>(T[] array, params long[] shape) where T : struct
        {
            if (array == null)
            {
                throw new ArgumentNullException(nameof(array));
            }
            return new View(Describe(DTypes.Of<T>(), shape, array.LongLength), array);
        }

        /// <summary>Memory behind a pointer: native, pinned or on a GPU.</summary>
        /// <param name="data">First element.</param>
        /// <param name="type">Type of the elements.</param>
        /// <param name="device">Where the memory is.</param>
        /// <param name="shape">Extents.</param>
        /// <param name="strides">Strides in elements; null: compact, row-major.</param>
        /// <param name="readOnly">Whether it must not be written.</param>
        public static View FromPointer(IntPtr data, DType type, Device device, long[] shape, long[] strides = null,
                                       bool readOnly = false)
        {
            glq_view native = Describe(type, shape ?? throw new ArgumentNullException(nameof(shape)));
            if (strides != null)
            {
                if (strides.Length != shape.Length)
                {
                    throw new GlqArgumentException(
                        Status.Layout, "strides has " + strides.Length + " entries; shape has " + shape.Length);
                }
                for (int i = 0; i < strides.Length; ++i)
                {
                    native.strides[i] = strides[i];
                }
            }
            native.data = (void*)data;
            native.device = device.Native;
            native.flags = readOnly ? Constants.GLQ_VIEW_READ_ONLY : 0u;
            return new View(native, (SafeHandle)null);
        }

        /// <summary>Columns <paramref name="start"/> to <paramref name="start"/> + <paramref name="count"/> of a
        /// matrix, or of a row.</summary>
        public View Columns(long start, long count)
        {
            if (native.ndim < 1)
            {
                throw new GlqArgumentException(Status.Shape, "a view of rank 0 has no columns");
            }
            return Cut(native.ndim - 1, start, count);
        }

        /// <summary>Rows <paramref name="start"/> to <paramref name="start"/> + <paramref name="count"/>.</summary>
        public View Rows(long start, long count)
        {
            if (native.ndim < 2)
            {
                throw new GlqArgumentException(Status.Shape, "a view of rank " + native.ndim + " has no rows");
            }
            return Cut(0, start, count);
        }

        /// <summary>The same memory, not to be written.</summary>
        public View AsReadOnly()
        {
            glq_view copy = native;
            copy.flags |= Constants.GLQ_VIEW_READ_ONLY;
            return new View(this, copy, byteOffset);
        }

        /// <summary>The same memory in another compact shape of as many elements. Only for compact views.</summary>
        public View Reshape(params long[] shape)
        {
            glq_view copy = Describe(DType, shape ?? throw new ArgumentNullException(nameof(shape)));
            if (!IsCompact)
            {
                throw new GlqArgumentException(Status.Layout, "only a compact view can be reshaped");
            }
            if (Elements(copy) != Count)
            {
                throw new GlqArgumentException(
                    Status.Shape, "a view of " + Count + " elements cannot be reshaped to " + Elements(copy));
            }
            copy.data = native.data;
            copy.device = native.device;
            copy.flags = native.flags;
            return new View(this, copy, byteOffset);
        }

        /// <summary>A copy of the elements of a compact view of host memory, in row-major order.</summary>
        public T[] ToArray<T>() where T : struct
        {
            if (DTypes.Of<T>() != DType)
            {
                throw new GlqArgumentException(Status.Dtype, "a view of " + DType + " was read as " + typeof(T).Name);
            }
            if (native.device.type != Constants.GLQ_DEVICE_CPU || !IsCompact)
            {
                throw new GlqArgumentException(Status.Layout,
                    "only a compact view of host memory becomes an array; see "
                    + "Context.Copy for others");
            }
            var result = new T[Count];
            View target = Of(result, Count);
            long bytes = Count * DType.Size();
            using (Hold())
            {
                fixed (byte* from = Bytes)
                fixed (byte* to = target.Bytes)
                {
                    if (bytes > 0)
                    {
                        Buffer.MemoryCopy(At(from).data, to, bytes, bytes);
                    }
                }
            }
            return result;
        }

        /// <summary>The C struct, for a call during which <paramref name="pinned"/> is where <see cref="Bytes"/>
        /// are.</summary>
        internal glq_view At(byte* pinned)
        {
            glq_view copy = native;
            if (pinned != null)
            {
                copy.data = pinned + byteOffset;
            }
            return copy;
        }

        /// <summary>Keeps the tensor or checkpoint that the memory belongs to from going during a call.</summary>
        internal Hold Hold()
        {
            return new Hold(owner);
        }

        internal static View OfOwner(glq_view native, SafeHandle owner)
        {
            return new View(native, owner);
        }

        /// <summary>A compact C struct without memory.</summary>
        internal static glq_view Describe(DType type, long[] shape)
        {
            if (shape.Length > Constants.GLQ_MAX_NDIM)
            {
                throw new GlqArgumentException(
                    Status.Shape, shape.Length + " dimensions; a view has at most " + Constants.GLQ_MAX_NDIM);
            }
            var native = new glq_view { dtype = (uint)type, ndim = shape.Length };
            native.device.type = Constants.GLQ_DEVICE_CPU;
            long stride = 1;
            for (int i = shape.Length - 1; i >= 0; --i)
            {
                native.shape[i] = shape[i];
                native.strides[i] = stride;
                stride = unchecked(stride * Math.Max(shape[i], 1));
            }
            return native;
        }

        private static View OfArray(Array array, DType type)
        {
            if (array == null)
            {
                throw new ArgumentNullException(nameof(array));
            }
            if (array.Rank > Constants.GLQ_MAX_NDIM)
            {
                throw new GlqArgumentException(
                    Status.Shape, array.Rank + " dimensions; a view has at most " + Constants.GLQ_MAX_NDIM);
            }
            var native = new glq_view { dtype = (uint)type, ndim = array.Rank };
            native.device.type = Constants.GLQ_DEVICE_CPU;
            long stride = 1;
            for (int i = array.Rank - 1; i >= 0; --i)
            {
                native.shape[i] = array.GetLength(i);
                native.strides[i] = stride;
                stride *= array.GetLength(i);
            }
            return new View(native, array);
        }

        private static long Elements(glq_view native)
        {
            long count = 1;
            for (int i = 0; i < native.ndim; ++i)
            {
                if (native.shape[i] < 0)
                {
                    throw new GlqArgumentException(Status.Shape, "extent " + i + " is " + native.shape[i]);
                }
                count = checked(count * native.shape[i]);
            }
            return count;
        }

        /// <summary>A compact C struct for memory of so many elements; without a shape it is one row of them.</summary>
        internal static glq_view Describe(DType type, long[] shape, long available)
        {
            if (shape == null || shape.Length == 0)
            {
                return Describe(type, new[] { available });
            }
            glq_view native = Describe(type, shape);
            long needed;
            try
            {
                needed = Elements(native);
            }
            catch (OverflowException)
            {
                needed = long.MaxValue;
            }
            if (needed > available)
            {
                throw new GlqArgumentException(
                    Status.Shape, "the shape needs " + needed + " elements; the memory has " + available);
            }
            return native;
        }

        private bool IsCompact
        {
            get
            {
                glq_view copy = native;
                long stride = 1;
                for (int i = copy.ndim - 1; i >= 0; --i)
                {
                    if (copy.shape[i] == 0)
                    {
                        return true;
                    }
                    if (copy.shape[i] != 1 && copy.strides[i] != stride)
                    {
                        return false;
                    }
                    stride *= copy.shape[i];
                }
                return true;
            }
        }

        private View Cut(int dimension, long start, long count)
        {
            glq_view copy = native;
            long extent = copy.shape[dimension];
            if (start < 0 || count < 0 || start > extent - count)
            {
                throw new GlqArgumentException(
                    Status.Shape, count + " entries from " + start + " on are outside of an extent of " + extent);
            }
            long skipped = start * copy.strides[dimension] * DType.Size();
            copy.shape[dimension] = count;
            if (copy.data != null)
            {
                copy.data = (byte*)copy.data + skipped;
            }
            return new View(this, copy, byteOffset + skipped);
        }
    }

    /// <summary>Keeps a handle from being released; a null handle is none.</summary>
    internal readonly struct Hold : IDisposable
    {
        private readonly SafeHandle handle;

        internal Hold(SafeHandle handle)
        {
            this.handle = handle;
            if (handle != null)
            {
                bool held = false;
                handle.DangerousAddRef(ref held);
            }
        }

        /// <summary>Lets go of the handle.</summary>
        public void Dispose()
        {
            handle?.DangerousRelease();
        }
    }
}
