using System;
using Xunit;

namespace Glq.Tests
{
    /// <summary>Conversions of 16-bit floating point numbers.</summary>
    public class NumberTests
    {
        [Fact]
        public void EveryHalfSurvivesTheWayToFloatAndBack()
        {
            var bits = new ushort[65536];
            for (int i = 0; i < bits.Length; ++i)
            {
                bits[i] = (ushort)i;
            }
            var halves = new Half[65536];
            RawBytes.Copy(RawBytes.Of(bits), halves);
            for (int i = 0; i < halves.Length; ++i)
            {
                bool isNaN = (i & 0x7C00) == 0x7C00 && (i & 0x3FF) != 0;
                Assert.True(isNaN == float.IsNaN((float)halves[i]), "NaN");
                halves[i] = isNaN ? (Half)0f : (Half)(float)halves[i];
                bits[i] = isNaN ? (ushort)0 : bits[i];
            }
            Assert.Equal(RawBytes.Of(bits), RawBytes.Of(halves));
        }

        [Fact]
        public void HalfRoundsToNearestEven()
        {
            Assert.Equal(1f, (float)(Half)1.00048828125f);
            Assert.Equal(1.001953125f, (float)(Half)1.00146484375f);
            Assert.Equal(65504f, (float)(Half)65519f);
            Assert.True(float.IsPositiveInfinity((float)(Half)65520f), "overflow");
            Assert.Equal(5.9604645e-8f, (float)(Half)4e-8f);
            Assert.Equal(0f, (float)(Half)2.9802322e-8f);
            Assert.Equal(6.1035156e-5f, (float)(Half)6.1035e-5f);
            Assert.True(float.IsNaN((float)(Half)float.NaN), "NaN");
        }

        [Fact]
        public void BFloat16RoundsToNearestEven()
        {
            Assert.Equal(0x3F80, ((BFloat16)1.00390625f).Bits);
            Assert.Equal(0x3F82, ((BFloat16)1.01171875f).Bits);
            Assert.Equal(0x7F80, ((BFloat16)float.MaxValue).Bits);
            Assert.Equal(0xFF80, ((BFloat16)float.NegativeInfinity).Bits);
            Assert.Equal(0x7FC0, ((BFloat16)float.NaN).Bits);
            for (int i = 0; i < 65536; ++i)
            {
                var number = BFloat16.FromBits((ushort)i);
                Assert.True(float.IsNaN((float)number) || ((BFloat16)(float)number).Bits == i,
                    "the way to float and back");
            }
            Assert.True((BFloat16)0f == (BFloat16)(-0f) && (BFloat16)1f != (BFloat16)2f, "comparison");
        }
    }
}
