using System;
using System.Collections.Generic;
using Glq.Interop;

namespace Glq
{
    /// <summary>Several linears of one input: query, key and value; gate and up. As <see cref="Tensor.FusedLinear"/> of
    /// each, byte for byte, but the input is transformed once for weights that share the transform.</summary>
    /// <remarks>One to eight E8P weights of one context with equal in_features. A null entry is skipped. Immutable, so
    /// any number of threads may use it.</remarks>
    public sealed unsafe class Group
    {
        private readonly Tensor[] weights;
        private readonly Context context;

        /// <summary>Groups weights, which stay the caller's.</summary>
        public Group(params Tensor[] weights)
        {
            this.weights = (Tensor[])(weights ?? throw new ArgumentNullException(nameof(weights))).Clone();
            context = Array.Find(this.weights, weight => weight != null)?.Context
                ?? throw new GlqArgumentException(Status.InvalidArgument, "a group needs at least one weight");
        }

        /// <summary>The weights.</summary>
        public IReadOnlyList<Tensor> Weights => Array.AsReadOnly(weights);

        /// <summary>Workspace that the group needs for up to so many rows.</summary>
        public long Workspace(long maxTokens, MathMode math = MathMode.Exact)
        {
            using (var scope = new NativeScope())
            {
                return Workspace(Handles(scope), maxTokens, math);
            }
        }

        /// <summary>Runs a group of two.</summary>
        public void FusedLinear(View x, View y0, View y1, Workspace workspace = null, CudaStream stream = default,
                                MathMode math = MathMode.Exact)
        {
            using (y0.Hold())
            using (y1.Hold())
            {
                fixed (byte* pinned0 = y0.Bytes)
                fixed (byte* pinned1 = y1.Bytes)
                {
                    glq_view* y = stackalloc glq_view[2];
                    y[0] = y0.At(pinned0);
                    y[1] = y1.At(pinned1);
                    Run(x, y, 2, workspace, stream, math);
                }
            }
        }

        /// <summary>Runs a group of three.</summary>
        public void FusedLinear(View x, View y0, View y1, View y2, Workspace workspace = null,
            CudaStream stream = default,
                                MathMode math = MathMode.Exact)
        {
            using (y0.Hold())
            using (y1.Hold())
            using (y2.Hold())
            {
                fixed (byte* pinned0 = y0.Bytes)
                fixed (byte* pinned1 = y1.Bytes)
                fixed (byte* pinned2 = y2.Bytes)
                {
                    glq_view* y = stackalloc glq_view[3];
                    y[0] = y0.At(pinned0);
                    y[1] = y1.At(pinned1);
                    y[2] = y2.At(pinned2);
                    Run(x, y, 3, workspace, stream, math);
                }
            }
        }

        /// <summary>Runs a group of any size, with dense tensors as outputs; the entry of a skipped weight is not
        /// looked at.</summary>
        public void FusedLinear(View x, Tensor[] y, Workspace workspace = null, CudaStream stream = default,
                                MathMode math = MathMode.Exact)
        {
            if (y == null)
            {
                throw new ArgumentNullException(nameof(y));
            }
            using (var scope = new NativeScope())
            {
                var views = (glq_view*)scope.Alloc(y.Length * sizeof(glq_view));
                for (int i = 0; i < y.Length; ++i)
                {
                    Tensor output = y[i];
                    if (output != null)
                    {
                        scope.Hold(output.Handle);
                        GlqException.Check(NativeMethods.glq_tensor_view(output.Handle, &views[i]));
                    }
                }
                Run(x, views, y.Length, workspace, stream, math);
            }
        }

        private IntPtr* Handles(NativeScope scope)
        {
            var handles = (IntPtr*)scope.Alloc(weights.Length * sizeof(IntPtr));
            for (int i = 0; i < weights.Length; ++i)
            {
                handles[i] = weights[i] == null ? IntPtr.Zero : scope.Hold(weights[i].Handle);
            }
            return handles;
        }

        private long Workspace(IntPtr* handles, long maxTokens, MathMode math)
        {
            var opts = new glq_launch_opts { struct_size = (uint)sizeof(glq_launch_opts), math_mode = (int)math };
            UIntPtr bytes;
            GlqException.Check(NativeMethods.glq_fused_linear_e8p_group_workspace(context.Handle, handles,
                weights.Length,
                                                                                  maxTokens, &opts, &bytes));
            return (long)bytes;
        }

        private void Run(View x, glq_view* y, int outputs, Workspace workspace, CudaStream stream, MathMode math)
        {
            if (outputs != weights.Length)
            {
                throw new GlqArgumentException(
                    Status.InvalidArgument, outputs + " outputs for a group of " + weights.Length + " weights");
            }
            using (var scope = new NativeScope())
            {
                IntPtr* handles = Handles(scope);
                if (workspace == null)
                {
                    workspace = context.ThreadWorkspace(stream.Handle, Workspace(handles, x.Tokens, math));
                }
                using (x.Hold())
                using (workspace.Hold())
                {
                    fixed (byte* pinnedX = x.Bytes)
                    {
                        glq_view nativeX = x.At(pinnedX);
                        glq_workspace scratch = workspace.For(context);
                        var opts = new glq_launch_opts { struct_size = (uint)sizeof(glq_launch_opts),
                            math_mode = (int)math };
                        GlqException.Check(NativeMethods.glq_fused_linear_e8p_group(
                            context.Handle, stream.Handle, handles, weights.Length, &nativeX, y, &scratch, &opts));
                    }
                }
            }
        }
    }
}
