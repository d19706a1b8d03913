//! The command line: names, flags, help and examples. What a flag means to the work is said where the work is done.

mod contract;
mod jobs;
mod key;
mod list;
mod observe;
mod parquet;
mod report;
mod token;

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use datafuse_core::{
    id::{DatasetId, ParticipantId, SpaceId},
    name::PublicName,
    normalize::Profile,
};
use datafuse_workload::queue::StreamName;

pub(crate) use contract::{ContractCheckArgs, ContractCommand, ContractInitArgs};
pub(crate) use jobs::{JobsArgs, JobsCommand, JobsPlace, QueueArgs, RetryArgs};
pub(crate) use key::{
    ChangePassphraseArgs, CombineArgs, DrillArgs, ForgetArgs, KeyArgs, KeyCommand, KeygenArgs, NewPassphraseArgs,
    PassphraseArgs, RotateArgs, SplitArgs, WipeArgs,
};
pub(crate) use list::{ListCommand, ListOpenArgs};
pub(crate) use observe::{AuditCommand, LogArgs, LogFormat};
pub(crate) use parquet::{ParquetKeyArgs, TableArgs};
pub(crate) use report::{ReportCommand, ReportOpenArgs, ReportVerifyArgs};
pub(crate) use token::{TokenCommand, TokenMakeArgs, TokenOpenArgs};

/// Finds what the datasets of several parties have in common, without any party showing the others its data.
#[derive(Debug, Parser)]
#[command(name = "datafuse", version, propagate_version = true, max_term_width = 100, disable_help_subcommand = true)]
#[command(
    after_help = "First steps:\n  datafuse demo --out demo          everything at once, on generated data\n  datafuse keygen --out acme.key    your keys, if you bring data\n  datafuse doctor                   what could go wrong on this machine\n\nExit codes: 0 done, 1 internal, 2 usage, 3 configuration or contract, 4 data,\n  5 peer or queue, 6 refused by policy, 7 interrupted (can be resumed)"
)]
pub(crate) struct Cli {
    /// Print results and errors as JSON, for machines
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say nothing but the result, warnings and errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Play everything on generated data: keys, agreement, enrolment, protection, event, report
    #[command(
        after_help = "Examples:\n  datafuse demo\n  datafuse demo --holders 5 --rows 20000 --seed 7 --out demo\n  datafuse demo --generate-only --holders 2 --rows 1000 --overlap 0.25 --seed 1 --out data"
    )]
    Demo(DemoArgs),
    /// Make the keys of one party; prints its public name
    #[command(
        after_help = "Examples:\n  datafuse keygen --out acme.key\n  datafuse keygen --out acme.key --passphrase\n  datafuse keygen --recipient --out insights.age\n\nThe public name (dfpub1...) is for everybody. The key file is for nobody else: keep a copy of it in a safe place (see datafuse key split). With --recipient, what is printed is a recipient (age1...) for a data user's entry in space.yaml, and the file an age identity, as age-keygen writes one, for datafuse report open."
    )]
    Keygen(KeygenArgs),
    /// Show, protect, rotate, replace, split and combine key files; play the leak of one
    #[command(subcommand)]
    Key(KeyCommand),
    /// Write and check the agreement of a collaboration space
    #[command(subcommand)]
    Space(SpaceCommand),
    /// Check data against a data contract, or draft one from data
    #[command(subcommand)]
    Contract(ContractCommand),
    /// Preview how a column is normalised, and what would raise the match rate; nothing leaves this machine
    #[command(
        after_help = "Examples:\n  datafuse normalize customers.csv --column email\n  datafuse normalize customers.csv --column phone --profile phone-e164-v1 --region BE --samples 20"
    )]
    Normalize(NormalizeArgs),
    /// Turn a dataset into a protected dataset, which may leave its holder
    #[command(
        after_help = "Examples:\n  datafuse protect customers.csv --space space.yaml --party acme --key acme.key \\\n      --identifier email=customer_email --keep segment\n  datafuse protect 'exports/*.parquet' --space space.yaml --party acme --key acme.key \\\n      --identifier person=surname,birth_date\n  datafuse protect --rekey datasets/acme.parquet --space space.yaml --party acme --key acme.key\n  datafuse protect customers.parquet --parquet-key-file customers.aes --table tokens.parquet \\\n      --space space.yaml --party acme --key acme.key"
    )]
    Protect(ProtectArgs),
    /// Do what this party owes for enrolment, and say what is awaited from whom; run it as often as you like
    #[command(
        after_help = "Examples:\n  datafuse enrol --space space.yaml --party acme --key acme.key\n  datafuse enrol --space space.yaml --party acme --key acme.key --approve initech=dfpub1...\n  datafuse enrol --space space.yaml --party acme --key acme.key --watch"
    )]
    Enrol(EnrolArgs),
    /// Put an event into the space's queue; prints its id
    #[command(
        after_help = "Examples:\n  datafuse send CHECK_COMMON_DEMO_CUSTOMERS --space space.yaml\n  datafuse send CHECK_COMMON_CUSTOMERS --space space.yaml --holders acme,globex\n  datafuse send CHECK_VALID_CUSTOMER --request request.lookup"
    )]
    Send(SendArgs),
    /// Process one event without a queue
    #[command(
        after_help = "Examples:\n  datafuse run INITIALIZE --space space.yaml --key workload.key\n  datafuse run CHECK_COMMON_DEMO_CUSTOMERS --space space.yaml --key workload.key"
    )]
    Run(RunArgs),
    /// Wait for events and process them
    #[command(
        after_help = "Examples:\n  datafuse serve --space space.yaml --key workload.key\n  datafuse serve --space space.yaml --key workload.key --redis redis://127.0.0.1:6379 --once\n  datafuse serve --space space.yaml --key workload.key --http 127.0.0.1:8080 --ops 127.0.0.1:9090\n  datafuse serve --space space.yaml --key workload.key --stream urgent --stream events\n\nWith --once or DAEMON=false it ends after one event. Without either it keeps listening; on the platform\n(DV_APP_ID set) only with DAEMON=true."
    )]
    Serve(ServeArgs),
    /// List what became of events, and send one again
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Examples:\n  datafuse jobs --space space.yaml\n  datafuse jobs --failed --limit 100\n  datafuse jobs show 01J...\n  datafuse jobs retry 01J..."
    )]
    Jobs(JobsArgs),
    /// Verify the workload's audit log
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Read and verify reports
    #[command(subcommand)]
    Report(ReportCommand),
    /// Ask whether other holders know some of this party's customers, and read the answer
    #[command(subcommand)]
    Token(TokenCommand),
    /// Open the list of this party's own rows that other holders have too
    #[command(subcommand)]
    List(ListCommand),
    /// Look for what could go wrong on this machine, and with a space's files
    #[command(after_help = "Examples:\n  datafuse doctor\n  datafuse doctor --space space.yaml --key acme.key")]
    Doctor(DoctorArgs),
    /// Write shell completions to standard output
    #[command(
        after_help = "Example:\n  datafuse completions bash > ~/.local/share/bash-completion/completions/datafuse"
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual page to standard output
    Man,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// How many data holders
    #[arg(long, default_value_t = 2)]
    pub(crate) holders: usize,
    /// Rows of each holder
    #[arg(long, default_value_t = 20_480)]
    pub(crate) rows: u64,
    /// Share of each holder's distinct customers that at least one other holder has
    #[arg(long, default_value_t = 0.2105)]
    pub(crate) overlap: f64,
    /// The same seed gives the same data
    #[arg(long, default_value_t = 7)]
    pub(crate) seed: u64,
    /// Folder to write, new or empty; left for a look
    #[arg(long, default_value = "datafuse-demo")]
    pub(crate) out: PathBuf,
    /// Only generate the sources and truth.json
    #[arg(long)]
    pub(crate) generate_only: bool,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SpaceCommand {
    /// Write a new agreement
    #[command(
        after_help = "Examples:\n  datafuse space init --id retail-2026 --workload dfpub1... --holder acme=dfpub1... --holder globex=dfpub1... \\\n      --user insights --identifier email --out space.yaml\n  datafuse space init ... --identifier phone=phone-e164-v1:BE --identifier person=surname:text-v1,birth_date:exact-v1 \\\n      --shared /mnt/shared/retail-2026"
    )]
    Init(Box<SpaceInitArgs>),
    /// Say what is missing from an agreement, and what would go wrong
    Check {
        /// The agreement
        #[arg(long, env = "DATAFUSE_SPACE", default_value = "space.yaml")]
        space: PathBuf,
    },
    /// Write the JSON schema of the agreement to standard output
    Schema,
}

#[derive(Debug, Args)]
pub(crate) struct SpaceInitArgs {
    /// The space's readable name
    #[arg(long)]
    pub(crate) id: SpaceId,
    /// The workload's public name
    #[arg(long, value_name = "DFPUB")]
    pub(crate) workload: PublicName,
    /// A data holder; at least two
    #[arg(long = "holder", value_name = "NAME=DFPUB", required = true)]
    pub(crate) holders: Vec<String>,
    /// A data holder that keeps a share of the matching key, in order; without this the first two holders
    #[arg(long = "steward", value_name = "NAME")]
    pub(crate) stewards: Vec<ParticipantId>,
    /// A participant that receives the report
    #[arg(long = "user", value_name = "NAME")]
    pub(crate) users: Vec<ParticipantId>,
    /// What is matched on: KIND (email, iban), KIND=PROFILE, KIND=PROFILE:REGION, or KIND=COLUMN:PROFILE,COLUMN:PROFILE
    #[arg(long = "identifier", value_name = "KIND[=...]", required = true)]
    pub(crate) identifiers: Vec<String>,
    /// The smallest count that a report shows
    #[arg(long, default_value_t = 1)]
    pub(crate) min_count: u64,
    /// Folder that all parties share, for mailbox, datasets and queue; without this the agreement's own
    #[arg(long, value_name = "DIR")]
    pub(crate) shared: Option<PathBuf>,
    /// The file to write; never overwritten
    #[arg(long, default_value = "space.yaml")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct SourceArgs {
    /// A CSV, JSON-lines or Parquet file, a pattern ('exports/*.csv'), an http(s) address, or an object or a pattern in a
    /// bucket (s3://, gs:// or az://)
    pub(crate) source: String,
}

/// How a source is read.
#[derive(Debug, Args)]
pub(crate) struct ReadingArgs {
    /// The format, where the name does not tell
    #[arg(long, value_enum)]
    pub(crate) format: Option<FormatArg>,
    /// What separates the columns of a CSV file; a character or "tab"; without this it is found out
    #[arg(long, value_name = "CHAR")]
    pub(crate) delimiter: Option<String>,
    /// The CSV file has no header: its columns are column_1, column_2, ...
    #[arg(long)]
    pub(crate) no_header: bool,
    /// How the characters of a CSV file are encoded
    #[arg(long, value_enum, default_value_t = EncodingArg::Utf8)]
    pub(crate) encoding: EncodingArg,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum FormatArg {
    Csv,
    Json,
    Parquet,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum EncodingArg {
    #[value(name = "utf8", alias = "utf-8")]
    Utf8,
    #[value(name = "latin1", alias = "iso-8859-1")]
    Latin1,
}

#[derive(Debug, Args)]
pub(crate) struct NormalizeArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
    #[command(flatten)]
    pub(crate) parquet_key: ParquetKeyArgs,
    /// The column
    #[arg(long)]
    pub(crate) column: String,
    /// The profile
    #[arg(long, default_value_t = Profile::EmailV1, value_parser = parse_profile)]
    pub(crate) profile: Profile,
    /// ISO code of the region that national phone numbers belong to
    #[arg(long)]
    pub(crate) region: Option<String>,
    /// How many changed and how many invalid values to show
    #[arg(long, default_value_t = 5)]
    pub(crate) samples: usize,
}

fn parse_profile(text: &str) -> Result<Profile, String> {
    text.parse().map_err(|error: datafuse_core::normalize::UnknownProfile| error.to_string())
}

#[derive(Debug, Args)]
pub(crate) struct PartyArgs {
    /// The agreement
    #[arg(long, env = "DATAFUSE_SPACE", default_value = "space.yaml")]
    pub(crate) space: PathBuf,
    /// This party's name in the agreement
    #[arg(long, env = "DATAFUSE_PARTY")]
    pub(crate) party: ParticipantId,
    /// This party's key file
    #[arg(long, env = "DATAFUSE_KEY")]
    pub(crate) key: PathBuf,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
    /// Approve the shown names without being asked, but for one that takes the place of a known name
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ProtectArgs {
    #[command(flatten)]
    pub(crate) source: Option<SourceArgs>,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
    /// Instead of a source: a protected dataset of this party's, made with a former key or in a former epoch
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["source", "identifiers", "keep", "dataset", "quarantine"],
        required_unless_present = "source"
    )]
    pub(crate) rekey: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) parquet_key: ParquetKeyArgs,
    #[command(flatten)]
    pub(crate) table: TableArgs,
    #[command(flatten)]
    pub(crate) party: PartyArgs,
    /// Which column holds an identifier; of several columns, in the agreed order. Without this: columns named as the kinds
    #[arg(long = "identifier", value_name = "KIND=COLUMN[,COLUMN]")]
    pub(crate) identifiers: Vec<String>,
    /// A column to carry along; it is encrypted like everything else, but plain in a --table
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    pub(crate) keep: Vec<String>,
    /// Which of this party's datasets, where it has several
    #[arg(long)]
    pub(crate) dataset: Option<DatasetId>,
    /// Where to write, where not to the agreement's location
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// Where rejected rows go; without this beside the source, as NAME.rejected.csv
    #[arg(long, value_name = "FILE")]
    pub(crate) quarantine: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct EnrolArgs {
    #[command(flatten)]
    pub(crate) party: PartyArgs,
    /// Approve this name, after comparing it with the party itself; "workload" for the workload's
    #[arg(long = "approve", value_name = "NAME=DFPUB")]
    pub(crate) approvals: Vec<String>,
    /// Begin anew where the workload has this party enrolled with a key that its key file does not know; the stewards then act
    /// as for a newcomer
    #[arg(long, conflicts_with = "watch")]
    pub(crate) anew: bool,
    /// Stay until enrolment is complete; never approves anybody by itself
    #[arg(long, conflicts_with = "yes")]
    pub(crate) watch: bool,
    /// Seconds between two looks at the mailbox
    #[arg(long, default_value_t = 5, value_name = "SECONDS", requires = "watch")]
    pub(crate) interval: u64,
}

#[derive(Debug, Args)]
pub(crate) struct EventArgs {
    /// The event's type: INITIALIZE, ENROL, FUSE, CHECK_COMMON_CUSTOMERS, CHECK_COMMON_DEMO_CUSTOMERS,
    /// CHECK_DATA_QUALITY, CHECK_VALID_CUSTOMER
    pub(crate) event: String,
    /// The agreement
    #[arg(long, env = "DATAFUSE_SPACE", default_value = "space.yaml")]
    pub(crate) space: PathBuf,
    /// The holders that take part; without this all of the space
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub(crate) holders: Vec<ParticipantId>,
    /// With INITIALIZE: open a new epoch in the place of the open one; everybody enrols anew
    #[arg(long)]
    pub(crate) new_epoch: bool,
    /// With CHECK_VALID_CUSTOMER: the request that datafuse token made
    #[arg(long, value_name = "FILE")]
    pub(crate) request: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    #[command(flatten)]
    pub(crate) event: EventArgs,
    /// The stream of the queue, where not 'events'
    #[arg(long, value_name = "NAME")]
    pub(crate) stream: Option<StreamName>,
    /// The Redis server, where not the agreement's queue
    #[arg(long, value_name = "URL", env = "DATAFUSE_REDIS", hide_env_values = true)]
    pub(crate) redis: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct WorkloadArgs {
    /// The workload's key file
    #[arg(long, env = "DATAFUSE_KEY")]
    pub(crate) key: PathBuf,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
    /// File with the key file's passphrase as the platform's secret manager opens it
    #[arg(long, value_name = "FILE", env = "DATAFUSE_SEALED_PASSPHRASE_FILE")]
    pub(crate) sealed_passphrase_file: Option<PathBuf>,
    /// Folder for reports, where not the agreement's
    #[arg(long, value_name = "DIR")]
    pub(crate) outputs: Option<PathBuf>,
    /// Folder for the workload's state, where not the agreement's
    #[arg(long, value_name = "DIR", env = "DATAFUSE_STATE")]
    pub(crate) state: Option<PathBuf>,
    /// A host that datasets may be fetched from, and reports sent to, although its address is not public
    #[arg(long = "allow-host", value_name = "HOST", env = "DATAFUSE_ALLOW_HOSTS", value_delimiter = ',')]
    pub(crate) allow_hosts: Vec<String>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LimitArgs {
    /// Memory for the rows at work, such as 512M or 2G; past it, encrypted temporary files
    #[arg(long, value_name = "SIZE", env = "DATAFUSE_MEMORY_LIMIT", default_value = "2G", value_parser = parse_size)]
    pub(crate) memory_limit: u64,
    /// Folder for temporary files, where not the system's
    #[arg(long, value_name = "DIR")]
    pub(crate) temp_dir: Option<PathBuf>,
    /// Threads; without this one for each core
    #[arg(long)]
    pub(crate) threads: Option<usize>,
}

/// Reads a size with an optional unit: powers of 1,024.
fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        "T" | "TB" | "TIB" => 40,
        _ => return Err("a size is a number with K, M, G or T, such as 512M".to_owned()),
    };
    let number: u64 = digits.parse().map_err(|_| "a size is a number with K, M, G or T, such as 512M".to_owned())?;
    let bytes = number.checked_mul(1 << shift).ok_or("the size is too large")?;
    if bytes < 64 << 20 { Err("at least 64M are needed".to_owned()) } else { Ok(bytes) }
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) event: EventArgs,
    #[command(flatten)]
    pub(crate) workload: WorkloadArgs,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// The agreement
    #[arg(long, env = "DATAFUSE_SPACE", default_value = "space.yaml")]
    pub(crate) space: PathBuf,
    #[command(flatten)]
    pub(crate) workload: WorkloadArgs,
    /// The Redis server, where not the agreement's queue
    #[arg(long, value_name = "URL", env = "DATAFUSE_REDIS", hide_env_values = true)]
    pub(crate) redis: Option<String>,
    #[command(flatten)]
    pub(crate) queue: QueueArgs,
    /// Address to serve the mailbox at over HTTP, such as 127.0.0.1:8080, with /healthz, and without --ops also /readyz and
    /// /metrics; without this it is not served
    #[arg(long, value_name = "ADDR", env = "DATAFUSE_HTTP")]
    pub(crate) http: Option<SocketAddr>,
    /// Address to serve /healthz, /readyz and /metrics at, for the operator alone
    #[arg(long, value_name = "ADDR", env = "DATAFUSE_OPS")]
    pub(crate) ops: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) log: LogArgs,
    /// Take one event, then end
    #[arg(long)]
    pub(crate) once: bool,
    /// Seconds that an event at work may go on after SIGTERM; then it is given back
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    pub(crate) drain: u64,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// An agreement to check as well
    #[arg(long, env = "DATAFUSE_SPACE")]
    pub(crate) space: Option<PathBuf>,
    /// A key file to check as well
    #[arg(long, env = "DATAFUSE_KEY")]
    pub(crate) key: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
    /// File with that passphrase as the platform's secret manager opens it
    #[arg(long, value_name = "FILE", env = "DATAFUSE_SEALED_PASSPHRASE_FILE")]
    pub(crate) sealed_passphrase_file: Option<PathBuf>,
    /// Folder for the workload's state, where not the agreement's
    #[arg(long, value_name = "DIR", env = "DATAFUSE_STATE")]
    pub(crate) state: Option<PathBuf>,
    /// A Redis server to reach as well
    #[arg(long, value_name = "URL", env = "DATAFUSE_REDIS", hide_env_values = true)]
    pub(crate) redis: Option<String>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }

    /// Gives the variables that the flags of a command and of those below it can be given by.
    fn variables(command: &clap::Command) -> std::collections::BTreeSet<String> {
        let own = command.get_arguments().filter_map(|argument| Some(argument.get_env()?.to_str()?.to_owned()));
        own.chain(command.get_subcommands().flat_map(variables)).collect()
    }

    #[test]
    fn every_variable_is_in_the_example_and_in_the_operations_guide() {
        let pages = [
            (".env.example", include_str!("../../../.env.example")),
            ("docs/operations.md", include_str!("../../../docs/operations.md")),
        ];
        let variables = variables(&Cli::command());
        assert!(variables.contains("DATAFUSE_SPACE"), "{variables:?}");
        for (page, text) in pages {
            let missing: Vec<_> = variables.iter().filter(|variable| !text.contains(variable.as_str())).collect();
            assert!(missing.is_empty(), "{page} says nothing of {missing:?}");
        }
    }

    #[test]
    fn every_command_is_in_the_readme() {
        let readme = include_str!("../../../README.md");
        for command in Cli::command().get_subcommands() {
            let groups = command.get_subcommands().map(|below| format!("{} {}", command.get_name(), below.get_name()));
            let names: Vec<_> = groups.collect();
            let names = if names.is_empty() { vec![command.get_name().to_owned()] } else { names };
            for name in names {
                assert!(readme.contains(&name), "README.md says nothing of {name}");
            }
        }
    }

    #[test]
    fn sizes_have_units_and_a_floor() {
        assert_eq!(parse_size("512M"), Ok(512 << 20));
        assert_eq!(parse_size("2GiB"), Ok(2 << 30));
        assert_eq!(parse_size("134217728"), Ok(128 << 20));
        for wrong in ["", "G", "1.5G", "-1G", "1X", "1M", "99999999999999T"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }
}
