using System;
using Microsoft.Win32.SafeHandles;

namespace Glq.Interop
{
    /// <summary>A reference to a native object.</summary>
    public abstract class GlqHandle : SafeHandleZeroOrMinusOneIsInvalid
    {
        /// <summary>No handle yet.</summary>
        private protected GlqHandle() : base(true)
        {
        }

        /// <summary>Takes over one reference.</summary>
        internal void Adopt(IntPtr reference)
        {
            SetHandle(reference);
        }
    }

    /// <summary>A reference to a glq_context.</summary>
    public sealed class ContextHandle : GlqHandle
    {
        /// <summary>No handle yet; the interop layer fills it in.</summary>
        public ContextHandle()
        {
        }

        /// <inheritdoc/>
        protected override bool ReleaseHandle()
        {
            NativeMethods.glq_context_destroy(handle);
            return true;
        }
    }

    /// <summary>A reference to a glq_tensor, which keeps its context alive: the order of finalizers does not
    /// matter.</summary>
    public sealed class TensorHandle : GlqHandle
    {
        /// <summary>No handle yet; the interop layer fills it in.</summary>
        public TensorHandle()
        {
        }

        /// <inheritdoc/>
        protected override bool ReleaseHandle()
        {
            NativeMethods.glq_tensor_destroy(handle);
            return true;
        }
    }

    /// <summary>A glq_quantizer, which keeps its context alive.</summary>
    public sealed class QuantizerHandle : GlqHandle
    {
        /// <summary>No handle yet; the interop layer fills it in.</summary>
        public QuantizerHandle()
        {
        }

        /// <inheritdoc/>
        protected override bool ReleaseHandle()
        {
            NativeMethods.glq_quantizer_destroy(handle);
            return true;
        }
    }

    /// <summary>A glq_checkpoint.</summary>
    public sealed class CheckpointHandle : GlqHandle
    {
        /// <summary>No handle yet; the interop layer fills it in.</summary>
        public CheckpointHandle()
        {
        }

        /// <inheritdoc/>
        protected override bool ReleaseHandle()
        {
            NativeMethods.glq_checkpoint_destroy(handle);
            return true;
        }
    }

#if !NET8_0_OR_GREATER
    /// <summary>A handle during a call.</summary>
    internal readonly struct Lent : IDisposable
    {
        private readonly GlqHandle handle;

        internal Lent(GlqHandle handle)
        {
            this.handle = handle ?? throw new ArgumentNullException(nameof(handle));
            bool held = false;
            handle.DangerousAddRef(ref held);
        }

        internal IntPtr Value => handle.DangerousGetHandle();

        /// <summary>Lets go of the handle.</summary>
        public void Dispose()
        {
            handle.DangerousRelease();
        }
    }
#endif
}
