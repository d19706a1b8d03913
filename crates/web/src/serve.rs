//! Connections: how many at a time, how long each may take, and how they end.
//!
//! Plain HTTP/1.1. A client that sends its head slowly, or nothing, is cut off; so is one that holds a connection for long.

use std::{future::Future, io, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore, time};

/// What connections may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many are open at a time; more wait to be taken.
    pub connections: usize,
    /// The longest wait for the whole head of a request, also of the next one on the same connection.
    pub head: Duration,
    /// The longest life of a connection.
    pub connection: Duration,
    /// How long requests at work may go on after a stop was asked for.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            head: Duration::from_secs(10),
            connection: Duration::from_secs(120),
            drain: Duration::from_secs(5),
        }
    }
}

/// Serves a router until `stop` ends; then requests at work are finished, no new ones taken, and it returns.
///
/// A connection that breaks ends alone; what keeps new ones from being taken (too many open files) is waited out.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    tokio::pin!(stop);
    loop {
        let taken = async {
            let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
            let (stream, _) = listener.accept().await?;
            Ok::<_, io::Error>((place, stream))
        };
        let (place, stream) = tokio::select! {
            biased;
            () = &mut stop => break,
            taken = taken => match taken {
                Ok(taken) => taken,
                Err(error) => {
                    tracing::warn!("cannot take a connection: {error}");
                    time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
            },
        };
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(limits.head).max_buf_size(16 << 10);
        let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A client that goes away, or is too slow, is nobody's error.
            let _ = time::timeout(limits.connection, connection).await;
            drop(place);
        });
    }
    drop(listener);
    let _ = time::timeout(limits.drain, graceful.shutdown()).await;
}
