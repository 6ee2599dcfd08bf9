using System;
using System.Collections.Generic;
using Glq.Interop;

namespace Glq
{
    // Making E8P weights and taking them apart.
    public sealed unsafe partial class Tensor
    {
        /// <summary>Makes an E8P weight on the context's device. Everything is copied.</summary>
        /// <param name="context">The context.</param>
        /// <param name="parts">The parts.</param>
        /// <param name="stream">Ordered after the work queued on it; the weight is complete on return.</param>
        public static Tensor CreateE8P(Context context, E8PParts parts, CudaStream stream = default)
        {
            if (parts == null)
            {
                throw new ArgumentNullException(nameof(parts));
            }
            // Read once: whatever another thread does to the parts, sizes and memory belong together.
            var stages = new List<E8PStage>(parts.Stages).ToArray();
            var inBlocks = (long[])parts.InBlocks?.Clone();
            var outBlocks = (long[])parts.OutBlocks?.Clone();
            using (var scope = new NativeScope())
            {
                var desc = new glq_e8p_desc { struct_size = (uint)sizeof(glq_e8p_desc) };
                desc.in_features = parts.InFeatures;
                desc.out_features = parts.OutFeatures;
                desc.padded_in = parts.PaddedIn;
                desc.padded_out = parts.PaddedOut;
                desc.weight_scale = parts.WeightScale;
                desc.num_stages = stages.Length;
                desc.stages = (glq_e8p_stage*)scope.Alloc(stages.Length * sizeof(glq_e8p_stage));
                for (int i = 0; i < stages.Length; ++i)
                {
                    glq_view* indices = scope.View(parts.Shaped(stages[i]));
                    desc.stages[i].codebook = (int)stages[i].Codebook;
                    desc.stages[i].cum_inv_scale = stages[i].CumInvScale;
                    desc.stages[i].indices = indices != null ? *indices : default;
                }
                if (inBlocks != null)
                {
                    desc.in_blocks = (long*)scope.Pin(inBlocks);
                    desc.num_in_blocks = inBlocks.Length;
                }
                if (outBlocks != null)
                {
                    desc.out_blocks = (long*)scope.Pin(outBlocks);
                    desc.num_out_blocks = outBlocks.Length;
                }
                desc.sv = scope.View(parts.Sv);
                desc.su = scope.View(parts.Su);
                desc.bias = scope.View(parts.Bias);
                return FromDescription(context, &desc, stream);
            }
        }

        /// <summary>The parts of an E8P weight in the checkpoint's layout, bit for bit as they were given.</summary>
        /// <param name="stream">Ordered after the work queued on it; complete on return.</param>
        public E8PParts Export(CudaStream stream = default)
        {
            E8PInfo about = E8P;
            var parts = new E8PParts
            {
                InFeatures = about.InFeatures,
                OutFeatures = about.OutFeatures,
                PaddedIn = about.PaddedIn,
                PaddedOut = about.PaddedOut,
                WeightScale = about.WeightScale,
                InBlocks = ToArray(about.InBlocks),
                OutBlocks = ToArray(about.OutBlocks),
                Sv = about.HasSv ? new Half[about.PaddedIn] : null,
                Su = about.HasSu ? new Half[about.PaddedOut] : null,
                Bias = NewBias(about.BiasDType, about.OutFeatures),
            };
            for (int i = 0; i < about.Codebooks.Count; ++i)
            {
                int perCode = about.Codebooks[i] == Codebook.E8P ? 32 : 64;
                var codes = new long[about.PaddedOut * about.PaddedIn / perCode];
                var stage = new E8PStage(about.Codebooks[i], codes, about.CumInvScale[i]);
                parts.Stages.Add(new E8PStage(stage.Codebook, parts.Shaped(stage), stage.CumInvScale));
            }
            using (var scope = new NativeScope())
            {
                var native = new glq_e8p_parts { struct_size = (uint)sizeof(glq_e8p_parts) };
                glq_view** indices = &native.indices0;
                for (int i = 0; i < parts.Stages.Count; ++i)
                {
                    indices[i] = scope.View(parts.Stages[i].Indices);
                }
                native.sv = scope.View(parts.Sv);
                native.su = scope.View(parts.Su);
                native.bias = scope.View(parts.Bias);
                GlqException.Check(NativeMethods.glq_e8p_export(Context.Handle, stream.Handle, Handle, &native));
            }
            return parts;
        }

        internal static Tensor FromDescription(Context context, glq_e8p_desc* desc, CudaStream stream)
        {
            return Made(context, NativeMethods.glq_tensor_create_e8p(HandleOf(context), stream.Handle, desc,
                                                                     out TensorHandle handle), handle);
        }

        private static long[] ToArray(IReadOnlyList<long> list)
        {
            var array = new long[list.Count];
            for (int i = 0; i < array.Length; ++i)
            {
                array[i] = list[i];
            }
            return array;
        }

        private static E8PPart NewBias(DType type, long count)
        {
            switch (type)
            {
                case DType.F16:
                    return new Half[count];
                case DType.BF16:
                    return new BFloat16[count];
                case DType.F32:
                    return new float[count];
                default:
                    return null;
            }
        }
    }
}
