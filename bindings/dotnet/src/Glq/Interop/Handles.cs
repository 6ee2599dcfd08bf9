using System;
using Microsoft.Win32.SafeHandles;

namespace Glq.Interop
{
    /// <summary>A reference to a glq_context.</summary>
    public sealed class ContextHandle : SafeHandleZeroOrMinusOneIsInvalid
    {
        /// <summary>No handle yet; the interop layer fills it in.</summary>
        public ContextHandle() : base(true)
        {
        }

        /// <inheritdoc/>
        protected override bool ReleaseHandle()
        {
            NativeMethods.glq_context_destroy(handle);
            return true;
        }
    }

    /// <summary>A reference to a glq_tensor, which keeps its context alive: the order of finalizers does not matter.</summary>
    public sealed class TensorHandle : SafeHandleZeroOrMinusOneIsInvalid
    {
        /// <summary>No handle yet; the interop layer fills it in.</summary>
        public TensorHandle() : base(true)
        {
        }

        /// <summary>Takes over one reference.</summary>
        internal void Adopt(IntPtr reference)
        {
            SetHandle(reference);
        }

        /// <inheritdoc/>
        protected override bool ReleaseHandle()
        {
            NativeMethods.glq_tensor_destroy(handle);
            return true;
        }
    }

    /// <summary>A glq_quantizer, which keeps its context alive.</summary>
    public sealed class QuantizerHandle : SafeHandleZeroOrMinusOneIsInvalid
    {
        /// <summary>No handle yet; the interop layer fills it in.</summary>
        public QuantizerHandle() : base(true)
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
    public sealed class CheckpointHandle : SafeHandleZeroOrMinusOneIsInvalid
    {
        /// <summary>No handle yet; the interop layer fills it in.</summary>
        public CheckpointHandle() : base(true)
        {
        }

        /// <inheritdoc/>
        protected override bool ReleaseHandle()
        {
            NativeMethods.glq_checkpoint_destroy(handle);
            return true;
        }
    }
}
