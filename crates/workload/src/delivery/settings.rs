//! What the operator says about deliveries: tokens, certificates to trust, credentials of buckets, and how long to try.

use std::{fmt, path::PathBuf, time::Duration};

use datafuse_core::id::ParticipantId;
use datafuse_engine::dataset::BucketSettings;
use datafuse_space::delivery_token_variable;
use zeroize::Zeroizing;

/// The environment variable that names a file of certificates to trust for endpoints, beside the usual ones.
pub const CA_FILE_VARIABLE: &str = "DATAFUSE_DELIVERY_CA_FILE";

/// How long to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// The longest wait for a name and a connection.
    pub connect: Duration,
    /// The longest time for one request.
    pub request: Duration,
    /// The pause after the first failure that may pass; doubled with each.
    pub first_pause: Duration,
    /// The longest time for one place, all attempts and pauses together. Then the event is given back to the queue.
    pub total: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            request: Duration::from_secs(30),
            first_pause: Duration::from_secs(1),
            total: Duration::from_secs(90),
        }
    }
}

/// What deliveries need to know from the operator. By default: no tokens, no credentials, the usual certificates.
#[derive(Clone, Default)]
pub struct DeliverySettings {
    /// A file of PEM certificates to trust beside the usual ones.
    pub ca_file: Option<PathBuf>,
    /// Settings and credentials of buckets.
    pub bucket: BucketSettings,
    /// How long to try.
    pub patience: Patience,
    /// Variables' names and values.
    tokens: Vec<(String, Zeroizing<String>)>,
}

impl DeliverySettings {
    /// Takes them from the variables of this process: [`CA_FILE_VARIABLE`], `DATAFUSE_DELIVERY_TOKEN_<USER>`, and those of the
    /// buckets' providers. Unset and empty are the same.
    #[must_use]
    pub fn from_process() -> Self {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            let value = value.into_string().ok().filter(|value| !value.is_empty())?;
            Some((name, Zeroizing::new(value)))
        });
        Self::from_variables(variables, BucketSettings::from_process())
    }

    /// Takes them from names and values.
    #[must_use]
    pub fn from_variables(
        variables: impl Iterator<Item = (String, Zeroizing<String>)>,
        bucket: BucketSettings,
    ) -> Self {
        let prefix = delivery_token_variable("");
        let mut settings = Self { bucket, ..Self::default() };
        for (name, value) in variables {
            if name == CA_FILE_VARIABLE {
                settings.ca_file = Some(PathBuf::from(value.as_str()));
            } else if name.starts_with(&prefix) {
                settings.tokens.push((name, value));
            }
        }
        settings
    }

    /// The bearer token for a user's endpoints, with the name of the variable that holds it.
    pub(super) fn token(&self, user: &ParticipantId) -> Option<(&str, &str)> {
        let variable = delivery_token_variable(user.as_str());
        let (name, token) = self.tokens.iter().find(|(name, _)| *name == variable)?;
        Some((name, token))
    }
}

/// Shows names, never values.
impl fmt::Debug for DeliverySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliverySettings")
            .field("ca_file", &self.ca_file)
            .field("bucket", &self.bucket)
            .field("patience", &self.patience)
            .field("tokens", &self.tokens.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_token_is_found_by_its_users_name_and_never_shown() {
        let variables =
            [("DATAFUSE_DELIVERY_TOKEN_ACME_EU_1", "hunter2"), (CA_FILE_VARIABLE, "/ca.pem"), ("OTHER", "x")]
                .map(|(name, value)| (name.to_owned(), Zeroizing::new(value.to_owned())));
        let settings = DeliverySettings::from_variables(variables.into_iter(), BucketSettings::default());
        let user = |name: &str| name.parse::<ParticipantId>().unwrap();
        assert_eq!(settings.token(&user("acme-eu.1")), Some(("DATAFUSE_DELIVERY_TOKEN_ACME_EU_1", "hunter2")));
        assert_eq!(settings.token(&user("acme")), None);
        assert_eq!(settings.ca_file, Some("/ca.pem".into()));
        let shown = format!("{settings:?}");
        assert!(shown.contains("ACME_EU_1") && !shown.contains("hunter2"), "{shown}");
    }
}
