#if !NET8_0_OR_GREATER
using System;
using System.Globalization;
using System.Runtime.InteropServices;

namespace Glq
{
    /// <summary>An IEEE binary16 number, where the runtime has no System.Half.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public readonly struct Half : IEquatable<Half>
    {
        private readonly ushort bits;

        private Half(ushort bits)
        {
            this.bits = bits;
        }

        /// <summary>Rounds to nearest, ties to even.</summary>
        public static unsafe explicit operator Half(float value)
        {
            uint wide = *(uint*)&value;
            uint sign = (wide >> 16) & 0x8000;
            uint magnitude = wide & 0x7FFFFFFF;
            if (magnitude > 0x7F800000)
            {
                return new Half((ushort)(sign | 0x7E00));
            }
            if (magnitude >= 0x477FF000)
            {
                return new Half((ushort)(sign | 0x7C00));
            }
            if (magnitude < 0x38800000)
            {
                // Adding 0.5 leaves 24 bits of which the last is worth 2^-24, the smallest subnormal number.
                float shifted = *(float*)&magnitude + 0.5f;
                return new Half((ushort)(sign | (*(uint*)&shifted - 0x3F000000)));
            }
            uint rounded = magnitude + 0xFFF + ((magnitude >> 13) & 1);
            return new Half((ushort)(sign | ((rounded - 0x38000000) >> 13)));
        }

        /// <summary>Exact.</summary>
        public static unsafe explicit operator float(Half value)
        {
            uint sign = (uint)(value.bits & 0x8000) << 16;
            uint magnitude = (uint)(value.bits & 0x7FFF);
            uint wide;
            if (magnitude >= 0x7C00)
            {
                wide = 0x7F800000 | ((magnitude & 0x3FF) << 13);
            }
            else if (magnitude >= 0x400)
            {
                wide = (magnitude << 13) + 0x38000000;
            }
            else
            {
                float small = magnitude * 5.9604644775390625e-8f;
                wide = *(uint*)&small;
            }
            wide |= sign;
            return *(float*)&wide;
        }

        /// <inheritdoc/>
        public bool Equals(Half other)
        {
            return ((float)this).Equals((float)other);
        }

        /// <inheritdoc/>
        public override bool Equals(object obj)
        {
            return obj is Half && Equals((Half)obj);
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
#endif
