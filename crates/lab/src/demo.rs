//! The demo: everything on generated data, in one process, without any service.
//!
//! It does what the parties of a space do, one after another, through the same functions that the command line calls, and
//! leaves the folder for a look. Then it holds the report against the truth that the generator knows.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use datafuse_core::{
    id::{EventId, ParticipantId},
    keys::PartyKeys,
    kind::Kind,
    normalize::Profile,
};
use datafuse_engine::{
    dataset::{Encoding, FetchPolicy, ReadOptions, Source},
    report::Report,
    runtime::Limits,
};
use datafuse_holder::{
    Party,
    enrol::enrol,
    protect::{ProtectRequest, protect},
};
use datafuse_space::{Draft, Layout, Memory, QueuePlace, Space, keyfile};
use datafuse_workload::{
    Options, Outcome, Workload,
    event::{Event, msg_data},
    outcome::Stage,
    process,
    queue::{self, QueueChoice},
    serve::{ServeOptions, Served, serve},
};
use rand_core::UnwrapErr;

use crate::{
    error::{Error, Result},
    generate::{EMAIL_COLUMN, GenerateSpec, generate},
    truth::{SourceEncoding, SourceFile, Truth},
};

/// The event that the demo sends, as the main job has it.
pub const EVENT_TYPE: &str = "CHECK_COMMON_DEMO_CUSTOMERS";

const SPACE_FILE: &str = "space.yaml";

/// What the demo is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Step {
    /// Example data are being generated.
    Generating,
    /// Every party makes its keys; the agreement is written.
    Founding,
    /// The workload opens epoch 1.
    Opening,
    /// The holders enrol.
    Enrolling,
    /// A holder protects its dataset.
    Protecting {
        /// The holder.
        holder: ParticipantId,
        /// Its rows.
        rows: u64,
    },
    /// So many rows of the dataset were protected since the last time.
    Protected {
        /// Rows.
        rows: u64,
    },
    /// The event is sent into the queue, and the workload takes it.
    Serving,
    /// So many rows of a holder's dataset are fused.
    Fusing {
        /// The holder.
        holder: ParticipantId,
        /// Rows done.
        rows: u64,
        /// Rows in all.
        of: u64,
    },
    /// Match keys are being grouped.
    Matching,
}

/// Hears of each step, from several threads.
pub type Hear = Arc<dyn Fn(Step) + Send + Sync>;

/// What the demo made.
#[derive(Debug)]
pub struct Demo {
    /// The report.
    pub report: Report,
    /// The folder of the report.
    pub output: PathBuf,
    /// What the generator knows.
    pub truth: Truth,
    /// Where report and truth differ; nothing, or something is wrong.
    pub differences: Vec<&'static str>,
}

/// Runs the demo in a folder, which must be new or empty.
///
/// # Errors
/// [`Error::NotEmpty`]; whatever a party met.
pub fn demo(spec: &GenerateSpec, out: &Path, limits: &Limits, hear: &Hear) -> Result<Demo> {
    refuse_used_folder(out)?;
    hear(Step::Generating);
    let truth = generate(spec, out)?;

    hear(Step::Founding);
    let space = found(&truth, out)?;

    hear(Step::Opening);
    let mut workload = open_workload(&space, out, limits)?;
    process(&mut workload, &Event::new(event_id("INITIALIZE"), "INITIALIZE", serde_json::Map::new(), None)?, &|_| {})?;

    hear(Step::Enrolling);
    let parties = truth
        .sources
        .iter()
        .map(|source| {
            let file = key_file(out, source.holder.as_str());
            let keys = keyfile::read(&file, &mut keyfile::no_passphrase)?;
            Ok((source, Party::open(space.clone(), &source.holder, keys, Memory::beside(&file))?))
        })
        .collect::<Result<Vec<_>>>()?;
    // Stewards let everybody in on the first round; whoever had to wait for a share answers on the second.
    for _ in 0..2 {
        for (_, party) in &parties {
            enrol(party, &mut |_| true)?;
        }
    }

    for (source, party) in &parties {
        hear(Step::Protecting { holder: source.holder.clone(), rows: source.rows });
        let request = protect_request(source, out, limits.threads)?;
        protect(party, &request, &mut |_| true, &|progress| hear(Step::Protected { rows: progress.rows }))?;
    }

    hear(Step::Serving);
    let (report, output) = serve_one(workload, &space, hear)?;
    let differences = truth.differences(&report);
    Ok(Demo { report, output, truth, differences })
}

/// Refuses a folder that holds something, so that nothing of somebody's is overwritten.
///
/// # Errors
/// [`Error::NotEmpty`], [`Error::Io`].
pub fn refuse_used_folder(out: &Path) -> Result<()> {
    match fs::read_dir(out).map(|mut entries| entries.next().is_some()) {
        Ok(true) => Err(Error::NotEmpty { path: out.to_owned() }),
        Ok(false) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(Error::io(out, "read", source)),
    }
}

/// Makes a key file for each party, and the agreement.
fn found(truth: &Truth, out: &Path) -> Result<Space> {
    let keys = out.join("keys");
    fs::create_dir_all(&keys).map_err(|source| Error::io(&keys, "create", source))?;
    let created = jiff::Timestamp::now().to_string();
    let keygen = |name: &str| {
        let keys = PartyKeys::generate(&mut UnwrapErr(getrandom::SysRng));
        keyfile::create(&key_file(out, name), &keys, &created, None)?;
        Ok::<_, Error>(keys.identity().public_name())
    };
    let mut draft = Draft::new("demo".parse()?, keygen("workload")?);
    for source in &truth.sources {
        draft.holders.push((source.holder.clone(), keygen(source.holder.as_str())?));
    }
    draft.users.push("insights".parse()?);
    draft.kinds.push(Kind::single("email".parse()?, Profile::EmailV1, None));
    let space = Space::found(draft, Space::draw_nonce()?)?;
    let file = out.join(SPACE_FILE);
    fs::write(&file, space.to_yaml()).map_err(|source| Error::io(&file, "write", source))?;
    // From the file, as every party reads it.
    Ok(Space::read(&file)?)
}

fn open_workload(space: &Space, out: &Path, limits: &Limits) -> Result<Workload> {
    let keys = keyfile::read(&key_file(out, "workload"), &mut keyfile::no_passphrase)?;
    let options = Options { limits: limits.clone(), outputs: None, state: None, allow_hosts: Vec::new() };
    Ok(Workload::open(space.clone(), keys, options)?)
}

fn protect_request(source: &SourceFile, out: &Path, threads: usize) -> Result<ProtectRequest> {
    let encoding = match source.encoding {
        SourceEncoding::Utf8 => Encoding::Utf8,
        SourceEncoding::Latin1 => Encoding::Latin1,
    };
    Ok(ProtectRequest {
        source: Source::Path(out.join("source").join(&source.file)),
        read: ReadOptions { encoding, ..ReadOptions::default() },
        fetch: FetchPolicy::strict(),
        identifiers: [("email".parse()?, vec![EMAIL_COLUMN.to_owned()])].into(),
        keep: vec!["segment".to_owned()],
        dataset: None,
        out: None,
        quarantine: None,
        threads,
    })
}

/// Sends the event into the embedded queue and serves it, as an operator's `serve --once` would.
fn serve_one(workload: Workload, space: &Space, hear: &Hear) -> Result<(Report, PathBuf)> {
    let layout = Layout::new(space);
    let QueuePlace::Folder(folder) = layout.queue.clone() else { return Err(Error::NoQueueFolder) };
    let audit = workload.audit().clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Error::io(&folder, "watch", source))?;
    let told = Arc::clone(hear);
    let on_stage = Arc::new(move |stage: Stage<'_>| match stage {
        Stage::Fusing { holder, rows, of } => told(Step::Fusing { holder: holder.clone(), rows, of }),
        Stage::Matching { .. } => told(Step::Matching),
        _ => {}
    });
    let served = runtime.block_on(async {
        let queue = queue::open(&QueueChoice::Embedded { folder }).await?;
        queue.publish(&msg_data(EVENT_TYPE, &serde_json::Map::new(), Some(jiff::Timestamp::now()))).await?;
        let (_keep, stop) = tokio::sync::watch::channel(false);
        let options = ServeOptions { once: true, drain: Duration::ZERO };
        serve(workload, queue.as_ref(), &audit, options, stop, on_stage, |_| {}).await
    })?;
    match served {
        Served::Done(_, outcome) => match *outcome {
            Outcome::Reported { folder, report, .. } => Ok((*report, folder)),
            _ => Err(Error::NoReport),
        },
        Served::Failed(error) => Err(error.into()),
        Served::Stopped => Err(Error::NoReport),
    }
}

fn key_file(out: &Path, party: &str) -> PathBuf {
    out.join("keys").join(format!("{party}.key"))
}

/// The id of an event that comes from no queue.
fn event_id(name: &str) -> EventId {
    // A fixed id: the folder is new, and an event of this id opens its only epoch.
    format!("demo-{}", name.to_lowercase()).parse().expect("letters and a hyphen make an event id")
}
