//! Locations that hold `{model}`, in whose place each model of a contract puts its name.
//!
//! A model's name may come from somebody else, so it is a plain name or there is no location: names from data never lead elsewhere.

use url::Url;

use super::error::ContractError;
use crate::dataset::Source;

const MARK: &str = "{model}";
/// As it stands in an address.
const MARK_IN_URL: &str = "%7Bmodel%7D";

/// Gives the source of one model; `None` where the source does not depend on the model. `position` is the model's, from 1.
///
/// # Errors
/// [`ContractError::ModelName`] for a name that is more than letters, digits, `_`, `-` and `.` within.
pub fn source_of_model(source: &Source, model: &str, position: usize) -> Result<Option<Source>, ContractError> {
    let text = match source {
        Source::Path(path) => path.to_string_lossy().into_owned(),
        Source::Glob(pattern) => pattern.clone(),
        Source::Url(url) => url.as_str().to_owned(),
    };
    if !text.contains(MARK) && !text.contains(MARK_IN_URL) {
        return Ok(None);
    }
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let refused = || ContractError::ModelName { position };
    if model.is_empty() || model.len() > 128 || model.starts_with('.') || !model.chars().all(is_plain) {
        return Err(refused());
    }
    let text = text.replace(MARK, model).replace(MARK_IN_URL, model);
    Ok(Some(match source {
        Source::Path(_) => Source::Path(text.into()),
        Source::Glob(_) => Source::Glob(text),
        Source::Url(_) => Source::Url(Url::parse(&text).map_err(|_| refused())?),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_models_name_takes_its_place() {
        let of =
            |text: &str| source_of_model(&text.parse().unwrap(), "people", 1).unwrap().map(|source| source.to_string());
        assert_eq!(of("data/{model}.csv").unwrap(), "data/people.csv");
        assert_eq!(of("data/{model}/*.csv").unwrap(), "data/people/*.csv");
        assert_eq!(of("https://a.example/{model}.csv").unwrap(), "https://a.example/people.csv");
        assert_eq!(of("data/x.csv"), None);
    }

    #[test]
    fn a_name_that_could_lead_elsewhere_is_refused() {
        let source = "data/{model}.csv".parse().unwrap();
        for name in ["", "..", "../x", "a/b", "a\\b", ".hidden", "a b", "a*", "a\0"] {
            assert!(source_of_model(&source, name, 1).is_err(), "{name:?}");
        }
    }
}
