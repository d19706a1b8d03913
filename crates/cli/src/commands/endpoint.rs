//! What `datafuse serve` answers over HTTP: the mailbox for parties, readiness and numbers for the operator.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use datafuse_space::{
    Layout, Space,
    mailbox::{self, Admission},
};
use datafuse_web::{Limits, Operations, Router, operations};
use datafuse_workload::{
    Error,
    metrics::CONTENT_TYPE,
    queue::{Queue, QueueStats},
    ready::Readiness,
};
use tokio::{net::TcpListener, runtime::Handle, sync::watch, task::JoinHandle, time};

use crate::{
    args::ServeArgs,
    console::Console,
    failure::{Code, Failure, Result},
};

/// How long the queue has to say how it stands.
const QUEUE_PATIENCE: Duration = Duration::from_secs(3);

/// What the operator is answered. To be made within a runtime.
pub(super) fn operations(readiness: Arc<Readiness>, queue: Arc<dyn Queue>) -> Operations {
    let runtime = Handle::current();
    let stats = move || -> Result<QueueStats, Error> {
        let unanswered =
            |_| Error::QueueUnreachable { place: queue.place(), reason: "it does not answer in time".to_owned() };
        runtime.block_on(async { time::timeout(QUEUE_PATIENCE, queue.stats()).await.map_err(unanswered)? })
    };
    let stats = Arc::new(stats);
    let (look, ask) = (Arc::clone(&readiness), Arc::clone(&stats));
    Operations {
        ready: Arc::new(move || {
            let found = look.look(&ask());
            (found.ready, serde_json::to_string(&found).unwrap_or_default())
        }),
        metrics: Arc::new(move || {
            readiness.measure(&stats());
            readiness.metrics().text()
        }),
        metrics_type: CONTENT_TYPE,
    }
}

/// Serves what the arguments ask for beside the events, until `end` turns true.
pub(super) async fn start(
    args: &ServeArgs,
    space: Space,
    layout: &Layout,
    operations: Operations,
    end: &watch::Receiver<bool>,
    console: &Console,
) -> Result<Vec<JoinHandle<()>>> {
    let mut endpoints = Vec::new();
    if let Some(address) = args.http {
        let listener = listen(address, "--http").await?;
        let mailbox = Arc::from(mailbox::open(&layout.workload_mailbox())?);
        let admission = Admission::new(space);
        let admit = Arc::new(move |name: &_, bytes: &_| admission.admit(name, bytes));
        let mut router = datafuse_web::router(mailbox, admit);
        if args.ops.is_none() {
            router = router.merge(operations::routes(operations.clone()));
        }
        console.say(format_args!("The mailbox is served at http://{}/mailbox", address_of(&listener, address)));
        endpoints.push(serve(listener, router, end.clone()));
    }
    if let Some(address) = args.ops {
        let listener = listen(address, "--ops").await?;
        console.say(format_args!("Readiness and numbers are served at http://{}", address_of(&listener, address)));
        endpoints.push(serve(listener, operations::router(operations), end.clone()));
    }
    Ok(endpoints)
}

async fn listen(address: SocketAddr, flag: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let fact = format!("cannot listen at {address}: {error}");
        Failure::new(Code::Configuration, fact, format!("give a free address of this machine with {flag}"))
    })
}

/// With port 0 the system chose one.
fn address_of(listener: &TcpListener, asked: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(asked)
}

fn serve(listener: TcpListener, router: Router, mut end: watch::Receiver<bool>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let ended = async move {
            let _ = end.wait_for(|end| *end).await;
        };
        datafuse_web::serve(listener, router, Limits::default(), ended).await;
    })
}
