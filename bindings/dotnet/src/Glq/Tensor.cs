using System;
using System.Runtime.InteropServices;
using Glq.Interop;

namespace Glq
{
    /// <summary>A tensor: an E8P weight, or dense storage that is owned, borrowed or imported.</summary>
    /// <remarks>Immutable apart from the elements of dense storage, so any number of threads may use it at once. It is
    /// freed when it has been disposed or finalized and no call uses it any more.</remarks>
    public sealed unsafe partial class Tensor : IDisposable
    {
        private readonly glq_tensor_info info;
        private E8PInfo e8p;

        internal Tensor(Context context, TensorHandle handle)
        {
            Context = context;
            Handle = handle;
            var filled = new glq_tensor_info { struct_size = (uint)sizeof(glq_tensor_info) };
            GlqException.Check(NativeMethods.glq_tensor_get_info(handle, &filled));
            info = filled;
        }

        /// <summary>The context it was made from.</summary>
        public Context Context { get; }

        /// <summary>The reference for the raw interface, <see cref="NativeMethods"/>.</summary>
        public TensorHandle Handle { get; }

        /// <summary>How the elements are encoded.</summary>
        public TensorEncoding Encoding => (TensorEncoding)info.encoding;

        /// <summary>Dense: type of the elements. E8P: None.</summary>
        public DType DType => (DType)info.dtype;

        /// <summary>Where it is.</summary>
        public Device Device => new Device((DeviceType)info.device.type, info.device.index);

        /// <summary>Dense: the extents. E8P: out_features, in_features.</summary>
        public long[] Shape
        {
            get
            {
                glq_tensor_info copy = info;
                var shape = new long[copy.ndim];
                for (int i = 0; i < shape.Length; ++i)
                {
                    shape[i] = copy.shape[i];
                }
                return shape;
            }
        }

        /// <summary>Memory this tensor owns, on the host and on the device.</summary>
        public long Bytes => info.host_bytes + info.device_bytes;

        /// <summary>What an E8P weight is.</summary>
        /// <exception cref="GlqUnsupportedException">The tensor is dense.</exception>
        public E8PInfo E8P
        {
            get
            {
                if (e8p == null)
                {
                    var filled = new glq_e8p_info { struct_size = (uint)sizeof(glq_e8p_info) };
                    using (new Hold(Handle))
                    {
                        GlqException.Check(NativeMethods.glq_e8p_get_info(Handle, &filled));
                        e8p = new E8PInfo(filled);
                    }
                }
                return e8p;
            }
        }

        /// <summary>The elements of a dense tensor. The view keeps the tensor from going during a call.</summary>
        public View View
        {
            get
            {
                glq_view view;
                GlqException.Check(NativeMethods.glq_tensor_view(Handle, &view));
                return View.OfOwner(view, Handle);
            }
        }

        /// <summary>A dense tensor with memory on the context's device, not initialised.</summary>
        public static Tensor Empty(Context context, DType type, params long[] shape)
        {
            glq_view spec = View.Describe(type, shape ?? throw new ArgumentNullException(nameof(shape)));
            return Made(context, NativeMethods.glq_tensor_create(HandleOf(context), &spec, out TensorHandle handle),
                handle);
        }

        /// <summary>A dense tensor on the context's device with a compact copy of the source, from any of its
        /// devices.</summary>
        public static Tensor CopyOf(Context context, View source, CudaStream stream = default)
        {
            using (source.Hold())
            {
                fixed (byte* pinned = source.Bytes)
                {
                    glq_view native = source.At(pinned);
                    return Made(context, NativeMethods.glq_tensor_create_copy(HandleOf(context), stream.Handle, &native,
                                                                              out TensorHandle handle), handle);
                }
            }
        }

        /// <summary>A dense CPU tensor over an array, which stays pinned until the tensor and all it was lent to are
        /// gone.</summary>
        /// <param name="context">A CPU context.</param>
        /// <param name="array">The memory.</param>
        /// <param name="shape">How to read it; none: its own shape.</param>
        public static Tensor Borrow(Context context, Array array, params long[] shape)
        {
            E8PPart part = E8PPart.FromArray(array ?? throw new ArgumentNullException(nameof(array)), shape);
            glq_view view = View.Describe(part.DType, part.Shape);
            var pin = new PinnedArray(array);
            view.data = (void*)pin.Address;
            return Borrow(context, view, pin);
        }

        /// <summary>A dense tensor over memory behind a pointer, on the context's device.</summary>
        /// <param name="context">The context.</param>
        /// <param name="memory">Made by <see cref="View.FromPointer"/>.</param>
        /// <param name="owner">Disposed of when the tensor and all it was lent to are gone, on any thread; may be
        /// null.</param>
        public static Tensor Borrow(Context context, View memory, IDisposable owner)
        {
            fixed (byte* managed = memory.Bytes)
            {
                if (managed != null)
                {
                    throw new GlqArgumentException(
                        Status.InvalidArgument,
                            "the view is of managed memory, which may move; borrow the array itself");
                }
            }
            return Borrow(context, memory.At(null), owner);
        }

        /// <summary>Takes over an array from another framework: a <c>DLManagedTensorVersioned *</c>.</summary>
        /// <remarks>It belongs to the tensor if this succeeds, and is untouched if it fails. No stream is
        /// involved.</remarks>
        public static Tensor ImportDLPack(Context context, IntPtr managed)
        {
            return Made(context, NativeMethods.glq_tensor_import_dlpack(HandleOf(context), managed,
                out TensorHandle handle),
                        handle);
        }

        /// <summary>Lends a dense tensor to another framework: a <c>DLManagedTensorVersioned *</c> whose <c>deleter</c>
        /// the receiver calls. It stays valid when this tensor is disposed.</summary>
        public IntPtr ExportDLPack()
        {
            IntPtr managed;
            GlqException.Check(NativeMethods.glq_tensor_export_dlpack(Handle, &managed));
            return managed;
        }

        /// <summary>A copy of the elements of a dense tensor on any device, in row-major order.</summary>
        public T[] ToArray<T>(CudaStream stream = default) where T : struct
        {
            long count = View.Count;
            var result = new T[count];
            Context.Copy(View, View.Of(result, Shape), stream);
            return result;
        }

        /// <summary>Another object for the same native tensor, to be disposed on its own.</summary>
        public Tensor Share()
        {
            using (new Hold(Handle))
            {
                GlqException.Check(NativeMethods.glq_tensor_retain(Handle));
                return new Tensor(Context, SharedHandle(Handle.DangerousGetHandle()));
            }
        }

        /// <summary>Gives the tensor up. Its memory goes when no call uses it any more.</summary>
        public void Dispose()
        {
            Handle.Dispose();
        }

        /// <inheritdoc/>
        public override string ToString()
        {
            string shape = string.Join(" x ", Shape);
            string what = Encoding == TensorEncoding.E8P && !Handle.IsClosed ? "E8P, " + E8P.Bits
                + " bits, " : DType + ", ";
            return "Glq.Tensor(" + what + shape + ", " + Device + (Handle.IsClosed ? ", disposed)" : ")");
        }

        internal static ContextHandle HandleOf(Context context)
        {
            return context == null ? throw new ArgumentNullException(nameof(context)) : context.Handle;
        }

        /// <summary>The new tensor, or the exception for the failed call.</summary>
        internal static Tensor Made(Context context, int status, TensorHandle handle)
        {
            if (status != Constants.GLQ_OK)
            {
                GlqException error = GlqException.Last(status);
                handle.Dispose();
                throw error;
            }
            return new Tensor(context, handle);
        }

        private static Tensor Borrow(Context context, glq_view view, IDisposable owner)
        {
            void* user = owner == null ? null : Callbacks.Keep(owner);
            int status;
            TensorHandle handle;
            try
            {
                status = NativeMethods.glq_tensor_borrow(HandleOf(context), &view,
                                                         owner == null ? IntPtr.Zero : Callbacks.Release, user,
                                                             out handle);
            }
            catch
            {
                Abandon(owner, user);
                throw;
            }
            if (status != Constants.GLQ_OK)
            {
                GlqException error = GlqException.Last(status);
                Abandon(owner, user);
                handle.Dispose();
                throw error;
            }
            return new Tensor(context, handle);
        }

        /// <summary>Undoes what was prepared for a release function that will not be called.</summary>
        private static void Abandon(IDisposable owner, void* user)
        {
            if (user != null)
            {
                Callbacks.Forget(user);
            }
            (owner as PinnedArray)?.Dispose();
        }

        private static TensorHandle SharedHandle(IntPtr pointer)
        {
            var handle = new TensorHandle();
            handle.Adopt(pointer);
            return handle;
        }

        private sealed class PinnedArray : IDisposable
        {
            private GCHandle handle;

            internal PinnedArray(Array array)
            {
                handle = GCHandle.Alloc(array, GCHandleType.Pinned);
            }

            internal IntPtr Address => handle.AddrOfPinnedObject();

            public void Dispose()
            {
                handle.Free();
            }
        }
    }
}
