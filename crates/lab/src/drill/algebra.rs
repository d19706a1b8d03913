//! Which numbers are products of known numbers, and what they are.
//!
//! In: numbers modulo l that the attacker knows, each with what it is: a product of unknowns with whole exponents. Out: for any
//! other such product whether it follows from the known ones by multiplying and dividing in any combination, and its value.
//!
//! The products of known numbers are an integer lattice of exponent vectors. It is brought to echelon form by Euclid's steps on
//! rows, exactly; every step is done on the numbers too (a row's difference is a quotient), so no combination need be
//! remembered. A product is in the lattice where it divides out to nothing, pivot by pivot (Cohen, "A Course in Computational
//! Algebraic Number Theory", 2.4).
//!
//! It finds products only: sums of secrets do not occur in the protocol, and discrete logarithms are out of reach.

use std::collections::BTreeMap;

use datafuse_group::Scalar;

/// A product of unknowns: the exponent of each, none of them 0.
pub(crate) type Product<U> = BTreeMap<U, i128>;

/// What is known of a product.
pub(crate) enum Solution {
    /// Its value.
    Value(Scalar),
    /// A power of it, so that only a few values are left: as good as known.
    UpToRoot,
    /// Nothing: whatever the known numbers, it can be any.
    Unknown,
}

/// Everything that follows from the known numbers.
pub(crate) struct Lattice<U> {
    /// In echelon form: the first unknown of each row is in no later row.
    rows: Vec<Row<U>>,
    contradictions: usize,
}

#[derive(Clone)]
struct Row<U> {
    product: Product<U>,
    value: Scalar,
}

impl<U: Ord + Clone> Lattice<U> {
    /// Takes in what is known.
    pub(crate) fn new(facts: impl IntoIterator<Item = (Product<U>, Scalar)>) -> Self {
        let mut left: Vec<_> = facts.into_iter().map(|(product, value)| Row { product, value }).collect();
        let (mut rows, mut contradictions) = (Vec::new(), 0);
        loop {
            // A row without unknowns says that 1 is 1, or the facts do not belong together.
            contradictions += left.iter().filter(|row| row.product.is_empty() && !is_one(&row.value)).count();
            left.retain(|row| !row.product.is_empty());
            let Some(first) = left.iter().filter_map(|row| row.product.keys().next()).min().cloned() else { break };
            rows.push(eliminate(&mut left, &first));
        }
        Self { rows, contradictions }
    }

    /// How many facts contradict the others. More than none: a fact is not what it was taken for.
    pub(crate) fn contradictions(&self) -> usize {
        self.contradictions
    }

    /// Finds a product's value.
    pub(crate) fn solve(&self, target: &Product<U>) -> Solution {
        let mut rest = target.clone();
        let (mut value, mut degree) = (one(), 1);
        for row in &self.rows {
            let Some((first, pivot)) = row.product.iter().next() else { continue };
            let Some(&exponent) = rest.get(first) else { continue };
            // Where the pivot does not divide the exponent, some power of the target is looked for instead.
            let factor = pivot.abs() / gcd(*pivot, exponent);
            if factor > 1 {
                rest.values_mut().for_each(|exponent| *exponent *= factor);
                value = power(&value, factor);
                degree *= factor;
            }
            let times = exponent * factor / pivot;
            add(&mut rest, &row.product, -times);
            value = value.mul(&power(&row.value, times));
        }
        match degree {
            _ if !rest.is_empty() => Solution::Unknown,
            1 => Solution::Value(value),
            _ => Solution::UpToRoot,
        }
    }
}

/// Leaves `unknown` in one row only, which is taken out.
fn eliminate<U: Ord + Clone>(rows: &mut Vec<Row<U>>, unknown: &U) -> Row<U> {
    loop {
        let size = |row: &Row<U>| row.product.get(unknown).map(|exponent| exponent.abs());
        let with = rows.iter().enumerate().filter_map(|(index, row)| Some((size(row)?, index)));
        // `unknown` is the first of some row.
        let (_, smallest) = with.min().unwrap_or((0, 0));
        let pivot = rows[smallest].clone();
        let mut others = 0;
        for (index, row) in rows.iter_mut().enumerate() {
            let Some(&exponent) = row.product.get(unknown).filter(|_| index != smallest) else { continue };
            let times = exponent / pivot.product[unknown];
            add(&mut row.product, &pivot.product, -times);
            row.value = row.value.mul(&power(&pivot.value, -times));
            others += usize::from(row.product.contains_key(unknown));
        }
        if others == 0 {
            return rows.swap_remove(smallest);
        }
    }
}

fn add<U: Ord + Clone>(product: &mut Product<U>, other: &Product<U>, times: i128) {
    for (unknown, exponent) in other {
        let sum = product.entry(unknown.clone()).or_default();
        *sum += exponent * times;
        if *sum == 0 {
            product.remove(unknown);
        }
    }
}

fn one() -> Scalar {
    let mut wide = [0; 64];
    wide[0] = 1;
    Scalar::from_wide_bytes(&wide)
}

fn is_one(scalar: &Scalar) -> bool {
    scalar.to_bytes() == one().to_bytes()
}

/// Raises to a power, a negative one too. The exponents here are small.
fn power(base: &Scalar, exponent: i128) -> Scalar {
    let mut square = if exponent < 0 { base.invert() } else { base.clone() };
    let (mut result, mut left) = (one(), exponent.unsigned_abs());
    while left > 0 {
        if left & 1 == 1 {
            result = result.mul(&square);
        }
        square = square.mul(&square);
        left >>= 1;
    }
    result
}

fn gcd(a: i128, b: i128) -> i128 {
    let (mut a, mut b) = (a.abs(), b.abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests;
