using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;

namespace Glq.Interop
{
    /// <summary>Native structs, pinned arrays and held handles for the duration of one call that is not a fast
    /// path.</summary>
    internal sealed unsafe class NativeScope : IDisposable
    {
        private readonly List<GCHandle> pins = new List<GCHandle>();
        private readonly List<IntPtr> blocks = new List<IntPtr>();
        private readonly List<SafeHandle> held = new List<SafeHandle>();

        /// <summary>Zeroed memory.</summary>
        internal void* Alloc(int bytes)
        {
            IntPtr block = Marshal.AllocHGlobal(Math.Max(bytes, 1));
            blocks.Add(block);
            for (int i = 0; i < bytes; ++i)
            {
                ((byte*)block)[i] = 0;
            }
            return (void*)block;
        }

        internal void* Pin(Array array)
        {
            GCHandle pin = GCHandle.Alloc(array, GCHandleType.Pinned);
            pins.Add(pin);
            return (void*)pin.AddrOfPinnedObject();
        }

        internal byte* Text(string text, string parameter)
        {
            return text == null ? null : (byte*)Pin(Utf8.Bytes(text, parameter));
        }

        internal IntPtr Hold(SafeHandle handle)
        {
            bool added = false;
            handle.DangerousAddRef(ref added);
            held.Add(handle);
            return handle.DangerousGetHandle();
        }

        internal glq_view* View(E8PPart part)
        {
            if (part == null)
            {
                return null;
            }
            var view = (glq_view*)Alloc(sizeof(glq_view));
            if (part.Tensor != null)
            {
                Hold(part.Tensor.Handle);
                GlqException.Check(NativeMethods.glq_tensor_view(part.Tensor.Handle, view));
            }
            else
            {
                *view = Glq.View.Describe(part.DType, part.Shape);
                view->data = Pin(part.Array);
            }
            return view;
        }

        /// <inheritdoc/>
        public void Dispose()
        {
            foreach (SafeHandle handle in held)
            {
                handle.DangerousRelease();
            }
            foreach (GCHandle pin in pins)
            {
                pin.Free();
            }
            foreach (IntPtr block in blocks)
            {
                Marshal.FreeHGlobal(block);
            }
        }
    }
}
