//! What opens a source beside its address: the settings and credentials of a bucket, and the key of an encrypted Parquet file.
//!
//! Values only. They are wiped when dropped and never shown.

use std::{fmt, str::FromStr};

use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// Settings and credentials of a bucket, under the names that the providers' own variables have (`AWS_ACCESS_KEY_ID`,
/// `AWS_REGION`, `AZURE_STORAGE_SAS_KEY`, `GOOGLE_SERVICE_ACCOUNT`, ...).
///
/// Those of this process are the operator's word; those that [`set`](Self::set) takes come from a connector or an agreement and
/// are somebody else's, who may name credentials, a region and a public endpoint, and nothing that reads this machine's files or
/// asks its neighbours. Where both are given, the operator's credentials are not used.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct BucketSettings(Vec<Setting>);

/// One value, and whether the operator of this process gave it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) name: String,
    pub(super) value: Zeroizing<String>,
    pub(super) from_operator: bool,
}

impl BucketSettings {
    /// Takes all variables of this process that begin with `AWS_`, `GOOGLE_` or `AZURE_`.
    #[must_use]
    pub fn from_process() -> Self {
        let known = |name: &str| ["AWS_", "GOOGLE_", "AZURE_"].iter().any(|prefix| name.starts_with(prefix));
        Self(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .filter(|(name, _)| known(name))
                .map(|(name, value)| Setting { name, value: Zeroizing::new(value), from_operator: true })
                .collect(),
        )
    }

    /// Sets one value on somebody else's word; a later one of the same name counts.
    pub fn set(&mut self, name: impl Into<String>, value: Zeroizing<String>) {
        self.0.push(Setting { name: name.into(), value, from_operator: false });
    }

    /// Sets one value on the word of this process's operator, as if it were a variable of the process.
    pub fn set_as_operator(&mut self, name: impl Into<String>, value: Zeroizing<String>) {
        self.0.push(Setting { name: name.into(), value, from_operator: true });
    }

    /// Gives the values, for the client that is built of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Setting> {
        self.0.iter()
    }
}

/// Shows the names, never the values.
impl fmt::Debug for BucketSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|setting| &setting.name)).finish()
    }
}

/// The AES key of an encrypted Parquet file's footer and columns: 16, 24 or 32 bytes, given as that many characters.
#[derive(Clone, PartialEq, Eq)]
pub struct ParquetKey(Zeroizing<Vec<u8>>);

impl ParquetKey {
    /// Gives the bytes, for the cipher.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for ParquetKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.len() {
            16 | 24 | 32 => Ok(Self(Zeroizing::new(text.as_bytes().to_vec()))),
            characters => Err(Error::ParquetKeyLength { characters }),
        }
    }
}

impl fmt::Debug for ParquetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ParquetKey(..)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn debug_shows_no_value() {
        let mut settings = BucketSettings::default();
        settings.set("AWS_SECRET_ACCESS_KEY", Zeroizing::new("hunter2".to_owned()));
        let key: ParquetKey = "0123456789abcdef0123456789abcdef".parse().unwrap();
        assert_eq!(format!("{settings:?} {key:?}"), r#"["AWS_SECRET_ACCESS_KEY"] ParquetKey(..)"#);
    }

    #[test]
    fn refuses_keys_of_another_length_without_showing_them() {
        assert_eq!("0123456789abcdef".parse::<ParquetKey>().unwrap().as_bytes(), b"0123456789abcdef");
        for text in ["", "hunter2", "0123456789abcdef0"] {
            let error = text.parse::<ParquetKey>().unwrap_err();
            assert!(matches!(error, Error::ParquetKeyLength { characters } if characters == text.len()));
        }
    }
}
