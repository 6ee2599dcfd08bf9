#if NET8_0_OR_GREATER
using System;
using System.IO;
using System.Linq;
using Xunit;

namespace Glq.Tests
{
    /// <summary>Spans and memory, which the sources for Mono do without.</summary>
    public class SpanTests
    {
        [Fact]
        public void SpansGiveTheBytesOfArrays()
        {
            using (Tensor weight = Fixture.Weight(Fixture.Context))
            {
                float[] x = Fixture.Random(300);
                var expected = new float[80];
                weight.FusedLinear(View.Of(x, 3, 100).Rows(1, 2), View.Of(expected, 2, 40));

                var y = new float[100];
                weight.FusedLinear(View.Of(new ReadOnlySpan<float>(x, 100, 200), 2, 100), View.Of(y.AsSpan(10), 2, 40));
                Assert.Equal(expected, y.Skip(10).Take(80).ToArray());
                Array.Clear(y, 0, y.Length);
                weight.FusedLinear(View.Of(x.AsMemory(100), 2, 100), View.Of(y.AsMemory(20, 80), 2, 40));
                Assert.Equal(expected, y.Skip(20).ToArray());

                Span<float> one = stackalloc float[40];
                weight.FusedLinear(new ReadOnlySpan<float>(x, 100, 100), one);
                Assert.Equal(expected.Take(40).ToArray(), one.ToArray());
            }
        }

        [Fact]
        public void ReadOnlySpansAreNotWritten()
        {
            using (Tensor weight = Fixture.Weight(Fixture.Context))
            {
                var y = new float[40];
                var error = Assert.Throws<GlqArgumentException>(
                    () => weight.FusedLinear(new float[100], new ReadOnlySpan<float>(y)));
                Assert.Contains("READ_ONLY", error.NativeMessage);
                Assert.True(View.Of(new ReadOnlyMemory<float>(y)).IsReadOnly);
            }
        }

        [Fact]
        public void SpansOfTheWrongSize()
        {
            Assert.Throws<GlqArgumentException>(() => View.Of(new float[10].AsSpan(), 3, 4).Shape.ToString());
            Assert.Equal(0L, View.Of(Span<float>.Empty).Count);
            Assert.Equal(new long[] { 0, 5 }, View.Of(Span<float>.Empty, 0, 5).Shape);
        }

        [Fact]
        public void ViewsAsSpans()
        {
            using (Checkpoint file = Checkpoint.Open(Path.Combine(Golden.Folder, "ckpt_e8p_blockdiag")))
            {
                View view = file.GetTensor(file.TensorNames.First(name => name.EndsWith(".SU", StringComparison.Ordinal)));
                ReadOnlySpan<Half> span = view.AsSpan<Half>();
                Assert.Equal(RawBytes.Of(view.ToArray<Half>()), RawBytes.Of(span.ToArray()));
            }
            Assert.Equal(new float[] { 3, 4 }, View.Of(new float[] { 1, 2, 3, 4 }, 2, 2).Rows(1, 1).AsSpan<float>().ToArray());
            Assert.Throws<GlqArgumentException>(() => View.Of(new float[4]).AsSpan<int>().ToArray());
        }
    }
}
#endif
