//! Connections: how many, how slow, how large.

use std::{io, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};
use tokio_util::sync::CancellationToken;

/// Readers of logs hold one each for as long as they read.
const MOST_CONNECTIONS: usize = 4096;
/// How long a client may take for the head of a request.
const HEAD: Duration = Duration::from_secs(10);
/// How large that may be.
const LARGEST_HEAD: usize = 32 << 10;
/// How long answers in flight may take once the server ends.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Serves until `ending` is cancelled, and returns when the last answers are out.
///
/// # Errors
/// None of a single connection.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    ending: CancellationToken,
) -> io::Result<()> {
    let connections = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(LARGEST_HEAD).half_close(false);
    loop {
        let accepted = tokio::select! {
            () = ending.cancelled() => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        let (stream, permit) = accepted;
        // Pieces of an answer go out as they come.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let connection = graceful.watch(server.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("a connection ended: {error}");
            }
            drop(permit);
        });
    }
    // Who is still there after that reads a stream that has ended, and does not take it.
    let _ = timeout(LAST_ANSWERS, graceful.shutdown()).await;
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> (tokio::net::TcpStream, Option<tokio::sync::OwnedSemaphorePermit>) {
    loop {
        // Never closed.
        let permit = connections.clone().acquire_owned().await.ok();
        match listener.accept().await {
            Ok((stream, _)) => return (stream, permit),
            Err(error) => {
                // Of a client that has gone, or no descriptor is free: others give theirs back.
                tracing::debug!("no connection could be taken: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
