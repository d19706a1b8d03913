//! Length-prefixed concatenation: the one encoding of everything that is hashed, signed or bound as `info`.
//!
//! `lp(x)` is the length of x as four bytes big-endian, then x. A list is one `lp` over its elements' `lp`s, an integer is
//! eight bytes big-endian. The encoding is injective: two different sequences of fields never give the same bytes.

/// A growing concatenation of length-prefixed fields.
#[derive(Clone, Default)]
pub struct Lp(Vec<u8>);

impl Lp {
    /// Starts with a fixed label that names purpose and version.
    #[must_use]
    pub fn labelled(label: &str) -> Self {
        Self::default().field(label.as_bytes())
    }

    /// Appends `lp(bytes)`.
    ///
    /// # Panics
    /// When the field is 4 GiB or longer; no caller hands in more than a file's footer.
    #[must_use]
    pub fn field(mut self, bytes: &[u8]) -> Self {
        append(&mut self.0, bytes);
        self
    }

    /// Appends an integer as `lp` of its eight bytes big-endian.
    #[must_use]
    pub fn integer(self, value: u64) -> Self {
        self.field(&value.to_be_bytes())
    }

    /// Appends a list: one `lp` over the `lp`s of its elements.
    #[must_use]
    pub fn list<T: AsRef<[u8]>>(self, elements: impl IntoIterator<Item = T>) -> Self {
        let mut inner = Vec::new();
        for element in elements {
            append(&mut inner, element.as_ref());
        }
        self.field(&inner)
    }

    /// Gives the bytes.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Appends `lp(bytes)` to a buffer.
///
/// # Panics
/// When the field is 4 GiB or longer.
pub fn append(buffer: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("a length-prefixed field is shorter than 4 GiB");
    buffer.extend_from_slice(&length.to_be_bytes());
    buffer.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_lists_and_integers_are_length_prefixed() {
        let bytes = Lp::labelled("L").field(b"ab").list([b"x".as_slice(), b""]).integer(258).into_bytes();
        assert_eq!(
            bytes,
            [
                &[0, 0, 0, 1, b'L'][..],
                &[0, 0, 0, 2, b'a', b'b'],
                &[0, 0, 0, 9, 0, 0, 0, 1, b'x', 0, 0, 0, 0],
                &[0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 1, 2],
            ]
            .concat()
        );
    }
}
