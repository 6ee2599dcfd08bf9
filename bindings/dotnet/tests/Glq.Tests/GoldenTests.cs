using System;
using System.Collections.Generic;
using System.Linq;
using System.Security.Cryptography;
using Xunit;

namespace Glq.Tests
{
    /// <summary>The golden data: the bytes that the exact contract prescribes.</summary>
    public class GoldenTests
    {
        public static IEnumerable<object[]> Layers => Golden.Layers;

        public static IEnumerable<object[]> QuantizedLayers =>
            Golden.Layers.Where(row => ((string)row[0]).StartsWith("bd", StringComparison.Ordinal));

        public static IEnumerable<object[]> Checkpoints =>
            new[] { new object[] { "ckpt_e8p_blockdiag" }, new object[] { "ckpt_e8p_pow2_legacy" } };

        [Fact]
        public void Codebooks()
        {
            using (SHA256 hash = SHA256.Create())
            {
                byte[] digest = hash.ComputeHash(RawBytes.Of(Context.GetCodebook(Codebook.E8P)));
                Assert.Equal("ea3883a85a627590ca74626320a2a691943386a8c89ac72cdb6388bfe7da5cc0",
                             BitConverter.ToString(digest).Replace("-", string.Empty).ToLowerInvariant());
            }
            Assert.Equal(Golden.Bytes("codebook/e81b_times2"), RawBytes.Of(Context.GetCodebook(Codebook.E81B)));
        }

        [Fact]
        public void PackingE8P()
        {
            ushort[] codes = Golden.Load<ushort>("pack/e8p_codes");
            var packed = new long[Golden.Bytes("pack/e8p_packed").Length / 8];
            Fixture.Context.Pack(Codebook.E8P, View.Of(codes, 32, 16), View.Of(packed, 2, 2, 8, 4));
            Assert.Equal(Golden.Bytes("pack/e8p_packed"), RawBytes.Of(packed));
            var unpacked = new ushort[codes.Length];
            Fixture.Context.Unpack(Codebook.E8P, View.Of(packed, 2, 2, 8, 4), View.Of(unpacked, 32, 16));
            Assert.Equal(codes, unpacked);
        }

        [Fact]
        public void PackingE81B()
        {
            byte[] codes = Golden.Bytes("pack/e81b_codes");
            var packed = new long[Golden.Bytes("pack/e81b_packed").Length / 8];
            Fixture.Context.Pack(Codebook.E81B, View.Of(codes, 32, 16), View.Of(packed, 32, 2));
            Assert.Equal(Golden.Bytes("pack/e81b_packed"), RawBytes.Of(packed));
        }

        [Theory]
        [MemberData(nameof(Layers))]
        public void FusedLinear(string layer)
        {
            Half[] x = Golden.Load<Half>(Golden.Source(layer, "x"));
            using (Tensor weight = Tensor.CreateE8P(Fixture.Context, Golden.Parts(layer)))
            {
                int rows = (int)weight.E8P.OutFeatures;
                int columns = (int)weight.E8P.InFeatures;
                var f32 = new float[3 * rows];
                var f16 = new Half[3, rows];
                var bf16 = new BFloat16[3 * rows];
                weight.FusedLinear(View.Of(x, 3, columns), View.Of(f32, 3, rows));
                weight.FusedLinear(View.Of(x, 3, columns), f16);
                weight.FusedLinear(View.Of(x, 3, columns), View.Of(bf16, 3, rows));
                Assert.Equal(Golden.Bytes(layer + "/y_exact_f32"), RawBytes.Of(f32));
                Assert.Equal(Golden.Bytes(layer + "/y_exact_f16"), RawBytes.Of(f16));
                Assert.Equal(Golden.Bytes(layer + "/y_exact_bf16"), RawBytes.Of(bf16));

                var one = new float[3 * rows]; // the same bytes one by one, through slices
                for (int row = 0; row < 3; ++row)
                {
                    weight.FusedLinear(View.Of(x, 3, columns).Rows(row, 1), View.Of(one, 3, rows).Rows(row, 1));
                }
                Assert.Equal(f32, one);
            }
        }

        [Fact]
        public void Bias()
        {
            const string Layer = "bd_100x200/b4";
            Half[] x = Golden.Load<Half>(Golden.Source(Layer, "x"));
            using (Tensor weight = Tensor.CreateE8P(Fixture.Context, Golden.Parts(Layer, true)))
            {
                var y = new float[3, 100];
                weight.FusedLinear(View.Of(x, 3, 200), y);
                Assert.Equal(Golden.Bytes(Layer + "/y_exact_bias_f32"), RawBytes.Of(y));
                Assert.Equal(DType.F16, weight.E8P.BiasDType);
            }
        }

        [Theory]
        [MemberData(nameof(Layers))]
        public void PiecesEqualTheWhole(string layer)
        {
            Half[] x = Golden.Load<Half>(Golden.Source(layer, "x"));
            using (Tensor weight = Tensor.CreateE8P(Fixture.Context, Golden.Parts(layer)))
            {
                var v = new float[3, weight.E8P.PaddedIn];
                var z = new float[3, weight.E8P.PaddedOut];
                var y = new float[3, weight.E8P.OutFeatures];
                weight.RhtInput(View.Of(x, 3, weight.E8P.InFeatures), v);
                weight.Matmul(v, z);
                weight.RhtOutput(z, y);
                Assert.Equal(Golden.Bytes(layer + "/y_exact_f32"), RawBytes.Of(y));
            }
        }

        [Theory]
        [MemberData(nameof(Layers))]
        public void ExportIsBitForBit(string layer)
        {
            bool withBias = Golden.Has(layer + "/bias");
            E8PParts given = Golden.Parts(layer, withBias);
            using (Tensor weight = Tensor.CreateE8P(Fixture.Context, given))
            {
                E8PParts exported = weight.Export();
                Assert.Equal(given.Stages.Count, exported.Stages.Count);
                for (int i = 0; i < given.Stages.Count; ++i)
                {
                    Assert.Equal(given.Stages[i].Codebook, exported.Stages[i].Codebook);
                    Assert.Equal(given.Stages[i].CumInvScale, exported.Stages[i].CumInvScale);
                    Assert.Equal(given.Stages[i].Indices.Shape, exported.Stages[i].Indices.Shape);
                    Assert.Equal(given.Stages[i].Indices.Array, exported.Stages[i].Indices.Array);
                }
                Assert.Equal(RawBytes.Of(given.Sv.Array), RawBytes.Of(exported.Sv.Array));
                Assert.Equal(RawBytes.Of(given.Su.Array), RawBytes.Of(exported.Su.Array));
                Assert.Equal(given.WeightScale, exported.WeightScale);
                if (withBias)
                {
                    Assert.Equal(RawBytes.Of(given.Bias.Array), RawBytes.Of(exported.Bias.Array));
                }
                using (Tensor again = Tensor.CreateE8P(Fixture.Context, exported))
                {
                    Assert.Equal(weight.E8P.PackedBytes, again.E8P.PackedBytes);
                }
            }
        }

        [Theory]
        [MemberData(nameof(Layers))]
        public void DequantizeAndDecode(string layer)
        {
            using (Tensor weight = Tensor.CreateE8P(Fixture.Context, Golden.Parts(layer)))
            {
                int rows = (int)weight.E8P.OutFeatures;
                var w = new float[rows, weight.E8P.InFeatures];
                weight.Dequantize(w);
                if (Golden.Has(layer + "/W_hat"))
                {
                    Assert.InRange(Distance(Golden.Load<float>(layer + "/W_hat"), View.OfArray(w).ToArray<float>()),
                        0, 1e-5);
                }
                var all = new float[weight.E8P.PaddedOut, weight.E8P.PaddedIn];
                var some = new float[7, weight.E8P.PaddedIn];
                weight.Decode(all);
                weight.Decode(some, 5);
                Assert.Equal(View.OfArray(all).Rows(5, 7).ToArray<float>(), View.OfArray(some).ToArray<float>());
            }
        }

        [Theory]
        [MemberData(nameof(Checkpoints))]
        public void CheckpointLayers(string name)
        {
            using (Checkpoint file = Checkpoint.Open(System.IO.Path.Combine(Golden.Folder, name)))
            {
                Assert.NotEmpty(file.LayerNames);
                foreach (string layer in file.LayerNames)
                {
                    string prefix = name + "/" + layer;
                    long columns = Golden.Shape(prefix + "/x")[1];
                    long rows = Golden.Shape(prefix + "/y_ref_f64")[1];
                    using (Tensor weight = file.Load(layer, Fixture.Context, columns, rows))
                    {
                        long tokens = Golden.Shape(prefix + "/x")[0];
                        var y = new float[tokens * rows];
                        weight.FusedLinear(View.Of(Golden.Load<Half>(prefix + "/x"), tokens, columns),
                                           View.Of(y, tokens, rows));
                        float[] expected = Golden.Load<double>(prefix + "/y_ref_f64").Select(v => (float)v).ToArray();
                        Assert.InRange(Distance(expected, y), 0, 1e-4);
                    }
                }
            }
        }

        [Theory]
        [MemberData(nameof(QuantizedLayers))]
        public void QuantizerGivesTheRecordedCodes(string layer)
        {
            E8PParts expected = Golden.Parts(layer);
            var options = new QuantizerOptions(expected.InFeatures, expected.OutFeatures,
                layer[layer.Length - 1] - '0');
            using (var quantizer = new Quantizer(Fixture.Context, options))
            {
                quantizer.SetHessian(Stored(Golden.Source(layer, "H")), 1);
                using (Tensor weight = quantizer.Run(Stored(Golden.Source(layer, "W"))))
                {
                    E8PParts made = weight.Export();
                    Assert.Equal(RawBytes.Of(expected.Sv.Array), RawBytes.Of(made.Sv.Array));
                    Assert.Equal(RawBytes.Of(expected.Su.Array), RawBytes.Of(made.Su.Array));
                    for (int i = 0; i < expected.Stages.Count; ++i)
                    {
                        Assert.Equal(expected.Stages[i].Indices.Array, made.Stages[i].Indices.Array);
                    }
                    Assert.InRange(made.WeightScale / expected.WeightScale, 1 - 1e-6, 1 + 1e-6);
                }
            }
        }

        internal static double Distance(float[] expected, float[] actual)
        {
            double difference = 0;
            double size = 0;
            for (int i = 0; i < expected.Length; ++i)
            {
                difference += Math.Pow(expected[i] - actual[i], 2);
                size += Math.Pow(expected[i], 2);
            }
            return Math.Sqrt(difference / size);
        }

        private static View Stored(string name)
        {
            byte[] bytes = Golden.Bytes(name);
            long[] shape = Golden.Shape(name);
            return bytes.Length / (shape[0] * shape[1]) == 8
                ? View.Of(Golden.Load<double>(name), shape)
                : View.Of(Golden.Load<float>(name), shape);
        }
    }
}
