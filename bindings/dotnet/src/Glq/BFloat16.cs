using System;
using System.Globalization;
using System.Runtime.InteropServices;

namespace Glq
{
    /// <summary>A bfloat16 number: the upper half of a <see cref="float"/>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public readonly struct BFloat16 : IEquatable<BFloat16>
    {
        private readonly ushort bits;

        private BFloat16(ushort bits)
        {
            this.bits = bits;
        }

        /// <summary>The 16 bits.</summary>
        public ushort Bits => bits;

        /// <summary>The number with these 16 bits.</summary>
        public static BFloat16 FromBits(ushort bits)
        {
            return new BFloat16(bits);
        }

        /// <summary>Rounds to nearest, ties to even; NaN becomes the canonical quiet NaN.</summary>
        public static unsafe explicit operator BFloat16(float value)
        {
            if (float.IsNaN(value))
            {
                return new BFloat16(0x7FC0);
            }
            uint wide = *(uint*)&value;
            return new BFloat16((ushort)((wide + 0x7FFF + ((wide >> 16) & 1)) >> 16));
        }

        /// <summary>Exact.</summary>
        public static unsafe explicit operator float(BFloat16 value)
        {
            uint wide = (uint)value.bits << 16;
            return *(float*)&wide;
        }

        /// <summary>Whether both are the same number.</summary>
        public static bool operator ==(BFloat16 left, BFloat16 right)
        {
            return (float)left == (float)right;
        }

        /// <summary>Whether they are not the same number.</summary>
        public static bool operator !=(BFloat16 left, BFloat16 right)
        {
            return !(left == right);
        }

        /// <inheritdoc/>
        public bool Equals(BFloat16 other)
        {
            return ((float)this).Equals((float)other);
        }

        /// <inheritdoc/>
        public override bool Equals(object obj)
        {
            return obj is BFloat16 && Equals((BFloat16)obj);
        }

        /// <inheritdoc/>
        public override int GetHashCode()
        {
            return ((float)this).GetHashCode();
        }

        /// <inheritdoc/>
        public override string ToString()
        {
            return ((float)this).ToString(CultureInfo.CurrentCulture);
        }
    }
}
