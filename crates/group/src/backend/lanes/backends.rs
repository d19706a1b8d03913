//! The backends for x86-64, each a representation of the field and the processor features it is compiled for.
//!
//! Here and nowhere else the compiler is told of instructions that not every processor has. Each function of a backend
//! enters a function of its own with those features enabled; the generic code of this folder is inlined into it whole.

use super::LanePoints;
use super::avx2::U64x4;
use super::avx512::U64x8;
use super::radix25::Element25;
use super::radix52::Element52;
use crate::backend::Kernel;
use crate::error::PointError;
use crate::hash::{Expander, UNIFORM_BYTES};
use crate::scalar::Scalar;

/// Makes a backend: its documentation, type, name, representation of the field, and features.
macro_rules! backend {
    ($(#[$doc:meta])* $backend:ident, $name:literal, $field:ty, $features:literal) => {
        $(#[$doc])*
        pub(crate) struct $backend;

        impl Kernel for $backend {
            const NAME: &'static str = $name;

            type Points = LanePoints<$field>;

            fn hash_to_group(expander: &Expander, messages: &[&[u8]]) -> Self::Points {
                #[target_feature(enable = $features)]
                fn enter(expander: &Expander, messages: &[&[u8]]) -> LanePoints<$field> {
                    super::hash_to_group(expander, messages)
                }
                // SAFETY: the processor has the features, by the contract of `Kernel`.
                unsafe { enter(expander, messages) }
            }

            fn map_to_group(uniform: &[[u8; UNIFORM_BYTES]]) -> Self::Points {
                #[target_feature(enable = $features)]
                fn enter(uniform: &[[u8; UNIFORM_BYTES]]) -> LanePoints<$field> {
                    super::map_to_group(uniform)
                }
                // SAFETY: the processor has the features, by the contract of `Kernel`.
                unsafe { enter(uniform) }
            }

            fn decode(encodings: &[[u8; 32]]) -> Result<Self::Points, PointError> {
                #[target_feature(enable = $features)]
                fn enter(encodings: &[[u8; 32]]) -> Result<LanePoints<$field>, PointError> {
                    super::decode(encodings)
                }
                // SAFETY: the processor has the features, by the contract of `Kernel`.
                unsafe { enter(encodings) }
            }

            fn mul(k: &Scalar, points: &Self::Points) -> Self::Points {
                #[target_feature(enable = $features)]
                fn enter(k: &Scalar, points: &LanePoints<$field>) -> LanePoints<$field> {
                    super::mul(k, points)
                }
                // SAFETY: the processor has the features, by the contract of `Kernel`.
                unsafe { enter(k, points) }
            }

            fn encode(points: &Self::Points, out: &mut [[u8; 32]]) {
                #[target_feature(enable = $features)]
                fn enter(points: &LanePoints<$field>, out: &mut [[u8; 32]]) {
                    super::encode(points, out);
                }
                // SAFETY: the processor has the features, by the contract of `Kernel`.
                unsafe { enter(points, out) }
            }

            fn mul_encode(k: &Scalar, points: &Self::Points, out: &mut [[u8; 32]]) {
                #[target_feature(enable = $features)]
                fn enter(k: &Scalar, points: &LanePoints<$field>, out: &mut [[u8; 32]]) {
                    super::mul_encode(k, points, out);
                }
                // SAFETY: the processor has the features, by the contract of `Kernel`.
                unsafe { enter(k, points, out) }
            }

            #[cfg(test)]
            fn put_identity(points: &mut Self::Points, index: usize) {
                #[target_feature(enable = $features)]
                fn enter(points: &mut LanePoints<$field>, index: usize) {
                    super::put_identity(points, index);
                }
                // SAFETY: the processor has the features, by the contract of `Kernel`.
                unsafe { enter(points, index) }
            }
        }
    };
}

backend!(
    /// Four records at a time on AVX2.
    Avx2,
    "avx2",
    Element25<U64x4>,
    "avx2"
);

backend!(
    /// Eight records at a time on AVX-512 IFMA.
    Ifma,
    "ifma",
    Element52<U64x8>,
    "avx512f,avx512ifma"
);

#[cfg(test)]
mod tests {
    mod avx2 {
        use crate::backend::Avx2;

        crate::backend::conformance::suite!(Avx2);
    }

    mod ifma {
        use crate::backend::Ifma;

        crate::backend::conformance::suite!(Ifma);
    }
}
