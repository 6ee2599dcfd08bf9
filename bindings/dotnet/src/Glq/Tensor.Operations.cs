using System;
using Glq.Interop;

namespace Glq
{
    // What a weight can do. Where no workspace is given, one is kept per thread and stream, which grows when it must.
    public sealed unsafe partial class Tensor
    {
        private static readonly Product FusedLinearProduct =
            new Product(0, NativeMethods.glq_fused_linear_e8p, NativeMethods.glq_fused_linear_e8p_workspace);

        private static readonly Product RhtInputProduct =
            new Product(1, NativeMethods.glq_rht_input, NativeMethods.glq_rht_input_workspace);

        private static readonly Product MatmulProduct =
            new Product(2, NativeMethods.glq_matmul_e8p, NativeMethods.glq_matmul_e8p_workspace);

        private static readonly Product RhtOutputProduct =
            new Product(3, NativeMethods.glq_rht_output, NativeMethods.glq_rht_output_workspace);

        private static readonly Product GemvProduct =
            new Product(4, NativeMethods.glq_gemv_bf16, NativeMethods.glq_gemv_bf16_workspace);

        // The last answers of the workspace queries, by product and math mode.
        private readonly Need[] needs = new Need[5 * 2];

        private delegate int ProductFunction(ContextHandle context, IntPtr stream, TensorHandle weight, glq_view* x,
                                             glq_view* y, glq_workspace* workspace, glq_launch_opts* opts);

        private delegate int WorkspaceFunction(ContextHandle context, TensorHandle weight, long maxTokens,
                                               glq_launch_opts* opts, UIntPtr* bytes);

        /// <summary>y = x W^T + bias with an E8P weight: the same bytes on every device and for every batch
        /// size.</summary>
        /// <param name="x">F16, BF16 or F32 [tokens, in_features] or [in_features], on the weight's device.</param>
        /// <param name="y">F16, BF16 or F32 [tokens, out_features] or [out_features]; rounded once.</param>
        /// <param name="workspace">At least <see cref="FusedLinearWorkspace"/> bytes; null: one kept for this
        /// thread.</param>
        /// <param name="stream">The work is queued on it; on the CPU it is done on return.</param>
        /// <param name="math">Arithmetic.</param>
        /// <remarks>On a GPU x and y are tensors or pointers: memory that is pinned for the call only is not on it. A
        /// row with NaN or infinity gives a row of NaN.</remarks>
        public void FusedLinear(View x, View y, Workspace workspace = null, CudaStream stream = default,
                                MathMode math = MathMode.Exact)
        {
            Run(FusedLinearProduct, x, y, workspace, stream, math);
        }

        /// <summary>Workspace that <see cref="FusedLinear"/> needs for up to so many rows.</summary>
        public long FusedLinearWorkspace(long maxTokens, MathMode math = MathMode.Exact)
        {
            return Ask(FusedLinearProduct, maxTokens, math);
        }

        /// <summary>First step of the linear: v = B_in(SV * pad(x)), F32 [tokens, padded_in].</summary>
        public void RhtInput(View x, View v, Workspace workspace = null, CudaStream stream = default)
        {
            Run(RhtInputProduct, x, v, workspace, stream, MathMode.Exact);
        }

        /// <summary>Second step: F32 v [tokens, padded_in] times the rotated weight, F32 [tokens,
        /// padded_out].</summary>
        public void Matmul(View v, View z, Workspace workspace = null, CudaStream stream = default,
                           MathMode math = MathMode.Exact)
        {
            Run(MatmulProduct, v, z, workspace, stream, math);
        }

        /// <summary>Third step: y = crop(SU * B_out(z)) + bias, rounded once.</summary>
        public void RhtOutput(View z, View y, Workspace workspace = null, CudaStream stream = default)
        {
            Run(RhtOutputProduct, z, y, workspace, stream, MathMode.Exact);
        }

        /// <summary>y = x W^T with a dense BF16 weight [N, K] and at most 16 rows of BF16 x [tokens, K].</summary>
        public void GemvBF16(View x, View y, Workspace workspace = null, CudaStream stream = default)
        {
            Run(GemvProduct, x, y, workspace, stream, MathMode.Exact);
        }

        /// <summary>Decodes rows of the rotated matrix into w [rows, padded_in].</summary>
        /// <param name="w">F16, BF16 or F32; as many rows as are wanted.</param>
        /// <param name="rowBegin">The first of them.</param>
        /// <param name="stream">The work is queued on it.</param>
        public void Decode(View w, long rowBegin = 0, CudaStream stream = default)
        {
            using (w.Hold())
            {
                fixed (byte* pinned = w.Bytes)
                {
                    glq_view native = w.At(pinned);
                    GlqException.Check(
                        NativeMethods.glq_decode_e8p(Context.Handle, stream.Handle, Handle, rowBegin, &native, null));
                }
            }
        }

        /// <summary>The effective weight W [out_features, in_features], both rotations undone. Not needed to
        /// run.</summary>
        /// <param name="w">F16, BF16 or F32.</param>
        /// <param name="workspace">At least <see cref="DequantizeWorkspace"/> bytes; null: one for this call.</param>
        /// <param name="stream">The work is queued on it.</param>
        public void Dequantize(View w, Workspace workspace = null, CudaStream stream = default)
        {
            // As large as the weight expanded, so it is not kept for later calls.
            Workspace own = workspace == null ? new Workspace(Context, DequantizeWorkspace()) : null;
            using (own)
            using (w.Hold())
            using ((workspace ?? own).Hold())
            {
                fixed (byte* pinned = w.Bytes)
                {
                    glq_view native = w.At(pinned);
                    glq_workspace scratch = (workspace ?? own).For(Context);
                    GlqException.Check(
                        NativeMethods.glq_dequantize(Context.Handle, stream.Handle, Handle, &native, &scratch, null));
                }
            }
        }

        /// <summary>Workspace that <see cref="Dequantize"/> needs.</summary>
        public long DequantizeWorkspace()
        {
            UIntPtr bytes;
            GlqException.Check(NativeMethods.glq_dequantize_workspace(Context.Handle, Handle, null, &bytes));
            return (long)bytes;
        }

        /// <summary>How <see cref="FusedLinear"/> would run for so many rows: one <c>key: value</c> a line.</summary>
        public string Plan(long tokens, MathMode math = MathMode.Exact)
        {
            glq_launch_opts opts = Options(math);
            UIntPtr needed;
            GlqException.Check(NativeMethods.glq_fused_linear_e8p_plan(Context.Handle, Handle, tokens, &opts, null,
                                                                       UIntPtr.Zero, &needed));
            var text = new byte[(long)needed];
            fixed (byte* bytes = text)
            {
                GlqException.Check(NativeMethods.glq_fused_linear_e8p_plan(Context.Handle, Handle, tokens, &opts, bytes,
                                                                           needed, &needed));
            }
            return System.Text.Encoding.UTF8.GetString(text, 0, text.Length - 1);
        }

        private static glq_launch_opts Options(MathMode math)
        {
            return new glq_launch_opts { struct_size = (uint)sizeof(glq_launch_opts), math_mode = (int)math };
        }

        private void Run(Product product, View x, View y, Workspace workspace, CudaStream stream, MathMode math)
        {
            if (workspace == null)
            {
                workspace = Context.ThreadWorkspace(stream.Handle, Need(product, x.Tokens, math));
            }
            using (x.Hold())
            using (y.Hold())
            using (workspace.Hold())
            {
                fixed (byte* pinnedX = x.Bytes)
                fixed (byte* pinnedY = y.Bytes)
                {
                    glq_view nativeX = x.At(pinnedX);
                    glq_view nativeY = y.At(pinnedY);
                    glq_workspace scratch = workspace.For(Context);
                    glq_launch_opts opts = Options(math);
                    GlqException.Check(
                        product.Call(Context.Handle, stream.Handle, Handle, &nativeX, &nativeY, &scratch, &opts));
                }
            }
        }

        /// <summary>Workspace for so many rows; does not ask the library again for fewer than it was asked for
        /// before.</summary>
        private long Need(Product product, long tokens, MathMode math)
        {
            int slot = product.Slot * 2 + (math == MathMode.Exact ? 0 : 1);
            Need known = needs[slot];
            if (known == null || known.Tokens < tokens)
            {
                known = new Need(tokens, Ask(product, tokens, math));
                needs[slot] = known;
            }
            return known.Bytes;
        }

        private long Ask(Product product, long tokens, MathMode math)
        {
            glq_launch_opts opts = Options(math);
            UIntPtr bytes;
            GlqException.Check(product.Query(Context.Handle, Handle, tokens, &opts, &bytes));
            return (long)bytes;
        }

        /// <summary>An operation of one weight, one input and one output.</summary>
        private sealed class Product
        {
            internal readonly int Slot;
            internal readonly ProductFunction Call;
            internal readonly WorkspaceFunction Query;

            internal Product(int slot, ProductFunction call, WorkspaceFunction query)
            {
                Slot = slot;
                Call = call;
                Query = query;
            }
        }
    }

    /// <summary>An answer of a workspace query.</summary>
    internal sealed class Need
    {
        internal readonly long Tokens;
        internal readonly long Bytes;

        internal Need(long tokens, long bytes)
        {
            Tokens = tokens;
            Bytes = bytes;
        }
    }
}
