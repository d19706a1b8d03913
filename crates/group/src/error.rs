//! What can be wrong with the encoding of a group element.
//!
//! An error names the position in the batch, never the bytes found there: they may be a token.

/// Tells which encoding of a batch is refused, and why (RFC 9496, section 4.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PointError {
    /// The bytes are not the canonical encoding of any group element.
    #[error("element {index} is not a canonical ristretto255 encoding")]
    NotCanonical {
        /// Position of the first bad encoding in the batch, counted from 0.
        index: usize,
    },
    /// The bytes are the canonical encoding of the identity, which no honest party sends.
    #[error("element {index} is the identity of the group")]
    Identity {
        /// Position of the first bad encoding in the batch, counted from 0.
        index: usize,
    },
}

impl PointError {
    /// Returns the position of the first bad encoding in the batch, counted from 0.
    pub fn index(&self) -> usize {
        match *self {
            Self::NotCanonical { index } | Self::Identity { index } => index,
        }
    }

    /// Returns what a user can do about it: nothing that this crate knows of, as it does not know where the bytes came
    /// from. Whoever read them names the dataset and its remedy.
    pub fn remedy(&self) -> Option<String> {
        None
    }

    /// Returns the same error with its position moved up by `count`, for a batch that is one piece of a longer one.
    pub(crate) fn after(self, count: usize) -> Self {
        match self {
            Self::NotCanonical { index } => Self::NotCanonical { index: index + count },
            Self::Identity { index } => Self::Identity { index: index + count },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_the_position() {
        let not_canonical = PointError::NotCanonical { index: 7 };
        assert_eq!(not_canonical.to_string(), "element 7 is not a canonical ristretto255 encoding");
        let identity = PointError::Identity { index: 8 };
        assert_eq!(identity.to_string(), "element 8 is the identity of the group");
    }

    #[test]
    fn position_moves_with_the_piece() {
        assert_eq!(PointError::NotCanonical { index: 1 }.after(256), PointError::NotCanonical { index: 257 });
        assert_eq!(PointError::Identity { index: 0 }.after(256).index(), 256);
    }
}
