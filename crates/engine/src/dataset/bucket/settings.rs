//! From settings to a provider's client: which settings count on whose word, what they must look like, and where they may lead.
//!
//! In: an address and the policy with its settings. Out: a client with credentials that were given, or with none; it never looks
//! for credentials on its own (in the home folder, at the metadata address of a cloud machine) unless a variable of this process
//! names the place. Settings on somebody else's word are those of [`OTHERS_MAY_SET`] alone.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, RetryConfig, StaticCredentialProvider,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::{GcpCredential, GoogleCloudStorageBuilder, GoogleConfigKey},
};
use url::Url;
use zeroize::Zeroizing;

use super::{
    address::{BucketAddress, Provider, is_account},
    client::Connector,
    problem::BucketProblem,
};
use crate::dataset::{
    fetch::{FetchPolicy, Guard},
    opening::Setting,
};

/// What a connector or an agreement may set.
const OTHERS_MAY_SET: [&str; 20] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "GOOGLE_HMAC_KEY_ID",
    "GOOGLE_HMAC_SECRET",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "GOOGLE_BASE_URL",
    "AZURE_STORAGE_CONNECTION_STRING",
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_TOKEN",
    "AZURE_STORAGE_ENDPOINT",
    "AZURE_ENDPOINT",
    "AZURE_SKIP_SIGNATURE",
];

/// What names a host that holds data.
const ENDPOINTS: [&str; 6] = [
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT",
    "GOOGLE_BASE_URL",
    "AZURE_STORAGE_ENDPOINT",
    "AZURE_ENDPOINT",
];

/// What names a host that gives credentials.
const CREDENTIAL_HOSTS: [&str; 7] = [
    "AWS_ENDPOINT_URL_STS",
    "AWS_METADATA_ENDPOINT",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AZURE_MSI_ENDPOINT",
    "AZURE_IDENTITY_ENDPOINT",
    "AZURE_AUTHORITY_HOST",
    "AZURE_STORAGE_AUTHORITY_HOST",
];

/// What of the operator's stays where somebody else brings settings: where to ask, never as whom.
const NEUTRAL: [&str; 7] = [
    "AWS_ALLOW_HTTP",
    "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "GOOGLE_ALLOW_HTTP",
    "AZURE_ALLOW_HTTP",
    "AZURE_STORAGE_ACCOUNT_NAME",
];

/// Where Amazon's library asks for the credentials of a container, when the variable gives the path.
const CONTAINER_CREDENTIALS_HOST: &str = "169.254.170.2";

/// Google's interface that speaks as S3 does, which takes HMAC keys.
const GOOGLE_ENDPOINT: &str = "https://storage.googleapis.com";

/// Where Google's library asks for the credentials of a machine.
const GOOGLE_METADATA_HOSTS: [&str; 2] = ["metadata.google.internal", "169.254.169.254"];

/// How often a request is repeated that failed in a way that may pass.
const RETRIES: usize = 3;

/// Makes a client for the bucket of an address. Connects to nothing.
pub(super) fn client(address: &BucketAddress, policy: &FetchPolicy) -> Result<Arc<dyn ObjectStore>, BucketProblem> {
    let settings = Settings::of(address.provider(), policy)?;
    match address.provider() {
        Provider::Amazon => settings.amazon(address, policy),
        Provider::Google if settings.has_any(&["GOOGLE_HMAC_KEY_ID", "GOOGLE_HMAC_SECRET"]) => {
            settings.google_hmac(address, policy)
        }
        Provider::Google => settings.google(address, policy),
        Provider::Azure => settings.azure(address, policy),
    }
}

/// The settings of one provider that count.
struct Settings(BTreeMap<String, Setting>);

impl Settings {
    fn of(provider: Provider, policy: &FetchPolicy) -> Result<Self, BucketProblem> {
        let given = policy.bucket.iter().filter(|setting| setting.name.starts_with(provider.prefix()));
        let mut settings = BTreeMap::new();
        for setting in given.filter(|setting| !setting.value.trim().is_empty()) {
            if !setting.from_operator && !OTHERS_MAY_SET.contains(&setting.name.as_str()) {
                return Err(BucketProblem::OperatorsAlone { name: setting.name.clone() });
            }
            settings.insert(setting.name.clone(), setting.clone());
        }
        let mut settings = Self(settings);
        settings.take_connection_string_apart()?;
        // Nobody else's settings are used with the operator's credentials, and no operator's credentials are sent to an
        // endpoint that somebody else names.
        if settings.0.values().any(|setting| !setting.from_operator) {
            let others_endpoint = settings.endpoints().any(|setting| !setting.from_operator);
            settings.0.retain(|name, setting| {
                let stays = NEUTRAL.contains(&name.as_str()) || ENDPOINTS.contains(&name.as_str());
                !setting.from_operator || (stays && !others_endpoint)
            });
        }
        settings.check(policy)?;
        Ok(settings)
    }

    /// Turns a connection string of Azure into the settings that it stands for.
    fn take_connection_string_apart(&mut self) -> Result<(), BucketProblem> {
        const NAME: &str = "AZURE_STORAGE_CONNECTION_STRING";
        let Some(connection) = self.0.remove(NAME) else { return Ok(()) };
        let malformed = || BucketProblem::Setting {
            name: NAME.to_owned(),
            expected: "Name=Value;... with AccountName and AccountKey, or BlobEndpoint and SharedAccessSignature",
        };
        let mut parts = BTreeMap::new();
        for part in connection.value.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(malformed)?;
            parts.insert(name.trim().to_ascii_lowercase(), value.trim());
        }
        let mut set = |name: &str, value: &str| {
            let value = Zeroizing::new(value.to_owned());
            let setting = Setting { name: name.to_owned(), value, from_operator: connection.from_operator };
            self.0.insert(name.to_owned(), setting);
        };
        let endpoint = parts.get("blobendpoint").map(|endpoint| endpoint.trim_end_matches('/'));
        let of_host = endpoint.and_then(|text| Url::parse(text).ok()).and_then(|url| {
            let (account, _) = url.host_str()?.split_once('.')?;
            is_account(account).then(|| account.to_owned())
        });
        let account =
            parts.get("accountname").map(|account| (*account).to_owned()).or(of_host).ok_or_else(malformed)?;
        if !is_account(&account) {
            return Err(malformed());
        }
        match (endpoint, parts.get("endpointsuffix")) {
            (Some(endpoint), _) => set("AZURE_STORAGE_ENDPOINT", endpoint),
            (None, Some(suffix)) if *suffix != "core.windows.net" => {
                let scheme = parts.get("defaultendpointsprotocol").copied().unwrap_or("https");
                set("AZURE_STORAGE_ENDPOINT", &format!("{scheme}://{account}.blob.{suffix}"));
            }
            _ => {}
        }
        match (parts.get("accountkey"), parts.get("sharedaccesssignature")) {
            (Some(key), _) => set("AZURE_STORAGE_ACCOUNT_KEY", key),
            (None, Some(signature)) => set("AZURE_STORAGE_SAS_TOKEN", signature),
            (None, None) => return Err(malformed()),
        }
        set("AZURE_STORAGE_ACCOUNT_NAME", &account);
        Ok(())
    }

    /// Checks what becomes part of a host name or of a request.
    fn check(&self, policy: &FetchPolicy) -> Result<(), BucketProblem> {
        let wrong = |name: &str, expected| BucketProblem::Setting { name: name.to_owned(), expected };
        for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
            let is_region = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            if let Some(region) = self.value(name)
                && (region.len() > 32 || !region.bytes().all(is_region))
            {
                return Err(wrong(name, "a region such as eu-west-1"));
            }
        }
        if self.value("AZURE_STORAGE_ACCOUNT_NAME").is_some_and(|account| !is_account(account)) {
            return Err(wrong("AZURE_STORAGE_ACCOUNT_NAME", "3 to 24 lower-case letters and digits"));
        }
        for setting in self.endpoints() {
            let url = Url::parse(&setting.value).ok().filter(|url| {
                matches!(url.scheme(), "http" | "https")
                    && url.has_host()
                    && url.username().is_empty()
                    && url.password().is_none()
                    && url.query().is_none()
                    && url.fragment().is_none()
            });
            let url = url.ok_or_else(|| wrong(&setting.name, "an address such as https://storage.example.com"))?;
            if url.scheme() == "http" && !setting.from_operator && !policy.may_be_private(&url) {
                return Err(wrong(&setting.name, "an address that begins with https://"));
            }
        }
        Ok(())
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|setting| setting.value.trim())
    }

    fn has_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.0.contains_key(*name))
    }

    fn endpoints(&self) -> impl Iterator<Item = &Setting> {
        ENDPOINTS.iter().filter_map(|name| self.0.get(*name))
    }

    /// The policy's rules, with the hosts exempt that the operator's own variables name.
    fn connector(&self, policy: &FetchPolicy) -> Connector {
        let mut policy = policy.clone();
        let named = ENDPOINTS.iter().chain(&CREDENTIAL_HOSTS).filter_map(|name| self.0.get(*name));
        for setting in named.filter(|setting| setting.from_operator) {
            // An authority may be given as a host alone.
            let url = Url::parse(&setting.value).ok();
            policy.allow_hosts.extend(url.and_then(|url| url.host_str().map(str::to_owned)));
        }
        if self.has_any(&["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]) {
            policy.allow_hosts.push(CONTAINER_CREDENTIALS_HOST.to_owned());
        }
        if let Some(key) = self.0.get("GOOGLE_SERVICE_ACCOUNT_KEY").filter(|setting| setting.from_operator) {
            let key: serde_json::Value = serde_json::from_str(&key.value).unwrap_or_default();
            let urls =
                ["gcs_base_url", "token_uri"].map(|field| key[field].as_str().and_then(|url| Url::parse(url).ok()));
            policy.allow_hosts.extend(urls.iter().flatten().filter_map(|url| url.host_str().map(str::to_owned)));
        }
        Connector { guard: Guard::of_policy(policy) }
    }

    /// The settings that a provider's client knows, under its own names.
    fn known<K: std::str::FromStr>(&self) -> impl Iterator<Item = (K, &str)> {
        self.0.values().filter_map(|setting| {
            let key = setting.name.to_ascii_lowercase().parse().ok()?;
            Some((key, setting.value.trim()))
        })
    }

    /// Whether a setting says yes, as the providers' library reads it.
    fn is_on(&self, name: &str) -> bool {
        self.value(name)
            .is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "on" | "yes" | "y"))
    }

    fn amazon(&self, address: &BucketAddress, policy: &FetchPolicy) -> Result<Arc<dyn ObjectStore>, BucketProblem> {
        let mut builder = AmazonS3Builder::new();
        for (key, value) in self.known::<AmazonS3ConfigKey>() {
            if !matches!(key, AmazonS3ConfigKey::Bucket) {
                builder = builder.with_config(key, value);
            }
        }
        if self.has_any(&["AWS_ACCESS_KEY_ID"]) != self.has_any(&["AWS_SECRET_ACCESS_KEY"]) {
            return Err(BucketProblem::Credentials {
                reason: "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together",
            });
        }
        let has_credentials = self.has_any(&[
            "AWS_ACCESS_KEY_ID",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_METADATA_ENDPOINT",
        ]);
        if !has_credentials {
            builder = builder.with_skip_signature(true);
        }
        let built = builder
            .with_bucket_name(address.bucket())
            .with_retry(retries(policy))
            .with_http_connector(self.connector(policy))
            .build();
        Ok(Arc::new(built.map_err(unusable("AWS_... are not what Amazon's client takes"))?))
    }

    /// Google's client takes no HMAC keys, but its service answers as S3 does to those that have one.
    fn google_hmac(
        &self,
        address: &BucketAddress,
        policy: &FetchPolicy,
    ) -> Result<Arc<dyn ObjectStore>, BucketProblem> {
        let (Some(key_id), Some(secret)) = (self.value("GOOGLE_HMAC_KEY_ID"), self.value("GOOGLE_HMAC_SECRET")) else {
            return Err(BucketProblem::Credentials { reason: "GOOGLE_HMAC_KEY_ID and GOOGLE_HMAC_SECRET go together" });
        };
        let built = AmazonS3Builder::new()
            .with_bucket_name(address.bucket())
            .with_endpoint(self.value("GOOGLE_BASE_URL").unwrap_or(GOOGLE_ENDPOINT))
            .with_region("auto")
            .with_access_key_id(key_id)
            .with_secret_access_key(secret)
            .with_allow_http(self.is_on("GOOGLE_ALLOW_HTTP"))
            .with_retry(retries(policy))
            .with_http_connector(self.connector(policy))
            .build();
        Ok(Arc::new(built.map_err(unusable("GOOGLE_HMAC_... are not what Google's service takes"))?))
    }

    fn google(&self, address: &BucketAddress, policy: &FetchPolicy) -> Result<Arc<dyn ObjectStore>, BucketProblem> {
        // Its default is to allow plain http.
        let mut builder = GoogleCloudStorageBuilder::new().with_client_options(ClientOptions::new());
        for (key, value) in self.known::<GoogleConfigKey>() {
            if !matches!(key, GoogleConfigKey::Bucket) {
                builder = builder.with_config(key, value);
            }
        }
        let has_credentials = self.has_any(&[
            "GOOGLE_SERVICE_ACCOUNT",
            "GOOGLE_SERVICE_ACCOUNT_PATH",
            "GOOGLE_SERVICE_ACCOUNT_KEY",
            "GOOGLE_APPLICATION_CREDENTIALS",
        ]);
        let mut connector = self.connector(policy);
        if self.is_on("GOOGLE_USE_METADATA") {
            GOOGLE_METADATA_HOSTS.iter().for_each(|host| connector.guard.exempt(host));
        } else if !has_credentials {
            // Without credentials of some kind it reads the home folder's and asks the metadata address.
            let nobody = Arc::new(StaticCredentialProvider::new(GcpCredential { bearer: String::new() }));
            builder = builder.with_credentials(nobody).with_skip_signature(true);
        }
        let built = builder
            .with_bucket_name(address.bucket())
            .with_retry(retries(policy))
            .with_http_connector(connector)
            .build();
        let reason =
            "GOOGLE_SERVICE_ACCOUNT (a path) or GOOGLE_SERVICE_ACCOUNT_KEY (its content) is no service account's key";
        Ok(Arc::new(built.map_err(unusable(reason))?))
    }

    fn azure(&self, address: &BucketAddress, policy: &FetchPolicy) -> Result<Arc<dyn ObjectStore>, BucketProblem> {
        let mut builder = MicrosoftAzureBuilder::new();
        for (key, value) in self.known::<AzureConfigKey>() {
            if !matches!(key, AzureConfigKey::ContainerName) {
                builder = builder.with_config(key, value);
            }
        }
        let of_settings = self.value("AZURE_STORAGE_ACCOUNT_NAME");
        if let Some((account, is_fabric)) = address.account() {
            if of_settings.is_some_and(|other| other != account) {
                let reason = "the address names another storage account than AZURE_STORAGE_ACCOUNT_NAME";
                return Err(BucketProblem::Credentials { reason });
            }
            builder = builder.with_account(account).with_use_fabric_endpoint(is_fabric);
        } else if of_settings.is_none() && !self.is_on("AZURE_STORAGE_USE_EMULATOR") {
            let expected =
                "the storage account's name; or the address is az://CONTAINER@ACCOUNT.blob.core.windows.net/KEY";
            return Err(BucketProblem::Setting { name: "AZURE_STORAGE_ACCOUNT_NAME".to_owned(), expected });
        }
        let has_credentials = self.has_any(&[
            "AZURE_STORAGE_ACCOUNT_KEY",
            "AZURE_STORAGE_ACCESS_KEY",
            "AZURE_STORAGE_MASTER_KEY",
            "AZURE_STORAGE_SAS_KEY",
            "AZURE_STORAGE_SAS_TOKEN",
            "AZURE_STORAGE_TOKEN",
            "AZURE_CLIENT_SECRET",
            "AZURE_STORAGE_CLIENT_SECRET",
            "AZURE_FEDERATED_TOKEN_FILE",
            "AZURE_MSI_ENDPOINT",
            "AZURE_IDENTITY_ENDPOINT",
            "AZURE_USE_AZURE_CLI",
            "AZURE_STORAGE_USE_EMULATOR",
        ]);
        if !has_credentials {
            builder = builder.with_skip_signature(true);
        }
        let mut connector = self.connector(policy);
        if self.is_on("AZURE_STORAGE_USE_EMULATOR") {
            connector.guard.exempt("127.0.0.1");
        }
        let built = builder
            .with_container_name(address.bucket())
            .with_retry(retries(policy))
            .with_http_connector(connector)
            .build();
        Ok(Arc::new(
            built.map_err(unusable("AZURE_... are not what Azure's client takes: a key is Base64, a token a=b&c=d"))?,
        ))
    }
}

/// What the library says of settings may repeat them.
fn unusable(reason: &'static str) -> impl FnOnce(object_store::Error) -> BucketProblem {
    move |_| BucketProblem::Credentials { reason }
}

fn retries(policy: &FetchPolicy) -> RetryConfig {
    let longest = Duration::from_secs(180);
    RetryConfig {
        backoff: BackoffConfig { max_backoff: Duration::from_secs(5), ..BackoffConfig::default() },
        max_retries: RETRIES,
        retry_timeout: policy.total_timeout.map_or(longest, |total| total.min(longest)),
    }
}
