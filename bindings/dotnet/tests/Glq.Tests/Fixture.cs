using System;

namespace Glq.Tests
{
    /// <summary>Things that many tests need.</summary>
    public static class Fixture
    {
        private static readonly Lazy<Context> Shared =
            new Lazy<Context>(() => new Context(new ContextOptions { Threads = 2 }));

        public static Context Context => Shared.Value;

        public static Half[] Halves(int count)
        {
            var array = new Half[count];
            for (int i = 0; i < count; ++i)
            {
                array[i] = (Half)1f;
            }
            return array;
        }

        public static float[] Random(int count, int seed = 1)
        {
            var random = new Random(seed);
            var array = new float[count];
            for (int i = 0; i < count; ++i)
            {
                array[i] = (float)(random.NextDouble() * 2 - 1);
            }
            return array;
        }

        /// <summary>A weight of random codes.</summary>
        public static Tensor Weight(Context context, int outFeatures = 40, int inFeatures = 100, int bits = 3,
            int seed = 1)
        {
            int paddedOut = (outFeatures + 15) / 16 * 16;
            int paddedIn = (inFeatures + 63) / 64 * 64;
            var random = new Random(seed);
            var parts = new E8PParts
            {
                InFeatures = inFeatures, OutFeatures = outFeatures, PaddedIn = paddedIn, PaddedOut = paddedOut,
                WeightScale = 0.02, Sv = Halves(paddedIn), Su = Halves(paddedOut),
            };
            for (int stage = 0; 2 * stage < bits; ++stage)
            {
                bool last = 2 * stage + 1 == bits;
                var bytes = new byte[paddedOut * paddedIn / (last ? 8 : 4)];
                random.NextBytes(bytes);
                var codes = new long[bytes.Length / 8];
                Buffer.BlockCopy(bytes, 0, codes, 0, bytes.Length);
                parts.Stages.Add(new E8PStage(last ? Codebook.E81B : Codebook.E8P, codes, stage == 0 ? 1 : 0.3));
            }
            return Tensor.CreateE8P(context, parts);
        }
    }
}
