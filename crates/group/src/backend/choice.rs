//! Which backend computes: the fastest that the processor can run, or the one that is asked for.
//!
//! In: the processor's features and the environment variable `DATAFUSE_GROUP_BACKEND`, which exists for tests and for
//! comparing. Out: a [`Backend`], which cannot be had for a processor that lacks what it needs.

use std::env;
use std::fmt;
use std::sync::OnceLock;

use super::{Kernel, Portable};

/// Names a backend, to be used in place of the fastest.
const VARIABLE: &str = "DATAFUSE_GROUP_BACKEND";

/// One of the ways of computing in the group, which all give the same results; the processor can run it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Backend(Kind);

/// Every backend that this program was built with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Ifma,
}

impl Kind {
    /// From the slowest to the fastest.
    const ALL: &[Self] = &[
        Self::Portable,
        #[cfg(target_arch = "x86_64")]
        Self::Avx2,
        #[cfg(target_arch = "x86_64")]
        Self::Ifma,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Portable => Portable::NAME,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => super::Avx2::NAME,
            #[cfg(target_arch = "x86_64")]
            Self::Ifma => super::Ifma::NAME,
        }
    }

    /// Looks at the processor, and returns the name of a feature that it lacks.
    fn missing_feature(self) -> Option<&'static str> {
        match self {
            Self::Portable => Portable::missing_feature(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => super::Avx2::missing_feature(),
            #[cfg(target_arch = "x86_64")]
            Self::Ifma => super::Ifma::missing_feature(),
        }
    }
}

impl Backend {
    /// Returns the names of all backends of any processor, from the slowest to the fastest.
    pub fn names() -> &'static [&'static str] {
        &["portable", "avx2", "ifma"]
    }

    /// Returns the backend of this name.
    ///
    /// # Errors
    /// [`BackendError::Unknown`] if no backend has the name, [`BackendError::Unsupported`] if this processor cannot run
    /// it.
    pub fn named(name: &str) -> Result<Self, BackendError> {
        let Some(known) = Self::names().iter().find(|known| **known == name) else {
            return Err(BackendError::Unknown { name: name.to_owned() });
        };
        let Some(kind) = Kind::ALL.iter().find(|kind| kind.name() == name) else {
            return Err(BackendError::Unsupported { name: known, missing: "an x86-64 processor" });
        };
        match kind.missing_feature() {
            Some(missing) => Err(BackendError::Unsupported { name: known, missing }),
            None => Ok(Self(*kind)),
        }
    }

    /// Returns the fastest backend that this processor can run.
    pub fn fastest() -> Self {
        let kind = Kind::ALL.iter().rev().find(|kind| kind.missing_feature().is_none());
        Self(*kind.unwrap_or(&Kind::Portable))
    }

    /// Returns the backend that `DATAFUSE_GROUP_BACKEND` names, or the fastest if it is not set or empty.
    ///
    /// # Errors
    /// Those of [`Backend::named`].
    pub fn from_environment() -> Result<Self, BackendError> {
        match env::var_os(VARIABLE) {
            Some(name) if !name.is_empty() => Self::named(&name.to_string_lossy()),
            _ => Ok(Self::fastest()),
        }
    }

    /// Returns the backend that the functions of this crate use: that of the environment, looked up once.
    ///
    /// # Panics
    /// If `DATAFUSE_GROUP_BACKEND` names a backend that is not there. A program calls
    /// [`Backend::from_environment`] first, and says so in its own way.
    pub fn active() -> Self {
        static ACTIVE: OnceLock<Backend> = OnceLock::new();
        *ACTIVE.get_or_init(|| match Self::from_environment() {
            Ok(backend) => backend,
            Err(error) => panic!("{error}"),
        })
    }

    /// Returns which one it is, for the functions of `points` to call.
    pub(crate) fn kind(self) -> Kind {
        self.0
    }

    /// Returns the name, for logs, benchmarks and the override.
    pub fn name(self) -> &'static str {
        self.0.name()
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Tells why a backend cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// No backend has this name.
    #[error("DATAFUSE_GROUP_BACKEND is '{name}', which is no backend (there are: {})", Backend::names().join(", "))]
    Unknown {
        /// The name that was asked for.
        name: String,
    },
    /// The processor cannot run it.
    #[error("backend '{name}' needs {missing}, which this machine does not have")]
    Unsupported {
        /// Name of the backend.
        name: &'static str,
        /// What is missing.
        missing: &'static str,
    },
}

impl BackendError {
    /// Returns what a user can do about it.
    pub fn remedy(&self) -> Option<String> {
        Some(format!("unset {VARIABLE}: the fastest backend of this machine is then used"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_backend_is_named_once_and_in_order() {
        let built: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(built, Backend::names()[..built.len()]);
    }

    #[test]
    fn portable_is_always_there() {
        assert_eq!(Backend::named("portable").unwrap().name(), "portable");
    }

    #[test]
    fn the_fastest_is_the_last_that_is_there() {
        let there: Vec<_> = Backend::names().iter().filter_map(|name| Backend::named(name).ok()).collect();
        assert_eq!(there.last(), Some(&Backend::fastest()));
    }

    #[test]
    fn refuses_a_name_that_is_none() {
        let error = Backend::named("fast").unwrap_err();
        assert_eq!(
            error.to_string(),
            "DATAFUSE_GROUP_BACKEND is 'fast', which is no backend (there are: portable, avx2, ifma)"
        );
        assert!(error.remedy().is_some());
    }

    #[test]
    fn says_what_the_machine_lacks() {
        let error = BackendError::Unsupported { name: "ifma", missing: "AVX-512IFMA" };
        assert_eq!(error.to_string(), "backend 'ifma' needs AVX-512IFMA, which this machine does not have");
    }
}
