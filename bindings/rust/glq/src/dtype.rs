//! Element types.

use std::fmt;

use crate::sys;

/// An element type: DLPack's triple of code, bits and lanes in one integer.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DType(pub sys::glq_dtype);

macro_rules! dtypes {
    ($($name:ident = $value:ident, $text:literal;)*) => {
        impl DType {
            $(#[doc = concat!("`", stringify!($value), "`")] pub const $name: DType = DType(sys::$value);)*
        }

        impl fmt::Display for DType {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 {
                    $(sys::$value => formatter.write_str($text),)*
                    other => write!(formatter, "dtype {other:#x}"),
                }
            }
        }
    };
}

dtypes! {
    I8 = GLQ_DTYPE_I8, "i8";
    I16 = GLQ_DTYPE_I16, "i16";
    I32 = GLQ_DTYPE_I32, "i32";
    I64 = GLQ_DTYPE_I64, "i64";
    U8 = GLQ_DTYPE_U8, "u8";
    U16 = GLQ_DTYPE_U16, "u16";
    F16 = GLQ_DTYPE_F16, "f16";
    F32 = GLQ_DTYPE_F32, "f32";
    F64 = GLQ_DTYPE_F64, "f64";
    BF16 = GLQ_DTYPE_BF16, "bf16";
}

impl DType {
    /// Bytes of an element.
    pub const fn size(self) -> usize {
        (((self.0 >> 8) & 0xff) as usize * (self.0 >> 16) as usize).div_ceil(8)
    }
}

impl fmt::Debug for DType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// A Rust type that is an element type of the library.
///
/// # Safety
/// `DTYPE` describes the type, which is plain data: every bit pattern is a value.
pub unsafe trait Element: Copy + Send + Sync + 'static {
    /// The element type.
    const DTYPE: DType;
}

macro_rules! elements {
    ($($type:ty = $name:ident),* $(,)?) => {
        $(
            const _: () = assert!(DType::$name.size() == size_of::<$type>());
            // SAFETY: a number of this size, without invalid bit patterns.
            unsafe impl Element for $type {
                const DTYPE: DType = DType::$name;
            }
        )*
    };
}

elements!(i8 = I8, i16 = I16, i32 = I32, i64 = I64, u8 = U8, u16 = U16, f32 = F32, f64 = F64);
#[cfg(feature = "half")]
elements!(half::f16 = F16, half::bf16 = BF16);
