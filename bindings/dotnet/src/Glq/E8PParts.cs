using System;
using System.Collections.Generic;

namespace Glq
{
    /// <summary>One array of an E8P weight: managed memory, or a dense tensor on the host or on the context's
    /// device.</summary>
    public sealed class E8PPart
    {
        // Nobody else's, so that it stays what was checked.
        private readonly long[] shape;

        private E8PPart(Array array, DType type, long[] shape, Tensor tensor)
        {
            Array = array;
            DType = type;
            this.shape = shape;
            Tensor = tensor;
        }

        /// <summary>The managed array, or null.</summary>
        public Array Array { get; }

        /// <summary>The tensor, or null.</summary>
        public Tensor Tensor { get; }

        /// <summary>Type of the elements.</summary>
        public DType DType { get; }

        /// <summary>The extents.</summary>
        public long[] Shape => (long[])shape.Clone();

        internal int Rank => shape.Length;

        /// <summary>A vector.</summary>
        public static implicit operator E8PPart(Half[] array) => FromArray(array);

        /// <summary>A vector.</summary>
        public static implicit operator E8PPart(BFloat16[] array) => FromArray(array);

        /// <summary>A vector.</summary>
        public static implicit operator E8PPart(float[] array) => FromArray(array);

        /// <summary>Packed codes; <see cref="E8PParts"/> knows their shape from the padded sizes.</summary>
        public static implicit operator E8PPart(long[] array) => FromArray(array);

        /// <summary>Packed codes; <see cref="E8PParts"/> knows their shape from the padded sizes.</summary>
        public static implicit operator E8PPart(byte[] array) => FromArray(array);

        /// <summary>A dense tensor, shape and all.</summary>
        public static implicit operator E8PPart(Tensor tensor)
        {
            return tensor == null ? null : new E8PPart(null, tensor.DType, tensor.Shape, tensor);
        }

        /// <summary>An array of any rank, read in this shape (none: its own).</summary>
        public static E8PPart FromArray(Array array, params long[] shape)
        {
            if (array == null)
            {
                return null;
            }
            if (shape == null || shape.Length == 0)
            {
                shape = new long[array.Rank];
                for (int i = 0; i < shape.Length; ++i)
                {
                    shape[i] = array.GetLength(i);
                }
            }
            else
            {
                shape = (long[])shape.Clone();
            }
            DType type = DTypes.Of(array.GetType().GetElementType());
            View.Describe(type, shape, array.LongLength);
            return new E8PPart(array, type, shape, null);
        }
    }

    /// <summary>One stage of an E8P weight.</summary>
    public sealed class E8PStage
    {
        /// <summary>Makes a stage.</summary>
        /// <param name="codebook">Its codebook.</param>
        /// <param name="indices">The packed codes in the checkpoint's layout.</param>
        /// <param name="cumInvScale">Its scale, cumulative as stored; 1 for the first stage.</param>
        public E8PStage(Codebook codebook, E8PPart indices, double cumInvScale = 1)
        {
            Codebook = codebook;
            Indices = indices;
            CumInvScale = cumInvScale;
        }

        /// <summary>Its codebook.</summary>
        public Codebook Codebook { get; }

        /// <summary>The packed codes. E8P: I64 [padded_out/16, padded_in/64, 8, 4]. E81B: I64 [padded_out,
        /// padded_in/64] or U8 [padded_out, padded_in/8].</summary>
        public E8PPart Indices { get; }

        /// <summary>Its scale.</summary>
        public double CumInvScale { get; }
    }

    /// <summary>The parts of an E8P weight, as a checkpoint stores them.</summary>
    public sealed class E8PParts
    {
        /// <summary>Columns of W before padding. Required.</summary>
        public long InFeatures { get; set; }

        /// <summary>Rows of W before padding. Required.</summary>
        public long OutFeatures { get; set; }

        /// <summary>Columns of the rotated matrix; 0: from the shape of the first stage.</summary>
        public long PaddedIn { get; set; }

        /// <summary>Rows of the rotated matrix; 0: from the shape of the first stage.</summary>
        public long PaddedOut { get; set; }

        /// <summary><c>Wscale</c>.</summary>
        public double WeightScale { get; set; } = 1;

        /// <summary>One to four stages.</summary>
        public IList<E8PStage> Stages { get; } = new List<E8PStage>();

        /// <summary>Hadamard blocks of the input side; null: the binary expansion of the padded size, largest
        /// first.</summary>
        public long[] InBlocks { get; set; }

        /// <summary>Hadamard blocks of the output side; null: as there.</summary>
        public long[] OutBlocks { get; set; }

        /// <summary>F16 [padded_in], or null for all ones.</summary>
        public E8PPart Sv { get; set; }

        /// <summary>F16 [padded_out], or null for all ones.</summary>
        public E8PPart Su { get; set; }

        /// <summary>F16, BF16 or F32 [out_features], or null.</summary>
        public E8PPart Bias { get; set; }

        /// <summary>The codes of a stage in their full shape, also where a plain vector was given.</summary>
        internal E8PPart Shaped(E8PStage stage)
        {
            E8PPart part = stage.Indices;
            if (part == null || part.Array == null || part.Rank != 1 || PaddedIn == 0 || PaddedOut == 0)
            {
                return part;
            }
            return stage.Codebook == Codebook.E8P
                ? E8PPart.FromArray(part.Array, PaddedOut / 16, PaddedIn / 64, 8, 4)
                : E8PPart.FromArray(part.Array, PaddedOut, PaddedIn / (part.DType == DType.U8 ? 8 : 64));
        }
    }
}
