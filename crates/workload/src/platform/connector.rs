//! A data holder's connector: what its configuration says about where a dataset lies and what opens it.
//!
//! In: `configuration_<descriptor id>.json` from the folder or server of connector configurations, the kind of the
//! connector, and the models of the descriptor's schema. Out: [`Connected`]: source, format, key and bucket settings.
//!
//! A configuration is a data holder's word. So `${NAME}` stands for a whole value and never for a part of one, which could
//! carry a secret into an address; it reaches no variable of the workload's own; and a path stays below the folder that the
//! operator gave to connectors. Nothing here opens a dataset.

mod files;

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use datafuse_engine::dataset::{BucketSettings, Format, ParquetKey, Source};
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use self::files::Files;
use super::{
    Environment, Patience, Variables,
    client::Client,
    error::{ConnectorProblem, PlatformError, Service, Trouble},
};

/// What stands for a model in a location.
const MODEL: &str = "{model}";

/// The most that is read of a configuration.
const MAX_BYTES: u64 = 1 << 20;

/// The id of a data descriptor that can stand in a file name: letters, digits, `_`, `-` and `.`, not first, at most 128.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescriptorId(String);

impl DescriptorId {
    /// Takes an id, if it can stand in a file name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_plain_name(text).then(|| Self(text.to_owned()))
    }

    /// The id as a text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a connector says.
#[derive(Clone, Debug)]
pub struct Connected {
    /// Where the data lies; with `{model}` in it where it stands for several models.
    pub source: Source,
    /// Its format.
    pub format: Option<Format>,
    /// The key of encrypted Parquet.
    pub parquet_key: Option<ParquetKey>,
    /// Settings and credentials of the bucket.
    pub bucket: BucketSettings,
}

/// Why a connector could not be read: what is wrong with it, or with the server that gives it.
#[derive(Debug)]
pub enum ConnectorError {
    /// Its configuration.
    Problem(ConnectorProblem),
    /// The server of configurations.
    Service(PlatformError),
}

impl From<ConnectorProblem> for ConnectorError {
    fn from(problem: ConnectorProblem) -> Self {
        Self::Problem(problem)
    }
}

/// Where configurations of connectors are, and what they may refer to.
#[derive(Clone, Debug)]
pub struct Connectors {
    place: Place,
    files: Files,
    variables: Variables,
}

#[derive(Clone, Debug)]
enum Place {
    Folder(PathBuf),
    Server(Client),
}

impl Connectors {
    /// Takes the places from the environment.
    ///
    /// # Errors
    /// [`PlatformError::Service`] if `DATA_CONNECTOR_CONFIG_LOCATION` is an address that cannot be used.
    pub fn of(environment: &Environment) -> Result<Self, PlatformError> {
        let location = environment.connector_configuration.trim();
        let place = match Url::parse(location) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => Place::Server(Client::new(Service::Connectors, url)),
            Ok(url) if location.contains("://") => {
                return Err(PlatformError::Service {
                    service: Service::Connectors,
                    place: format!("{}://...", url.scheme()),
                    trouble: Trouble::Reply { reason: "cannot be had: the address is neither http(s) nor a folder" },
                });
            }
            _ => Place::Folder(PathBuf::from(location)),
        };
        let configurations = match &place {
            Place::Folder(folder) => Some(folder.clone()),
            Place::Server(_) => None,
        };
        let reports = environment.user_output.clone().unwrap_or_else(|| Environment::DEFAULT_USER_OUTPUT.into());
        let files = Files::new(environment.connector_files.clone(), configurations, reports);
        Ok(Self { place, files, variables: environment.variables.clone() })
    }

    /// Waits so long for a server of configurations and no longer.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        let place = match self.place {
            Place::Server(client) => Place::Server(client.with_patience(patience)),
            folder @ Place::Folder(_) => folder,
        };
        Self { place, ..self }
    }

    /// Reads the connector of a descriptor. `models` are those of its schema.
    ///
    /// # Errors
    /// [`ConnectorError`].
    pub fn read(
        &self,
        descriptor: &DescriptorId,
        kind: Option<&str>,
        models: &[&str],
    ) -> Result<Connected, ConnectorError> {
        let kind = match kind.map(str::trim) {
            None | Some("") => return Err(ConnectorProblem::NoConnector.into()),
            Some("File") => Kind::File,
            Some("S3") => Kind::S3,
            Some("Gcs") => Kind::Gcs,
            Some("Azure") => Kind::Azure,
            Some(_) => return Err(ConnectorProblem::UnknownConnector.into()),
        };
        let bytes = self.load(descriptor)?;
        let keys = Keys::parse(&bytes, &self.variables)?;
        Ok(connect(kind, &keys, models, &self.files)?)
    }

    fn load(&self, descriptor: &DescriptorId) -> Result<Zeroizing<Vec<u8>>, ConnectorError> {
        let name = format!("configuration_{}.json", descriptor.as_str());
        match &self.place {
            Place::Folder(folder) => Ok(load_file(&folder.join(name))?),
            Place::Server(client) => match client.get(&[&name], MAX_BYTES as usize) {
                Ok(answer) => Ok(answer.bytes),
                Err(PlatformError::Service { trouble: Trouble::Status { status: 404 }, .. }) => {
                    let path = format!("{}/{name}", client.place().trim_end_matches('/')).into();
                    Err(ConnectorProblem::Missing { path }.into())
                }
                Err(error) => Err(ConnectorError::Service(error)),
            },
        }
    }
}

/// The kinds of connectors.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    S3,
    Gcs,
    Azure,
}

fn load_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, ConnectorProblem> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => ConnectorProblem::Missing { path: path.to_owned() },
        kind => ConnectorProblem::Unreadable { path: path.to_owned(), kind },
    };
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut bytes = Zeroizing::new(Vec::with_capacity(length.min(MAX_BYTES) as usize + 1));
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() as u64 > MAX_BYTES {
        true => Err(ConnectorProblem::TooLarge { limit: MAX_BYTES }),
        false => Ok(bytes),
    }
}

/// The settings of a connector, with variables replaced where they are asked for.
struct Keys<'a> {
    keys: BTreeMap<String, Value>,
    variables: &'a Variables,
}

/// How the variables begin that belong to the workload: its own, and those of the libraries that it reports and delivers with.
pub(super) const RESERVED: [&str; 8] = ["DV_", "DATAFUSE_", "REDIS_", "AWS_", "GOOGLE_", "GCS_", "AZURE_", "OTEL_"];

impl<'a> Keys<'a> {
    fn parse(bytes: &[u8], variables: &'a Variables) -> Result<Self, ConnectorProblem> {
        let not_json =
            |error: serde_json::Error| ConnectorProblem::NotJson { line: error.line(), column: error.column() };
        let mut document: Value = serde_json::from_slice(bytes).map_err(not_json)?;
        match document.get_mut("connectorKeys").map(Value::take) {
            Some(Value::Object(keys)) => Ok(Self { keys: keys.into_iter().collect(), variables }),
            _ => Err(ConnectorProblem::NoKeys),
        }
    }

    /// A setting's text; none where it is absent or empty.
    fn text(&self, key: &'static str) -> Result<Option<Zeroizing<String>>, ConnectorProblem> {
        let text = match self.keys.get(key) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) => text.as_str(),
            Some(_) => return Err(ConnectorProblem::NotText { key }),
        };
        if text.trim().is_empty() {
            return Ok(None);
        }
        if !text.contains("${") {
            return Ok(Some(Zeroizing::new(text.to_owned())));
        }
        let name = text.trim().strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        let is_word = |name: &&str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let name = name.filter(is_word).ok_or(ConnectorProblem::VariableWithin { key })?;
        if RESERVED.iter().any(|own| name.starts_with(own)) {
            return Err(ConnectorProblem::VariableReserved { key, name: name.to_owned() });
        }
        let value = self.variables.value(name);
        value.map(Some).ok_or_else(|| ConnectorProblem::VariableMissing { key, name: name.to_owned() })
    }

    /// A setting that says where a file lies here: no variable, for paths are shown in errors.
    fn part_of_path(&self, key: &'static str) -> Result<Option<Zeroizing<String>>, ConnectorProblem> {
        if self.is_variable(key) {
            return Err(ConnectorProblem::Place { key, reason: "is a path, and from a variable" });
        }
        self.text(key)
    }

    fn is_variable(&self, key: &str) -> bool {
        matches!(self.keys.get(key), Some(Value::String(text)) if text.contains("${"))
    }

    fn needed(&self, key: &'static str) -> Result<Zeroizing<String>, ConnectorProblem> {
        self.text(key)?.ok_or(ConnectorProblem::KeyMissing { key })
    }
}

fn connect(kind: Kind, keys: &Keys<'_>, models: &[&str], files: &Files) -> Result<Connected, ConnectorProblem> {
    let format = match keys.text("file_format")?.as_ref().map(|format| format.trim().to_ascii_lowercase()).as_deref() {
        None => None,
        Some("csv") => Some(Format::Csv),
        Some("json") => Some(Format::Json),
        Some("parquet") => Some(Format::Parquet),
        Some(_) => return Err(ConnectorProblem::Format),
    };
    // The platform says of the key that it is for Parquet only.
    let parquet_key = match keys.text("encryption_key")? {
        Some(key) if matches!(format, None | Some(Format::Parquet)) => {
            let wrong = |_| ConnectorProblem::EncryptionKey { characters: key.len() };
            Some(key.parse::<ParquetKey>().map_err(wrong)?)
        }
        _ => None,
    };
    let mut bucket = BucketSettings::default();
    let source = match kind {
        Kind::File => file(keys, models, files)?,
        Kind::S3 => {
            let source = in_bucket(keys, models, &[("s3", "s3"), ("s3a", "s3a")])?;
            bucket.set("AWS_REGION", keys.needed("region")?);
            if let Some((id, secret)) = pair(keys, "key_id", "secret")? {
                bucket.set("AWS_ACCESS_KEY_ID", id);
                bucket.set("AWS_SECRET_ACCESS_KEY", secret);
            }
            source
        }
        Kind::Gcs => {
            let source = in_bucket(keys, models, &[("gs", "gs"), ("gcs", "gs")])?;
            if let Some((id, secret)) = pair(keys, "key_id", "secret")? {
                bucket.set("GOOGLE_HMAC_KEY_ID", id);
                bucket.set("GOOGLE_HMAC_SECRET", secret);
            }
            source
        }
        Kind::Azure => {
            const SCHEMES: [(&str, &str); 4] = [("az", "az"), ("azure", "azure"), ("abfs", "abfs"), ("abfss", "abfss")];
            let source = in_bucket(keys, models, &SCHEMES)?;
            if let Some(connection) = keys.text("connection_key")? {
                bucket.set("AZURE_STORAGE_CONNECTION_STRING", connection);
            }
            if let Some(token) = keys.text("shared_access_token")? {
                bucket.set("AZURE_STORAGE_SAS_KEY", token);
            }
            source
        }
    };
    Ok(Connected { source, format, parquet_key, bucket })
}

type Credentials = (Zeroizing<String>, Zeroizing<String>);

fn pair(keys: &Keys<'_>, id: &'static str, secret: &'static str) -> Result<Option<Credentials>, ConnectorProblem> {
    match (keys.text(id)?, keys.text(secret)?) {
        (Some(id), Some(secret)) => Ok(Some((id, secret))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(ConnectorProblem::KeyAlone { key: id, other: secret }),
        (None, Some(_)) => Err(ConnectorProblem::KeyAlone { key: secret, other: id }),
    }
}

/// The object that a location names. `schemes`: those of the connector, and how the engine calls them.
fn in_bucket(keys: &Keys<'_>, models: &[&str], schemes: &[(&str, &str)]) -> Result<Source, ConnectorProblem> {
    const KEY: &str = "location";
    let wrong = |reason| ConnectorProblem::Place { key: KEY, reason };
    let location = keys.needed(KEY)?;
    let location = with_the_model(&location, models)?;
    let Some((scheme, rest)) = location.trim().split_once("://") else {
        return Err(wrong("is not the address of a bucket"));
    };
    let scheme = scheme.to_ascii_lowercase();
    let Some((_, scheme)) = schemes.iter().find(|(known, _)| *known == scheme) else {
        return Err(wrong("is not an address of the connector's kind"));
    };
    if location.chars().any(char::is_control) {
        return Err(wrong("holds a control character"));
    }
    let address = format!("{scheme}://{rest}");
    let url = Url::parse(&address).map_err(|_| wrong("is not a valid address"))?;
    // `abfss://container@account...` names the container where other addresses have a user.
    let names_container = matches!(*scheme, "abfs" | "abfss") && url.password().is_none();
    if (!url.username().is_empty() && !names_container) || url.password().is_some() {
        return Err(wrong("holds a user name or password"));
    }
    // In a pattern `?` is one character; in an address it begins what may be a signature.
    if url.query().is_some_and(|query| query.contains('=')) || url.fragment().is_some() {
        return Err(wrong("holds a query or fragment"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(wrong("names no bucket"));
    }
    address.parse().map_err(|_| wrong("is not a valid address"))
}

/// The file that a connector of this kind names: behind an address, or below the folder of connectors' files.
fn file(keys: &Keys<'_>, models: &[&str], files: &Files) -> Result<Source, ConnectorProblem> {
    const URL: &str = "url";
    let wrong = |reason| ConnectorProblem::Place { key: URL, reason };
    let name = keys.part_of_path("file_name")?;
    let folder = keys.part_of_path("download_directory")?;
    let Some(url) = keys.text(URL)? else {
        // Somebody else downloads it to where the platform's library would.
        let name = name.ok_or(ConnectorProblem::KeyMissing { key: URL })?;
        let folder = folder.as_deref().map_or(files.folder(), |folder| Path::new(folder.as_str()));
        return files.source(&named(folder, &name, models)?, "file_name");
    };
    let text = with_the_model(&url, models)?;
    let text = text.trim();
    if text.chars().any(char::is_control) {
        return Err(wrong("holds a control character"));
    }
    if text.split(',').skip(1).any(|more| more.trim_start().starts_with("http")) {
        return Err(wrong("names several files, and one is read"));
    }
    let lower = text.to_ascii_lowercase();
    if lower.starts_with("http://") || lower.starts_with("https://") {
        // What else there is to check about the address is checked when it is fetched, after each redirect too.
        return Ok(Source::Url(Url::parse(text).map_err(|_| wrong("is not a valid address"))?));
    }
    if keys.is_variable(URL) {
        return Err(wrong("is a path, and from a variable"));
    }
    let path = match lower.strip_prefix("file://") {
        Some(_) => &text["file://".len()..],
        None if text.contains("://") => return Err(wrong("is neither an http(s) address nor a path")),
        None => text,
    };
    let mut path = match folder {
        Some(folder) => Path::new(folder.as_str()).join(path),
        None => files.folder().join(path),
    };
    if let Some(name) = name
        && (text.ends_with('/') || path.is_dir())
    {
        path = named(&path, &name, models)?;
    }
    files.source(&path, URL)
}

/// A file name is one plain component.
fn named(folder: &Path, name: &str, models: &[&str]) -> Result<PathBuf, ConnectorProblem> {
    let name = with_the_model(name, models)?;
    let mut components = Path::new(name.as_str()).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(name)), None) => Ok(folder.join(name)),
        _ => Err(ConnectorProblem::Place { key: "file_name", reason: "is not the name of one file" }),
    }
}

/// Puts the model in the place of `{model}` where there is but one; where there are several it stays.
fn with_the_model(text: &str, models: &[&str]) -> Result<Zeroizing<String>, ConnectorProblem> {
    if !text.contains(MODEL) {
        return Ok(Zeroizing::new(text.to_owned()));
    }
    let wrong = |reason| ConnectorProblem::Place { key: "schema", reason };
    if models.is_empty() {
        return Err(wrong("names no model for the {model} in the connector's place"));
    }
    if !models.iter().all(|model| is_plain_name(model)) {
        return Err(wrong("names a model that cannot stand in a file name"));
    }
    Ok(Zeroizing::new(match models {
        [model] => text.replace(MODEL, model),
        _ => text.to_owned(),
    }))
}

/// A name that can be part of a path or address and stays what it is there.
pub(crate) fn is_plain_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    (1..=128).contains(&text.len()) && !text.starts_with('.') && text.bytes().all(plain)
}

#[cfg(test)]
mod tests;
