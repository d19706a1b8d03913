//! The environment variables that connectors may refer to: those of the process, and those of the file that `DOTENV_FILE`
//! names. Values are read when they are asked for, wiped when dropped, and never shown.

use std::{collections::HashMap, env, fmt, sync::Arc};

use zeroize::Zeroizing;

use super::Secret;

/// Variables by name; the process's come first.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Variables {
    file: Arc<HashMap<String, Secret>>,
    /// Whether the process's own are looked at.
    process: bool,
}

impl Variables {
    /// Takes those of this process, and these of a file.
    pub(super) fn of_process(file: HashMap<String, String>) -> Self {
        let file = file.into_iter().map(|(name, value)| (name, Secret::new(Zeroizing::new(value)))).collect();
        Self { file: Arc::new(file), process: true }
    }

    /// Takes these and no others.
    #[must_use]
    pub fn only(values: impl IntoIterator<Item = (String, Zeroizing<String>)>) -> Self {
        let file = values.into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
        Self { file: Arc::new(file), process: false }
    }

    /// Gives a variable's value; none where it is unset or empty.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<Zeroizing<String>> {
        let of_process = if self.process { env::var(name).ok().map(Zeroizing::new) } else { None };
        let value = of_process.filter(|value| !value.is_empty());
        value
            .or_else(|| self.file.get(name).map(|value| Zeroizing::new(value.expose().to_owned())))
            .filter(|value| !value.is_empty())
    }
}

/// Shows how many are from a file, neither names nor values.
impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Variables({} from a file)", self.file.len())
    }
}
