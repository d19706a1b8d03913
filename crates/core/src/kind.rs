//! Identifier kinds: what a space matches on, in one column or several.

use crate::{
    error::{Error, Result},
    id::KindName,
    lp::{self, Lp},
    normalize::{InvalidReason, Normalization, NormalizedIdentifier, Profile},
};

/// The longest text that names the profiles of a kind: those of several columns.
pub(crate) const MAX_PROFILE_BYTES: usize = 1024;

/// One column of an identifier kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name within the kind; for a kind of one column the kind's own name.
    pub name: String,
    /// How its values are normalised.
    pub profile: Profile,
    /// ISO 3166 code of the region that national phone numbers belong to, where the profile needs one.
    pub default_region: Option<String>,
}

/// What is matched on: a name, and one or several columns in the agreed order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    name: KindName,
    columns: Vec<Column>,
}

impl Kind {
    /// Makes a kind of its columns, in the agreed order.
    ///
    /// # Errors
    /// [`Error::InvalidId`] where there is no column, or two have one name.
    pub fn new(name: KindName, columns: Vec<Column>) -> Result<Self> {
        let invalid = |rule| Error::InvalidId { what: "identifier kind", value: name.to_string(), rule };
        if columns.is_empty() {
            return Err(invalid("it needs at least one column"));
        }
        let mut names: Vec<_> = columns.iter().map(|column| &column.name).collect();
        names.sort_unstable();
        names.dedup();
        if names.len() != columns.len() {
            return Err(invalid("its columns need different names"));
        }
        Ok(Self { name, columns })
    }

    /// Makes a kind of one column.
    #[must_use]
    pub fn single(name: KindName, profile: Profile, default_region: Option<String>) -> Self {
        let column = Column { name: name.to_string(), profile, default_region };
        Self { name, columns: vec![column] }
    }

    /// The kind's name.
    #[must_use]
    pub fn name(&self) -> &KindName {
        &self.name
    }

    /// The columns in the agreed order.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The profile that is hashed with every identifier: of several columns, the profiles joined by `+` in the agreed order.
    #[must_use]
    pub fn profile(&self) -> String {
        self.columns.iter().map(|column| column.profile.as_str()).collect::<Vec<_>>().join("+")
    }

    /// Gives the profiles that would bring more spellings together, see [`Profile::wider`]; none for a kind of several columns.
    #[must_use]
    pub fn wider_profiles(&self) -> &'static [Profile] {
        match self.columns.as_slice() {
            [column] => column.profile.wider(),
            _ => &[],
        }
    }

    /// Normalises one identifier: a value for each column, in the agreed order; `None` is a null.
    ///
    /// Several columns are empty together when all are, and invalid when one is or when only some are empty. Their normal
    /// form is `lp` of each.
    ///
    /// # Panics
    /// When the number of values is not the number of columns.
    #[must_use]
    pub fn normalize(&self, values: &[Option<&[u8]>]) -> Normalization {
        assert_eq!(values.len(), self.columns.len(), "one value for each column of the kind");
        let normalize_one = |column: &Column, value: Option<&[u8]>| match value {
            None => Normalization::Empty,
            Some(bytes) => column.profile.normalize(bytes, column.default_region.as_deref()),
        };
        if let ([column], [value]) = (self.columns.as_slice(), values) {
            return normalize_one(column, *value);
        }
        let mut parts = Vec::with_capacity(values.len());
        for (column, value) in self.columns.iter().zip(values) {
            match normalize_one(column, *value) {
                Normalization::Empty => {}
                Normalization::Valid(part) => parts.push(part),
                invalid @ Normalization::Invalid(_) => return invalid,
            }
        }
        match parts.len() {
            0 => Normalization::Empty,
            some if some < values.len() => Normalization::Invalid(InvalidReason::Incomplete),
            _ => {
                // Sized beforehand, so that no copy of an identifier is left behind by growing.
                let mut joined = Vec::with_capacity(parts.iter().map(|part| 4 + part.as_bytes().len()).sum());
                parts.iter().for_each(|part| lp::append(&mut joined, part.as_bytes()));
                Normalization::Valid(NormalizedIdentifier::new(joined))
            }
        }
    }

    /// The bytes by which the root binds this kind: its name, and for each column name, profile and region.
    pub(crate) fn binding(&self) -> Vec<u8> {
        let columns = self.columns.iter().map(|column| {
            Lp::default()
                .field(column.name.as_bytes())
                .field(column.profile.as_str().as_bytes())
                .field(column.default_region.as_deref().unwrap_or_default().as_bytes())
                .into_bytes()
        });
        Lp::default().field(self.name.as_str().as_bytes()).list(columns).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn person() -> Kind {
        let column = |name: &str, profile| Column { name: name.into(), profile, default_region: None };
        let columns = vec![column("surname", Profile::TextV1), column("birth_date", Profile::ExactV1)];
        Kind::new("person".parse().unwrap(), columns).unwrap()
    }

    #[test]
    fn several_columns_are_length_prefixed_in_order() {
        let Normalization::Valid(identifier) = person().normalize(&[Some(b" Peeters "), Some(b"1980-01-02")]) else {
            panic!("valid")
        };
        assert_eq!(identifier.as_bytes(), b"\0\0\0\x07peeters\0\0\0\x0a1980-01-02");
        assert_eq!(person().profile(), "text-v1+exact-v1");
    }

    #[test]
    fn a_partly_empty_identifier_is_invalid_and_a_wholly_empty_one_is_empty() {
        assert!(matches!(
            person().normalize(&[Some(b"Peeters"), None]),
            Normalization::Invalid(InvalidReason::Incomplete)
        ));
        assert!(matches!(person().normalize(&[Some(b" "), None]), Normalization::Empty));
    }

    #[test]
    fn refuses_no_columns_and_columns_of_one_name() {
        assert!(Kind::new("person".parse().unwrap(), vec![]).is_err());
        let column = || Column { name: "a".into(), profile: Profile::ExactV1, default_region: None };
        assert!(Kind::new("person".parse().unwrap(), vec![column(), column()]).is_err());
    }
}
