using System;

namespace Glq
{
    /// <summary>What goes with a <see cref="DType"/>.</summary>
    public static class DTypes
    {
        /// <summary>Bytes of one element.</summary>
        public static int Size(this DType type)
        {
            return (int)(((uint)type >> 8) & 0xFF) / 8;
        }

        /// <summary>The data type of a .NET element type.</summary>
        /// <exception cref="GlqArgumentException">libglq has no such type.</exception>
        public static DType Of<T>() where T : struct
        {
            return Known<T>.Type != DType.None ? Known<T>.Type : throw Unknown(typeof(T));
        }

        internal static DType Of(Type type)
        {
            DType found = Find(type);
            return found != DType.None ? found : throw Unknown(type);
        }

        private static DType Find(Type type)
        {
            if (type == typeof(float))
            {
                return DType.F32;
            }
            if (type == typeof(Half))
            {
                return DType.F16;
            }
            if (type == typeof(BFloat16))
            {
                return DType.BF16;
            }
            switch (Type.GetTypeCode(type))
            {
                case TypeCode.Double:
                    return DType.F64;
                case TypeCode.SByte:
                    return DType.I8;
                case TypeCode.Int16:
                    return DType.I16;
                case TypeCode.Int32:
                    return DType.I32;
                case TypeCode.Int64:
                    return DType.I64;
                case TypeCode.Byte:
                    return DType.U8;
                case TypeCode.UInt16:
                    return DType.U16;
                default:
                    return DType.None;
            }
        }

        private static GlqArgumentException Unknown(Type type)
        {
            return new GlqArgumentException(Status.Dtype, "elements of " + type + " have no data type in libglq");
        }

        private static class Known<T>
        {
            internal static readonly DType Type = Find(typeof(T));
        }
    }
}
