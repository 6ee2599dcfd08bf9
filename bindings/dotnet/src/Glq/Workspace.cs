using System;
using Glq.Interop;

namespace Glq
{
    /// <summary>Scratch memory for operations, on a context's device.</summary>
    /// <remarks>One serves any number of calls on one stream, one after another; calls that run at the same time need
    /// one each. An operation never makes it grow: reserve enough for the largest batch first.</remarks>
    public sealed unsafe class Workspace : IDisposable
    {
        private readonly Device device;
        private TensorHandle storage;
        private IntPtr start;

        /// <summary>Makes a workspace.</summary>
        /// <param name="context">On whose device it is.</param>
        /// <param name="bytes">How large; see <see cref="Tensor.FusedLinearWorkspace"/>.</param>
        public Workspace(Context context, long bytes = 0)
        {
            Context = context ?? throw new ArgumentNullException(nameof(context));
            device = context.Device;
            Reserve(bytes);
        }

        /// <summary>An empty one that a context keeps for a thread. It does not refer to the context, which could else
        /// not be finalized before the thread ends.</summary>
        internal Workspace(Device device)
        {
            this.device = device;
        }

        /// <summary>The context it was made for.</summary>
        public Context Context { get; }

        /// <summary>Its size.</summary>
        public long Bytes { get; private set; }

        /// <summary>Makes it at least so large. Not while a call uses it, nor while a graph is being
        /// captured.</summary>
        public void Reserve(long bytes)
        {
            Reserve(Context, bytes);
        }

        /// <summary>Frees the memory, once queued work no longer uses it.</summary>
        public void Dispose()
        {
            storage?.Dispose();
        }

        internal void Reserve(Context context, long bytes)
        {
            if (bytes < 0)
            {
                throw new ArgumentOutOfRangeException(nameof(bytes));
            }
            if (bytes <= Bytes)
            {
                return;
            }
            const long Alignment = Constants.GLQ_WORKSPACE_ALIGNMENT;
            TensorHandle larger = Tensor.Empty(context, DType.U8, checked(bytes + Alignment - 1)).Handle;
            glq_view view;
            GlqException.Check(NativeMethods.glq_tensor_view(larger, &view));
            storage?.Dispose();
            storage = larger;
            start = (IntPtr)(((long)view.data + Alignment - 1) / Alignment * Alignment);
            Bytes = bytes;
        }

        /// <summary>The struct for a call in this context. The library cannot see where a workspace is.</summary>
        internal glq_workspace For(Context context)
        {
            CheckDevice(device, context.Device);
            return new glq_workspace { data = (void*)start, bytes = (UIntPtr)(ulong)Bytes };
        }

        internal static void CheckDevice(Device workspace, Device context)
        {
            if (!workspace.Equals(context))
            {
                throw new GlqArgumentException(
                    Status.DeviceMismatch, "the workspace is on " + workspace + ", the context on " + context);
            }
        }

        internal Hold Hold()
        {
            return new Hold(storage);
        }
    }
}
