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

/// Makes a backend: its documentation, type, name, representation of the field, and the processor features that its
/// code is compiled for, with the names that users know.
macro_rules! backend {
    (
        $(#[$doc:meta])* $backend:ident, $name:literal, $field:ty,
        $($feature:tt = $feature_name:literal),+
    ) => {
        $(#[$doc])*
        pub(crate) struct $backend;

        impl Kernel for $backend {
            const NAME: &'static str = $name;

            type Points = LanePoints<$field>;

            fn missing_feature() -> Option<&'static str> {
                $(
                    if !is_x86_feature_detected!($feature) {
                        return Some($feature_name);
                    }
                )+
                None
            }

            fn hash_to_group(expander: &Expander, messages: &[&[u8]]) -> Self::Points {
                #[target_feature($(enable = $feature),+)]
                fn enter(expander: &Expander, messages: &[&[u8]]) -> LanePoints<$field> {
                    super::hash_to_group(expander, messages)
                }
                require::<Self>();
                // SAFETY: the processor has all the features that the function is compiled for.
                unsafe { enter(expander, messages) }
            }

            fn map_to_group(uniform: &[[u8; UNIFORM_BYTES]]) -> Self::Points {
                #[target_feature($(enable = $feature),+)]
                fn enter(uniform: &[[u8; UNIFORM_BYTES]]) -> LanePoints<$field> {
                    super::map_to_group(uniform)
                }
                require::<Self>();
                // SAFETY: the processor has all the features that the function is compiled for.
                unsafe { enter(uniform) }
            }

            fn decode(encodings: &[[u8; 32]]) -> Result<Self::Points, PointError> {
                #[target_feature($(enable = $feature),+)]
                fn enter(encodings: &[[u8; 32]]) -> Result<LanePoints<$field>, PointError> {
                    super::decode(encodings)
                }
                require::<Self>();
                // SAFETY: the processor has all the features that the function is compiled for.
                unsafe { enter(encodings) }
            }

            fn mul(k: &Scalar, points: &Self::Points) -> Self::Points {
                #[target_feature($(enable = $feature),+)]
                fn enter(k: &Scalar, points: &LanePoints<$field>) -> LanePoints<$field> {
                    super::mul(k, points)
                }
                require::<Self>();
                // SAFETY: the processor has all the features that the function is compiled for.
                unsafe { enter(k, points) }
            }

            fn encode(points: &Self::Points, out: &mut [[u8; 32]]) {
                #[target_feature($(enable = $feature),+)]
                fn enter(points: &LanePoints<$field>, out: &mut [[u8; 32]]) {
                    super::encode(points, out);
                }
                require::<Self>();
                // SAFETY: the processor has all the features that the function is compiled for.
                unsafe { enter(points, out) }
            }

            fn mul_encode(k: &Scalar, points: &Self::Points, out: &mut [[u8; 32]]) {
                #[target_feature($(enable = $feature),+)]
                fn enter(k: &Scalar, points: &LanePoints<$field>, out: &mut [[u8; 32]]) {
                    super::mul_encode(k, points, out);
                }
                require::<Self>();
                // SAFETY: the processor has all the features that the function is compiled for.
                unsafe { enter(k, points, out) }
            }

            #[cfg(test)]
            fn put_identity(points: &mut Self::Points, index: usize) {
                #[target_feature($(enable = $feature),+)]
                fn enter(points: &mut LanePoints<$field>, index: usize) {
                    super::put_identity(points, index);
                }
                require::<Self>();
                // SAFETY: the processor has all the features that the function is compiled for.
                unsafe { enter(points, index) }
            }
        }
    };
}

/// Looks at the processor once more, which costs a load from memory a batch: what follows must not depend on whoever
/// called.
///
/// # Panics
/// If it lacks a feature. No [`Backend`](crate::backend::Backend) leads there.
fn require<K: Kernel>() {
    if let Some(feature) = K::missing_feature() {
        panic!("backend '{}' was called on a processor without {feature}", K::NAME);
    }
}

backend!(
    /// Four records at a time on AVX2.
    Avx2,
    "avx2",
    Element25<U64x4>,
    "avx2" = "AVX2"
);

backend!(
    /// Eight records at a time on AVX-512 IFMA.
    Ifma,
    "ifma",
    Element52<U64x8>,
    "avx2" = "AVX2",
    "avx512f" = "AVX-512F",
    "avx512ifma" = "AVX-512IFMA"
);

#[cfg(test)]
pub(crate) mod tests {
    use super::super::field::tests::Roots;
    use super::super::field::{self, SqrtRatio};
    use super::*;
    use crate::backend::conformance::is_here;

    /// Fields of the backends, for the checks that stand beside their parts.
    pub(crate) type Avx2Field = Element25<U64x4>;
    pub(crate) type IfmaField = Element52<U64x8>;

    /// Runs a check where the compiler knows of the features, as far as it inlines what is called; on a processor that
    /// lacks them, says so and runs nothing.
    pub(crate) fn on_avx2(check: impl FnOnce()) {
        #[target_feature(enable = "avx2")]
        fn enter(check: impl FnOnce()) {
            check();
        }
        if is_here::<Avx2>() {
            // SAFETY: the processor has the features, as the backend is there.
            unsafe { enter(check) }
        }
    }

    /// Likewise.
    pub(crate) fn on_ifma(check: impl FnOnce()) {
        #[target_feature(enable = "avx512f,avx512ifma")]
        fn enter(check: impl FnOnce()) {
            check();
        }
        if is_here::<Ifma>() {
            // SAFETY: the processor has the features, as the backend is there.
            unsafe { enter(check) }
        }
    }

    /// Gives a field the powers, compiled with the features that it needs.
    macro_rules! roots {
        ($field:ty, $features:literal) => {
            impl Roots for $field {
                fn pow_p58(x: [Self; 2]) -> [Self; 2] {
                    #[target_feature(enable = $features)]
                    fn enter(x: [$field; 2]) -> [$field; 2] {
                        field::pow_p58(x)
                    }
                    // SAFETY: the processor has the features, or there were no value of this type.
                    unsafe { enter(x) }
                }

                fn invert(x: Self) -> Self {
                    #[target_feature(enable = $features)]
                    fn enter(x: $field) -> $field {
                        field::invert(x)
                    }
                    // SAFETY: the processor has the features, or there were no value of this type.
                    unsafe { enter(x) }
                }

                fn sqrt_ratio(ratios: [(Self, Self); 2]) -> [SqrtRatio<Self>; 2] {
                    #[target_feature(enable = $features)]
                    fn enter(ratios: [($field, $field); 2]) -> [SqrtRatio<$field>; 2] {
                        field::sqrt_ratio(ratios)
                    }
                    // SAFETY: the processor has the features, or there were no value of this type.
                    unsafe { enter(ratios) }
                }
            }
        };
    }
    roots!(Avx2Field, "avx2");
    roots!(IfmaField, "avx512f,avx512ifma");

    mod avx2 {
        use crate::backend::Avx2;

        crate::backend::conformance::suite!(Avx2);
    }

    mod ifma {
        use crate::backend::Ifma;

        crate::backend::conformance::suite!(Ifma);
    }
}
