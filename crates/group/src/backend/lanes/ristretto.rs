//! Maps to, decodings into, and encodings out of ristretto255, one element a lane.
//!
//! In and out: four words a lane, the little-endian words of 32 bytes. Names are those of the source; where a step is
//! not the source's, its derivation is above it. Constant-time: what is refused comes out as a mask.
//!
//! Source: RFC 9496, sections 4.3.1 (decode), 4.3.2 (encode) and 4.3.4 (map).

use zeroize::{Zeroize, Zeroizing};

use super::curve::Extended;
use super::field::{
    D, D_MINUS_ONE_SQ, Field, INVSQRT_A_MINUS_D, ONE, ONE_MINUS_D_SQ, SQRT_AD_MINUS_ONE, SQRT_M1, Sum, ZERO, invert,
    sqrt_ratio,
};
use super::vector::{MAX_LANES, Vector};

/// 32 bytes a lane, little-endian.
pub(crate) type WordsOf<F> = [<F as Field>::Vector; 4];

/// Loads one encoding a lane; lanes without one get 32 zero bytes.
#[inline(always)]
pub(crate) fn load<V: Vector>(encodings: &[[u8; 32]]) -> [V; 4] {
    let mut words = [[0; MAX_LANES]; 4];
    for (lane, encoding) in encodings.iter().take(V::LANES).enumerate() {
        for (word, bytes) in words.iter_mut().zip(encoding.as_chunks().0) {
            word[lane] = u64::from_le_bytes(*bytes);
        }
    }
    let mut vectors = [V::splat(0); 4];
    for (vector, words) in vectors.iter_mut().zip(&words) {
        *vector = V::from_words(words);
    }
    vectors
}

/// Stores one encoding a lane, of as many lanes as there is room for.
#[inline(always)]
pub(crate) fn store<V: Vector>(vectors: [V; 4], encodings: &mut [[u8; 32]]) {
    let mut words = [[0; MAX_LANES]; 4];
    for (words, vector) in words.iter_mut().zip(vectors) {
        *words = vector.to_words();
    }
    for (lane, encoding) in encodings.iter_mut().take(V::LANES).enumerate() {
        for (word, bytes) in words.iter().zip(encoding.as_chunks_mut().0) {
            *bytes = word[lane].to_le_bytes();
        }
    }
}

/// Maps 64 uniform bytes a lane to an element: the sum of the maps of both halves.
#[inline(always)]
pub(crate) fn map_to_group<F: Field>(uniform: [WordsOf<F>; 2]) -> Extended<F> {
    let t = [F::from_words(uniform[0]), F::from_words(uniform[1])];
    let one = F::splat(ONE);
    let d = F::splat(D);
    let mut r = t;
    let mut ratios = [(one, one); 2];
    for i in 0..2 {
        r[i] = F::splat(SQRT_M1).mul(t[i].square());
        let u = r[i].plus(one).mul(F::splat(ONE_MINUS_D_SQ));
        // -1 - r*D
        let left = F::Sum::multiple_of_p().sub(one.widen()).sub(r[i].mul_sum(d)).carry();
        ratios[i] = (u, left.mul(r[i].plus(d)));
    }
    let roots = sqrt_ratio(ratios);
    let mut points = [Extended::identity(); 2];
    for i in 0..2 {
        let (was_square, v) = (roots[i].was_square, ratios[i].1);
        let s_prime = roots[i].root.mul(t[i]).abs().negate();
        let s = F::select(was_square, roots[i].root, s_prime);
        let c = F::select(was_square, one.negate(), r[i]);
        let n = c.mul(r[i].minus(one)).mul_onto(F::splat(D_MINUS_ONE_SQ), F::Sum::multiple_of_p());
        let n = n.sub(v.widen()).carry();
        let ss = s.square();
        let w0 = s.mul_sum(v).double().carry();
        let w1 = n.mul(F::splat(SQRT_AD_MINUS_ONE));
        let (w2, w3) = (one.minus(ss), one.plus(ss));
        points[i] = Extended { x: w0.mul(w3), y: w2.mul(w1), z: w1.mul(w3), t: w0.mul(w2) };
    }
    points[0].add(points[1])
}

/// What was decoded in each lane.
#[derive(Clone, Copy)]
pub(crate) struct Decoded<F: Field> {
    /// The elements; without meaning in the lanes that are refused.
    pub(crate) points: Extended<F>,
    /// Mask of the lanes that hold the canonical encoding of an element.
    pub(crate) canonical: F::Vector,
    /// Mask of the lanes that hold the encoding of the identity, 32 zero bytes, which is canonical.
    pub(crate) identity: F::Vector,
}

/// Decodes `N` encodings a lane.
#[inline(always)]
pub(crate) fn decode<F: Field, const N: usize>(encodings: [WordsOf<F>; N]) -> [Decoded<F>; N] {
    let one = F::splat(ONE);
    let zero = F::Vector::splat(0);
    let mut s = [one; N];
    for i in 0..N {
        s[i] = F::from_words(encodings[i]);
    }
    // u1, u2, v
    let mut steps = [(one, one, one); N];
    let mut ratios = [(one, one); N];
    for i in 0..N {
        let ss = s[i].square();
        let (u1, u2) = (one.minus(ss), one.plus(ss));
        let u2_sqr = u2.square();
        // -(D * u1^2) - u2^2
        let v = F::Sum::multiple_of_p().sub(F::splat(D).mul_sum(u1.square())).sub(u2_sqr.widen()).carry();
        steps[i] = (u1, u2, v);
        ratios[i] = (one, v.mul(u2_sqr));
    }
    let roots = sqrt_ratio(ratios);
    let mut decoded = [Decoded { points: Extended::identity(), canonical: zero, identity: zero }; N];
    for i in 0..N {
        let (u1, u2, v) = steps[i];
        let den_x = roots[i].root.mul(u2);
        let den_y = roots[i].root.mul(den_x).mul(v);
        let x = s[i].mul_sum(den_x).double().carry().abs();
        let y = u1.mul(den_y);
        let t = x.mul(y);

        let least = s[i].to_words();
        let mut differences = zero;
        for (least, given) in least.into_iter().zip(encodings[i]) {
            differences = differences.or(least.xor(given));
        }
        let [a, b, c, d] = encodings[i];
        let refused = least[0].odd().or(t.is_negative()).or(y.is_zero());
        decoded[i] = Decoded {
            points: Extended { x, y, z: one, t },
            canonical: differences.equal(zero).and(roots[i].was_square).and(refused.not()),
            identity: a.or(b).or(c.or(d)).equal(zero),
        };
    }
    decoded
}

/// Encodes `N` elements a lane, each with an inverse square root of its own.
#[inline(always)]
pub(crate) fn encode<F: Field, const N: usize>(points: [Extended<F>; N]) -> [WordsOf<F>; N] {
    let one = F::splat(ONE);
    let mut steps = [(one, one); N];
    let mut ratios = [(one, one); N];
    for i in 0..N {
        let Extended { x, y, z, t: _ } = points[i];
        let u1 = z.plus(y).mul(z.minus(y));
        let u2 = x.mul(y);
        steps[i] = (u1, u2);
        ratios[i] = (one, u1.mul(u2.square()));
    }
    let roots = sqrt_ratio(ratios);
    let mut encodings = [[F::Vector::splat(0); 4]; N];
    for i in 0..N {
        let Extended { x, y, z, t } = points[i];
        let (u1, u2) = steps[i];
        let den1 = roots[i].root.mul(u1);
        let den2 = roots[i].root.mul(u2);
        let z_inv = den1.mul(den2).mul(t);
        let rotate = t.mul(z_inv).is_negative();
        let sqrt_m1 = F::splat(SQRT_M1);
        let x_or_iy = F::select(rotate, y.mul(sqrt_m1), x);
        let y_or_ix = F::select(rotate, x.mul(sqrt_m1), y);
        let den_inv = F::select(rotate, den1.mul(F::splat(INVSQRT_A_MINUS_D)), den2);
        let y = y_or_ix.negate_where(x_or_iy.mul(z_inv).is_negative());
        encodings[i] = den_inv.mul(z.minus(y)).abs().to_words();
    }
    encodings
}

/// A doubled point as x = e/f, y = g/h, of which the encoding needs no square root.
#[derive(Clone, Copy)]
pub(crate) struct Doubled<F> {
    e: F,
    f: F,
    g: F,
    h: F,
}

impl<F: Field> Zeroize for Doubled<F> {
    fn zeroize(&mut self) {
        for value in [&mut self.e, &mut self.f, &mut self.g, &mut self.h] {
            value.zeroize();
        }
    }
}

impl<F: Field> Doubled<F> {
    /// Doubles by the affine law: e/f = 2xy/(1 + d x^2 y^2), g/h = (x^2 + y^2)/(1 - d x^2 y^2).
    #[inline(always)]
    pub(crate) fn new(point: Extended<F>) -> Self {
        let Extended { x, y, z, t } = point;
        let zz = z.square_onto(F::Sum::multiple_of_p());
        let dtt = t.square().mul_sum(F::splat(D));
        Self {
            e: x.mul_sum(y).double().carry(),
            f: zz.add(dtt).carry(),
            g: x.square_onto(y.square_onto(F::Sum::zero())).carry(),
            h: zz.sub(dtt).carry(),
        }
    }

    /// Encodes, given 1/(efgh), or zero where that product is zero.
    ///
    /// In extended coordinates the point is X = eh, Y = fg, Z = fh, T = eg, so Z^2 - Y^2 = f^2(h^2 - g^2). With Z = 1
    /// for the point (x, y) that was doubled, the curve's equation says f = y^2 - x^2, h = 2 - f and g^2 = f^2 + e^2.
    /// So h^2 - g^2 = 4(1 - f) - e^2 = -4d x^2 y^2 - e^2 = (-1 - d)e^2. With c = 1/sqrt(-1 - d), den2 of section 4.3.2,
    /// step 6, is c/(ef) up to a sign; the signs of all roots vanish in the absolute value at the end. What is encoded
    /// then is
    ///
    /// - c(h - g)/e, and g negated where e/f is negative;
    /// - or where xy = eg/(fh) is negative, i(if + e)/g, with i = sqrt(-1), and e negated where i*g/h is negative.
    ///
    /// Both are m(p - q)/r for some (m, p, q, r). Where efgh is zero, the point is in the coset of the identity, whose
    /// encoding is zero.
    #[inline(always)]
    fn encode(self, inverse: F) -> WordsOf<F> {
        let Self { e, f, g, h } = self;
        let (eg, fh) = (e.mul(g), f.mul(h));
        let (over_fh, over_eg) = (eg.mul(inverse), fh.mul(inverse));
        let i = F::splat(SQRT_M1);
        let rotate = eg.mul(over_fh).is_negative();
        let m = F::select(rotate, i, F::splat(INVSQRT_A_MINUS_D));
        let p = F::select(rotate, f.mul(i), h);
        let q = F::select(rotate, e.negate(), g);
        // 1/r is q over eg, up to its sign; and x/z of section 4.3.2, step 10, is p*r over fh.
        let r = F::select(rotate, g, e);
        let q_signed = q.negate_where(p.mul(r).mul(over_fh).is_negative());
        p.minus(q_signed).mul(m).mul(q.mul(over_eg)).abs().to_words()
    }
}

/// What Montgomery's trick keeps of a point.
#[derive(Clone, Copy)]
struct Product<F: Field> {
    /// The product of all points before it.
    before: F,
    /// Its own e*f*g*h, or one where that is zero.
    own: F,
    /// Mask of the lanes where it is zero.
    vanishes: F::Vector,
}

impl<F: Field> Zeroize for Product<F> {
    fn zeroize(&mut self) {
        self.before.zeroize();
        self.own.zeroize();
        self.vanishes.zeroize();
    }
}

/// Encodes all points, with one inversion a lane for all of them: Montgomery's trick, where zeros are left out.
#[inline(always)]
pub(crate) fn encode_doubled<F: Field>(points: &[Doubled<F>], out: &mut [[u8; 32]]) {
    let (zero, one) = (F::splat(ZERO), F::splat(ONE));
    let mut products = Zeroizing::new(Vec::with_capacity(points.len()));
    let mut so_far = one;
    for point in points {
        let own = point.e.mul(point.g).mul(point.f.mul(point.h));
        let vanishes = own.is_zero();
        let own = F::select(vanishes, one, own);
        products.push(Product { before: so_far, own, vanishes });
        so_far = so_far.mul(own);
    }
    let mut inverse = invert(so_far);
    for (index, (point, product)) in points.iter().zip(products.iter()).enumerate().rev() {
        let own = F::select(product.vanishes, zero, inverse.mul(product.before));
        store(point.encode(own), &mut out[index * F::Vector::LANES..]);
        inverse = inverse.mul(product.own);
    }
}
