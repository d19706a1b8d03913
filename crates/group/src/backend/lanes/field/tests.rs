#![allow(clippy::unwrap_used)]
//! Both representations against integers of any size, on plain words and on the vectors of the processor. What the
//! file of a representation promises of its limbs and columns is stated again in its [`Probe`], and checked here.

use std::sync::LazyLock;

use num_bigint::BigUint;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::super::radix25::Element25;
use super::super::radix52::Element52;
use super::super::vector::MAX_LANES;
use super::super::vector::tests::Twin;
use super::*;

/// Makes one test of each check for each field: the twins on plain words, whose additions and subtractions panic
/// on overflow where debug assertions are on, and the vectors, where the processor has them.
macro_rules! on_each_field {
    ($($check:ident),* $(,)?) => {
        mod twin_25 {
            $(#[test] fn $check() {
                super::$check::<crate::backend::lanes::field::tests::Twin25>();
            })*
        }

        mod twin_52 {
            $(#[test] fn $check() {
                super::$check::<crate::backend::lanes::field::tests::Twin52>();
            })*
        }

        #[cfg(target_arch = "x86_64")]
        mod avx2 {
            $(#[test] fn $check() {
                crate::backend::lanes::backends::tests::on_avx2(
                    super::$check::<crate::backend::lanes::backends::tests::Avx2Field>
                );
            })*
        }

        #[cfg(target_arch = "x86_64")]
        mod ifma {
            $(#[test] fn $check() {
                crate::backend::lanes::backends::tests::on_ifma(
                    super::$check::<crate::backend::lanes::backends::tests::IfmaField>
                );
            })*
        }
    };
}
pub(crate) use on_each_field;

/// Both representations on plain words.
pub(crate) type Twin25 = Element25<Twin>;
pub(crate) type Twin52 = Element52<Twin>;

/// Limbs or columns of as many numbers as there are lanes.
pub(crate) type Lanes = Vec<[u64; MAX_LANES]>;

/// What a representation states of its limbs and columns, and the way to them.
pub(crate) trait Probe: Field {
    /// Limb and column i count 2^WEIGHTS[i] times.
    const WEIGHTS: &'static [u32];
    /// Bits of the word of limb i that are part of the number.
    const PARTS: &'static [u64];
    /// Bits that may be set in the word of limb i beside those.
    const DIRT: &'static [u64];
    /// Limb i of any element is below LIMITS[i].
    const LIMITS: &'static [u64];
    /// Limb i of an element that was just carried is below CARRIED[i].
    const CARRIED: &'static [u64];
    /// Column i of a product is below PRODUCTS[i].
    const PRODUCTS: &'static [u64];
    /// Products that may be subtracted from the multiple of p.
    const SUBTRAHENDS: u64;
    /// Products that may be carried together with two multiples of p.
    const ADDENDS: u64;
    /// What the multiple of p is p times.
    const MULTIPLE: u64;

    fn from_limbs(limbs: &[[u64; MAX_LANES]]) -> Self;
    fn limbs(self) -> Lanes;
    fn from_columns(columns: &[[u64; MAX_LANES]]) -> Self::Sum;
    fn columns(sum: Self::Sum) -> Lanes;
}

/// The powers, which are large functions: each field has them compiled once, the vectors with the features that
/// they need.
pub(crate) trait Roots: Probe {
    fn pow_p58(x: [Self; 2]) -> [Self; 2];
    fn invert(x: Self) -> Self;
    fn sqrt_ratio(ratios: [(Self, Self); 2]) -> [SqrtRatio<Self>; 2];
}

macro_rules! roots_of_the_twin {
    ($field:ty) => {
        impl Roots for $field {
            fn pow_p58(x: [Self; 2]) -> [Self; 2] {
                pow_p58(x)
            }

            fn invert(x: Self) -> Self {
                invert(x)
            }

            fn sqrt_ratio(ratios: [(Self, Self); 2]) -> [SqrtRatio<Self>; 2] {
                sqrt_ratio(ratios)
            }
        }
    };
}
roots_of_the_twin!(Twin25);
roots_of_the_twin!(Twin52);

/// Makes each operation a function that is compiled once a field, where the code itself inlines all of them
/// everywhere.
macro_rules! once {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty = $call:expr;)*) => {
        $(
            #[inline(never)]
            fn $name<F: Field>($($argument: $type),*) -> $result {
                $call
            }
        )*
    };
}
once! {
    fn multiple_of_p() -> F::Sum = F::Sum::multiple_of_p();
    fn mul_onto(a: F, b: F, start: F::Sum) -> F::Sum = a.mul_onto(b, start);
    fn square_onto(a: F, start: F::Sum) -> F::Sum = a.square_onto(start);
    fn mul(a: F, b: F) -> F = a.mul(b);
    fn square(a: F) -> F = a.square();
    fn plus(a: F, b: F) -> F = a.plus(b);
    fn minus(a: F, b: F) -> F = a.minus(b);
    fn negate(a: F) -> F = a.negate();
    fn negate_where(a: F, mask: F::Vector) -> F = a.negate_where(mask);
    fn abs(a: F) -> F = a.abs();
    fn is_zero(a: F) -> F::Vector = a.is_zero();
    fn is_negative(a: F) -> F::Vector = a.is_negative();
}

/// What `carry` takes, in each column.
const CARRY_TAKES: u64 = 1 << 63;

static P: LazyLock<BigUint> = LazyLock::new(|| (BigUint::from(1u8) << 255) - 19u8);

pub(crate) fn p() -> &'static BigUint {
    &P
}

pub(crate) fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(0xf1e1_d000)
}

pub(crate) fn number(words: Words) -> BigUint {
    words.iter().rev().fold(BigUint::ZERO, |sum, word| (sum << 64) + *word)
}

pub(crate) fn words(number: &BigUint) -> Words {
    let mut words = [0; 4];
    assert!(number.bits() <= 256);
    for (word, digit) in words.iter_mut().zip(number.iter_u64_digits()) {
        *word = digit;
    }
    words
}

/// a - b modulo p.
pub(crate) fn difference(a: &BigUint, b: &BigUint) -> BigUint {
    (a + p() - b % p()) % p()
}

pub(crate) fn power(base: &BigUint, exponent: &BigUint) -> BigUint {
    base.modpow(exponent, p())
}

/// 1/x modulo p, and 0 for 0.
pub(crate) fn inverse(x: &BigUint) -> BigUint {
    power(x, &(p() - 2u8))
}

/// One number a lane, from the beginning again where there are fewer.
#[inline(never)]
pub(crate) fn from_numbers<F: Field>(numbers: &[BigUint]) -> F {
    let mut lanes = [[0; MAX_LANES]; 4];
    for lane in 0..MAX_LANES {
        for (word, given) in lanes.iter_mut().zip(words(&numbers[lane % numbers.len()])) {
            word[lane] = given;
        }
    }
    F::from_words(lanes.map(|word| F::Vector::from_words(&word)))
}

/// The least representatives, as the field itself writes them.
#[inline(never)]
pub(crate) fn to_numbers<F: Field>(x: F) -> Vec<BigUint> {
    let words = x.to_words().map(Vector::to_words);
    (0..F::Vector::LANES).map(|lane| number(words.map(|word| word[lane]))).collect()
}

/// A mask, all ones in the lanes that are told.
pub(crate) fn mask<V: Vector>(lanes: impl Fn(usize) -> bool) -> V {
    V::from_words(&std::array::from_fn(|lane| if lanes(lane) { u64::MAX } else { 0 }))
}

/// What each lane of a mask says.
pub(crate) fn lanes_of<V: Vector>(mask: V) -> Vec<bool> {
    let lane = |word| match word {
        0 => false,
        u64::MAX => true,
        _ => panic!("{word:#x} is no mask"),
    };
    mask.to_words()[..V::LANES].iter().copied().map(lane).collect()
}

/// Sums of limbs or columns by their weights, not reduced.
fn weighed<F: Probe>(lanes: &Lanes, parts: &[u64]) -> Vec<BigUint> {
    assert_eq!(lanes.len(), F::WEIGHTS.len());
    let of_lane = |lane: usize| {
        let words = lanes.iter().zip(F::WEIGHTS).enumerate();
        words.fold(BigUint::ZERO, |sum, (i, (word, weight))| sum + (BigUint::from(word[lane] & parts[i]) << weight))
    };
    (0..F::Vector::LANES).map(of_lane).collect()
}

/// What an element's limbs stand for, not reduced.
pub(crate) fn values<F: Probe>(x: F) -> Vec<BigUint> {
    weighed::<F>(&x.limbs(), F::PARTS)
}

/// What a sum's columns stand for, not reduced.
fn totals<F: Probe>(sum: F::Sum) -> Vec<BigUint> {
    weighed::<F>(&F::columns(sum), &vec![u64::MAX; F::WEIGHTS.len()])
}

fn assert_below<F: Probe>(lanes: &Lanes, parts: &[u64], limits: &[u64], what: &str) {
    for (i, words) in lanes.iter().enumerate() {
        for word in &words[..F::Vector::LANES] {
            assert!(word & parts[i] < limits[i], "{what}: {i} is {word:#x}, not below {:#x}", limits[i]);
        }
    }
}

fn assert_columns_below<F: Probe>(sum: F::Sum, limits: &[u64], what: &str) {
    assert_below::<F>(&F::columns(sum), &vec![u64::MAX; limits.len()], limits, what);
}

/// Asserts that an element is within the bounds and congruent to what is expected of each lane.
fn expect<F: Probe>(x: F, limits: &[u64], expected: impl Fn(usize) -> BigUint, what: &str) {
    assert_element(x, limits, &each::<F>(expected), what);
}

/// What is expected of each lane.
fn each<F: Field>(expected: impl Fn(usize) -> BigUint) -> Vec<BigUint> {
    (0..F::Vector::LANES).map(expected).collect()
}

#[inline(never)]
fn assert_element<F: Probe>(x: F, limits: &[u64], expected: &[BigUint], what: &str) {
    assert_below::<F>(&x.limbs(), F::PARTS, limits, what);
    assert_congruent(&values(x), expected, what);
}

fn assert_congruent(numbers: &[BigUint], expected: &[BigUint], what: &str) {
    assert_eq!(numbers.len(), expected.len());
    for (lane, (number, expected)) in numbers.iter().zip(expected).enumerate() {
        assert_eq!(number % p(), expected % p(), "{what}, lane {lane}");
    }
}

/// Asserts the same of a sum, and of what it is carried to.
fn expect_sum<F: Probe>(sum: F::Sum, expected: impl Fn(usize) -> BigUint, what: &str) {
    assert_sum::<F>(sum, &each::<F>(expected), what);
}

#[inline(never)]
fn assert_sum<F: Probe>(sum: F::Sum, expected: &[BigUint], what: &str) {
    assert_columns_below::<F>(sum, &vec![CARRY_TAKES; F::WEIGHTS.len()], what);
    assert_congruent(&totals::<F>(sum), expected, what);
    assert_element(sum.carry(), F::CARRIED, expected, what);
}

/// Numbers at which representatives change: words, of which the highest bit is not part of the number.
fn special_numbers() -> Vec<BigUint> {
    let one = BigUint::from(1u8);
    let mut numbers: Vec<BigUint> = [0u8, 1, 2, 3, 18, 19, 20, 37, 38].map(BigUint::from).into();
    numbers.extend((1..=20u8).map(|small| p() - small));
    numbers.extend((0..19u8).map(|small| p() + small));
    numbers.extend([(p() - 1u8) / 2u8, (p() + 1u8) / 2u8]);
    // Ones up to each bit, and one bit, on both sides of each limb of either representation.
    for bit in [25, 26, 51, 52, 77, 102, 104, 128, 153, 156, 179, 204, 208, 230, 254] {
        numbers.extend([&one << bit, (&one << bit) - 1u8]);
    }
    numbers
}

fn random_numbers(rng: &mut ChaCha20Rng, count: usize) -> Vec<BigUint> {
    (0..count).map(|_| number(std::array::from_fn(|_| rng.next_u64())) >> 1).collect()
}

/// Limbs of one number each: all at their bounds, some at their bounds, random, and those of special numbers; then
/// all of them again with all other bits set that may be.
fn limbs<F: Probe>() -> Vec<Vec<u64>> {
    let count = F::LIMITS.len();
    let at_bound = |which: &dyn Fn(usize) -> bool| -> Vec<u64> {
        F::LIMITS.iter().enumerate().map(|(i, limit)| if which(i) { limit - 1 } else { 0 }).collect()
    };
    let mut patterns = vec![at_bound(&|_| true), at_bound(&|i| i % 2 == 0), at_bound(&|i| i % 2 == 1)];
    for limb in 0..count {
        patterns.extend([at_bound(&|i| i == limb), at_bound(&|i| i != limb)]);
    }
    let mut rng = rng();
    for _ in 0..8 {
        patterns.push(F::LIMITS.iter().map(|limit| rng.next_u64() % limit).collect());
    }
    for special in [BigUint::ZERO, BigUint::from(1u8), p() - 1u8, p().clone(), p() + 1u8, p() + 18u8] {
        let limbs = from_numbers::<F>(&[special]).limbs();
        patterns.push(limbs.iter().zip(F::PARTS).map(|(limb, part)| limb[0] & part).collect());
    }
    let dirty: Vec<Vec<u64>> =
        patterns.iter().map(|limbs| limbs.iter().zip(F::DIRT).map(|(limb, dirt)| limb | dirt).collect()).collect();
    patterns.extend(dirty);
    patterns
}

/// An element of these limbs, one number a lane.
fn element<'a, F: Probe>(numbers: impl Iterator<Item = &'a Vec<u64>>) -> F {
    let mut lanes = vec![[0; MAX_LANES]; F::LIMITS.len()];
    for (lane, limbs) in numbers.enumerate() {
        for (word, limb) in lanes.iter_mut().zip(limbs) {
            word[lane] = *limb;
        }
    }
    F::from_limbs(&lanes)
}

/// Elements of all these numbers, another in each lane.
fn elements<F: Probe>() -> Vec<F> {
    limbs::<F>().chunks(F::Vector::LANES).map(|numbers| element(numbers.iter())).collect()
}

/// All pairs of them, another in each lane.
fn pairs<F: Probe>() -> Vec<(F, F)> {
    let limbs = limbs::<F>();
    let all: Vec<_> = limbs.iter().flat_map(|a| limbs.iter().map(move |b| (a, b))).collect();
    let pair = |pairs: &[(&Vec<u64>, &Vec<u64>)]| {
        (element(pairs.iter().map(|pair| pair.0)), element(pairs.iter().map(|pair| pair.1)))
    };
    all.chunks(F::Vector::LANES).map(pair).collect()
}

fn reads_and_writes_words<F: Probe>() {
    let mut numbers = special_numbers();
    numbers.extend(random_numbers(&mut rng(), 64));
    for numbers in numbers.chunks(F::Vector::LANES) {
        let x: F = from_numbers(numbers);
        assert_below::<F>(&x.limbs(), F::PARTS, F::LIMITS, "from_words");
        for (given, (value, written)) in numbers.iter().zip(values(x).into_iter().zip(to_numbers(x))) {
            assert_eq!(value, *given, "from_words does not reduce");
            assert_eq!(written, given % p(), "to_words writes the least representative");
        }
        let with_highest_bit: Vec<BigUint> = numbers.iter().map(|n| n + (BigUint::from(1u8) << 255)).collect();
        assert_eq!(to_numbers(from_numbers::<F>(&with_highest_bit)), to_numbers(x), "the highest bit is ignored");
    }
    for number in special_numbers() {
        let x = F::splat(words(&number));
        assert_eq!(to_numbers(x), vec![number % p(); F::Vector::LANES]);
    }
}

fn writes_the_least_representative_of_any_limbs<F: Probe>() {
    for x in elements::<F>() {
        for (value, written) in values(x).into_iter().zip(to_numbers(x)) {
            assert!(value < p() * 2u8, "the bounds are those of a number below 2p");
            assert_eq!(written, value % p());
        }
    }
}

fn multiplies_within_the_bounds<F: Probe>() {
    let onto_limits: Vec<u64> =
        F::columns(multiple_of_p::<F>()).iter().zip(F::PRODUCTS).map(|(column, limit)| column[0] + limit).collect();
    for (a, b) in pairs::<F>() {
        let (x, y) = (values(a), values(b));
        let product = mul_onto(a, b, F::Sum::zero());
        assert_columns_below::<F>(product, F::PRODUCTS, "product");
        expect_sum::<F>(product, |lane| &x[lane] * &y[lane], "product");
        expect(mul(a, b), F::CARRIED, |lane| &x[lane] * &y[lane], "mul");
        let onto = mul_onto(a, b, multiple_of_p::<F>());
        assert_columns_below::<F>(onto, &onto_limits, "product onto");
        expect_sum::<F>(onto, |lane| &x[lane] * &y[lane], "product onto the multiple of p");
        expect_sum::<F>(mul_onto(a, b, product), |lane| &x[lane] * &y[lane] * 2u8, "product onto a product");
    }
}

fn squares_within_the_bounds<F: Probe>() {
    let onto_limits: Vec<u64> =
        F::columns(multiple_of_p::<F>()).iter().zip(F::PRODUCTS).map(|(column, limit)| column[0] + limit).collect();
    for a in elements::<F>() {
        let x = values(a);
        let sum = square_onto(a, F::Sum::zero());
        assert_columns_below::<F>(sum, F::PRODUCTS, "square");
        expect_sum::<F>(sum, |lane| &x[lane] * &x[lane], "square");
        expect(square(a), F::CARRIED, |lane| &x[lane] * &x[lane], "square");
        let onto = square_onto(a, multiple_of_p::<F>());
        assert_columns_below::<F>(onto, &onto_limits, "square onto");
        expect_sum::<F>(onto, |lane| &x[lane] * &x[lane], "square onto the multiple of p");
        expect_sum::<F>(square_onto(a, sum), |lane| &x[lane] * &x[lane] * 2u8, "square onto a square");
    }
}

fn adds_subtracts_and_selects<F: Probe>() {
    for (a, b) in pairs::<F>() {
        let (x, y) = (values(a), values(b));
        expect(plus(a, b), F::CARRIED, |lane| &x[lane] + &y[lane], "plus");
        expect(minus(a, b), F::CARRIED, |lane| difference(&x[lane], &y[lane]), "minus");
        for odd in [0, 1] {
            let chosen = |lane: usize| if lane % 2 == odd { &x[lane] } else { &y[lane] };
            let selected = F::select(mask(|lane| lane % 2 == odd), a, b);
            expect(selected, F::LIMITS, |lane| chosen(lane).clone(), "select");
            let sum = F::Sum::select(mask(|lane| lane % 2 == odd), a.widen(), b.widen());
            expect_sum::<F>(sum, |lane| chosen(lane).clone(), "select of sums");
        }
    }
}

fn tells_and_changes_signs<F: Probe>() {
    let mut numbers = special_numbers();
    numbers.extend(random_numbers(&mut rng(), 64));
    let given = numbers.chunks(F::Vector::LANES).map(from_numbers::<F>);
    for a in elements().into_iter().chain(given) {
        let x: Vec<BigUint> = values(a).into_iter().map(|value| value % p()).collect();
        let negative: Vec<bool> = x.iter().map(|value| value.bit(0)).collect();
        let opposite = |lane: usize| difference(&BigUint::ZERO, &x[lane]);
        expect_sum::<F>(a.widen(), |lane| x[lane].clone(), "widen");
        expect(negate(a), F::CARRIED, opposite, "negate");
        assert_eq!(lanes_of(is_negative(a)), negative);
        assert_eq!(lanes_of(is_zero(a)), x.iter().map(|value| *value == BigUint::ZERO).collect::<Vec<_>>());
        let least = |lane: usize| if negative[lane] { opposite(lane) } else { x[lane].clone() };
        expect(abs(a), F::LIMITS, least, "abs");
        let every_third = |lane: usize| if lane.is_multiple_of(3) { opposite(lane) } else { x[lane].clone() };
        expect(negate_where(a, mask(|lane| lane % 3 == 0)), F::LIMITS, every_third, "negate_where");
    }
}

fn packs_and_scans<F: Probe>() {
    for (a, b) in pairs::<F>() {
        let (x, y) = (values(a), values(b));
        expect(F::unpack(a.pack()), F::LIMITS, |lane| x[lane].clone(), "unpacked");
        let none = mask(|_| false);
        let odd = mask(|lane| lane % 2 == 1);
        let even = mask(|lane| lane % 2 == 0);
        let found = F::scan(F::scan(F::packed_zero(), odd, a.pack()), none, b.pack());
        let of_odd = |lane: usize| if lane % 2 == 1 { x[lane].clone() } else { BigUint::ZERO };
        expect(F::unpack(found), F::LIMITS, of_odd, "found in some lanes");
        let of_both = |lane: usize| if lane % 2 == 1 { x[lane].clone() } else { y[lane].clone() };
        expect(F::unpack(F::scan(found, even, b.pack())), F::LIMITS, of_both, "found in all lanes");
        // An unpacked number is multiplied as it comes.
        let product = mul_onto(F::unpack(a.pack()), F::unpack(b.pack()), F::Sum::zero());
        expect_sum::<F>(product, |lane| &x[lane] * &y[lane], "product of unpacked");
    }
}

/// Sums and differences as `curve` and `ristretto` make them, of products of the largest and of the least limbs.
fn carries_the_sums_of_the_formulas<F: Probe>() {
    let largest: Vec<u64> = F::LIMITS.iter().zip(F::DIRT).map(|(limit, dirt)| (limit - 1) | dirt).collect();
    let zero = vec![0; F::LIMITS.len()];
    let mut rng = rng();
    let mut random = || -> Vec<u64> { F::LIMITS.iter().map(|limit| rng.next_u64() % limit).collect() };
    let kinds: Vec<F> = vec![
        element(std::iter::repeat_n(&largest, F::Vector::LANES)),
        element(std::iter::repeat_n(&zero, F::Vector::LANES)),
        element((0..F::Vector::LANES).map(|_| random()).collect::<Vec<_>>().iter()),
    ];
    let multiple = multiple_of_p::<F>();
    let one = F::splat(ONE);
    for (a, b, c) in kinds.iter().flat_map(|a| kinds.iter().flat_map(|b| kinds.iter().map(|c| (*a, *b, *c)))) {
        let (x, y, z) = (values(a), values(b), values(c));
        let (xx, yy, zz) = (|i: usize| &x[i] * &x[i], |i: usize| &y[i] * &y[i], |i: usize| &z[i] * &z[i]);
        let (xy, yz) = (|i: usize| &x[i] * &y[i], |i: usize| &y[i] * &z[i]);

        // curve::Projective::double
        let square_a = square_onto(a, F::Sum::zero());
        let (square_b, square_c) = (square_onto(b, multiple), square_onto(c, multiple));
        let g = square_b.sub(square_a);
        expect_sum::<F>(g, |i| difference(&yy(i), &xx(i)), "G of a doubling");
        expect_sum::<F>(mul_onto(a, b, F::Sum::zero()).double(), |i| xy(i) * 2u8, "E of a doubling");
        expect_sum::<F>(square_c.double().sub(g), |i| difference(&(zz(i) * 2u8 + xx(i)), &yy(i)), "F of a doubling");
        expect_sum::<F>(square_b.add(square_a), |i| yy(i) + xx(i), "H of a doubling");

        // curve::Augend::add and curve::Completed::augend
        let (first, second) = (mul_onto(a, b, F::Sum::zero()), mul_onto(b, c, multiple));
        expect_sum::<F>(second.sub(first), |i| difference(&yz(i), &xy(i)), "E of an addition");
        expect_sum::<F>(second.add(first), |i| yz(i) + xy(i), "H of an addition");

        // ristretto::Doubled::new
        let squares = square_onto(a, square_onto(b, F::Sum::zero()));
        expect_sum::<F>(squares, |i| xx(i) + yy(i), "g of a doubled point");
        expect_sum::<F>(square_c.add(first), |i| zz(i) + xy(i), "f of a doubled point");
        expect_sum::<F>(square_c.sub(first), |i| difference(&zz(i), &xy(i)), "h of a doubled point");

        // ristretto::decode and ristretto::map_to_group
        let v = multiple.sub(first).sub(c.widen());
        expect_sum::<F>(v, |i| difference(&BigUint::ZERO, &(xy(i) + &z[i])), "v of a decoding");
        let left = multiple.sub(one.widen()).sub(first);
        expect_sum::<F>(left, |i| difference(&BigUint::ZERO, &(xy(i) + 1u8)), "left factor of a map");
        expect_sum::<F>(second.sub(a.widen()), |i| difference(&yz(i), &x[i]), "N of a map");

        // Field::plus, minus and negate
        expect_sum::<F>(a.widen().add(multiple).sub(b.widen()), |i| difference(&x[i], &y[i]), "difference");
    }
}

/// As many products as are stated, each with all columns at their bounds.
fn carries_as_many_products_as_stated<F: Probe>() {
    let columns = |words: Vec<u64>| -> F::Sum {
        F::from_columns(&words.into_iter().map(|word| [word; MAX_LANES]).collect::<Vec<_>>())
    };
    let multiple: Vec<u64> = F::columns(multiple_of_p::<F>()).iter().map(|column| column[0]).collect();
    let products = |count: u64| F::PRODUCTS.iter().map(move |limit| count * (limit - 1));
    let added: Vec<u64> = multiple.iter().zip(products(F::ADDENDS)).map(|(m, product)| 2 * m + product).collect();
    let total = totals::<F>(columns(added.clone()));
    expect_sum::<F>(columns(added), |lane| total[lane].clone(), "most products");

    let left: Vec<u64> = multiple
        .iter()
        .zip(products(F::SUBTRAHENDS))
        .map(|(m, product)| m.checked_sub(product).expect("the multiple of p must bear the products"))
        .collect();
    let total = totals::<F>(columns(left));
    let subtracted = multiple_of_p::<F>().sub(columns(products(F::SUBTRAHENDS).collect()));
    expect_sum::<F>(subtracted, |lane| total[lane].clone(), "most products subtracted");
}

fn carries_any_columns_below_2_to_the_63<F: Probe>() {
    let count = F::WEIGHTS.len();
    let largest = CARRY_TAKES - 1;
    let mut numbers = vec![vec![largest; count], vec![0; count]];
    for column in 0..count {
        numbers.push((0..count).map(|i| if i == column { largest } else { 0 }).collect());
        numbers.push((0..count).map(|i| if i == column { 0 } else { largest }).collect());
    }
    let mut rng = rng();
    for _ in 0..256 {
        // Of any size, so that small columns stand beside large ones.
        numbers.push((0..count).map(|_| (rng.next_u64() >> 1) >> (rng.next_u32() % 64)).collect());
    }
    for numbers in numbers.chunks(F::Vector::LANES) {
        let mut lanes = vec![[0; MAX_LANES]; count];
        for (lane, columns) in numbers.iter().enumerate() {
            for (word, column) in lanes.iter_mut().zip(columns) {
                word[lane] = *column;
            }
        }
        let total = weighed::<F>(&lanes, &vec![u64::MAX; count]);
        expect_sum::<F>(F::from_columns(&lanes), |lane| total[lane].clone(), "columns");
    }
}

fn multiple_of_p_is_one<F: Probe>() {
    for total in totals::<F>(multiple_of_p::<F>()) {
        assert_eq!(total, p() * F::MULTIPLE);
    }
    for total in totals::<F>(F::Sum::zero()) {
        assert_eq!(total, BigUint::ZERO);
    }
}

fn raises_and_inverts<F: Roots>() {
    let exponent = (p() - 5u8) / 8u8;
    let mut all = elements::<F>();
    let mut numbers = special_numbers();
    numbers.extend(random_numbers(&mut rng(), 16));
    all.extend(numbers.chunks(F::Vector::LANES).map(from_numbers::<F>));
    let first = all[0];
    for a in all {
        let x = values(a);
        let [of_first, of_a] = F::pow_p58([first, a]);
        expect(of_first, F::CARRIED, |lane| power(&values(first)[lane], &exponent), "x^((p - 5)/8)");
        expect(of_a, F::CARRIED, |lane| power(&x[lane], &exponent), "x^((p - 5)/8)");
        expect(F::invert(a), F::CARRIED, |lane| inverse(&x[lane]), "1/x");
    }
}

fn takes_square_roots_of_ratios<F: Roots>() {
    let zero = BigUint::ZERO;
    let mut rng = rng();
    let mut ratios = vec![(zero.clone(), zero.clone())];
    let random = random_numbers(&mut rng, 96);
    for (i, triple) in random.chunks_exact(3).enumerate() {
        let [u, v, root] = triple else { unreachable!() };
        ratios.extend([(zero.clone(), v.clone()), (u.clone(), zero.clone()), (u.clone(), v.clone())]);
        // A square by construction, and 2, sqrt(-1) and their product times one, by turns; 2 is none, nor is
        // sqrt(-1).
        let square = root * root * v;
        let factor = [BigUint::from(2u8), number(SQRT_M1), number(SQRT_M1) * 2u8, p() - 1u8][i % 4].clone();
        ratios.extend([(&square % p(), v.clone()), (square * factor % p(), v.clone())]);
    }
    for special in [1u8, 2, 3, 4].map(BigUint::from).into_iter().chain([p() - 1u8, p() - 2u8, number(SQRT_M1)]) {
        ratios.extend([(BigUint::from(1u8), special.clone()), (special.clone(), special), (p() + 1u8, p() + 4u8)]);
    }
    ratios.extend([(p().clone(), BigUint::from(5u8)), (BigUint::from(5u8), p().clone())]);

    let half = (p() - 1u8) / 2u8;
    let mut kinds = [0; 2];
    for pair in ratios.chunks(2 * F::Vector::LANES) {
        let (first, second) = pair.split_at(pair.len().min(F::Vector::LANES));
        let second = if second.is_empty() { first } else { second };
        let load = |ratios: &[(BigUint, BigUint)]| -> (F, F) {
            let (u, v): (Vec<_>, Vec<_>) = ratios.iter().cloned().unzip();
            (from_numbers(&u), from_numbers(&v))
        };
        let results = F::sqrt_ratio([load(first), load(second)]);
        for (ratios, result) in [first, second].into_iter().zip(results) {
            let (was_square, roots) = (lanes_of(result.was_square), to_numbers(result.root));
            for (lane, (u, v)) in ratios.iter().enumerate() {
                let (u, v, root) = (u % p(), v % p(), &roots[lane]);
                let ratio = &u * inverse(&v) % p();
                // Section 4.2 of RFC 9496: zero is a square, and nothing over zero is but zero.
                let square = u == zero || (v != zero && power(&ratio, &half) == BigUint::from(1u8));
                assert_eq!(was_square[lane], square, "{u}/{v}");
                let of = if square { ratio } else { ratio * number(SQRT_M1) };
                assert_eq!(root * root % p(), of % p(), "{u}/{v}");
                assert!(!root.bit(0), "{u}/{v}: the root is negative");
                kinds[usize::from(square)] += 1;
            }
        }
    }
    assert!(kinds.iter().all(|count| *count > 40), "both kinds must be there: {kinds:?}");
}

on_each_field! {
    reads_and_writes_words,
    writes_the_least_representative_of_any_limbs,
    multiplies_within_the_bounds,
    squares_within_the_bounds,
    adds_subtracts_and_selects,
    tells_and_changes_signs,
    packs_and_scans,
    carries_the_sums_of_the_formulas,
    carries_as_many_products_as_stated,
    carries_any_columns_below_2_to_the_63,
    multiple_of_p_is_one,
    raises_and_inverts,
    takes_square_roots_of_ratios,
}

#[test]
fn constants_are_what_they_are_named() {
    let one = BigUint::from(1u8);
    let d = number(D);
    assert_eq!(&d * 121_666u32 % p(), p() - 121_665u32);
    assert_eq!(number(TWO_D), &d * 2u8 % p());
    let minus_d_minus_one = p() - &d - 1u8;
    let square = |words| number(words).pow(2) % p();
    assert_eq!(square(SQRT_M1), p() - 1u8);
    assert!(!number(SQRT_M1).bit(0), "the square root of -1 is not negative");
    assert_eq!(square(SQRT_AD_MINUS_ONE), minus_d_minus_one);
    assert_eq!(square(INVSQRT_A_MINUS_D) * &minus_d_minus_one % p(), one);
    assert_eq!(number(ONE_MINUS_D_SQ), difference(&one, &(&d * &d)));
    assert_eq!(number(D_MINUS_ONE_SQ), (&d - 1u8).pow(2) % p());
    for constant in [D, TWO_D, SQRT_M1, SQRT_AD_MINUS_ONE, INVSQRT_A_MINUS_D, ONE_MINUS_D_SQ, D_MINUS_ONE_SQ] {
        assert!(number(constant) < *p());
    }
}

/// Which of the two roots each constant is, as in the tables of RFC 9496, section 4.1.
#[test]
fn constants_are_those_of_rfc_9496() {
    let table = [
        (D, "37095705934669439343138083508754565189542113879843219016388785533085940283555"),
        (SQRT_M1, "19681161376707505956807079304988542015446066515923890162744021073123829784752"),
        (SQRT_AD_MINUS_ONE, "25063068953384623474111414158702152701244531502492656460079210482610430750235"),
        (INVSQRT_A_MINUS_D, "54469307008909316920995813868745141605393597292927456921205312896311721017578"),
        (ONE_MINUS_D_SQ, "1159843021668779879193775521855586647937357759715417654439879720876111806838"),
        (D_MINUS_ONE_SQ, "40440834346308536858101042469323190826248399146238708352240133220865137265952"),
    ];
    for (constant, decimal) in table {
        assert_eq!(number(constant).to_string(), decimal);
    }
}
