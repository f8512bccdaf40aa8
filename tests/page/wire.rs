//! What lies between a browser and the server: it can be cut.

use std::sync::{Arc, Mutex, PoisonError};

use longshore_tests::Failed;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// A way to the server that can be cut and mended.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    /// Where browsers come in, as `host:port`.
    pub(crate) address: String,
    /// Cancelled when it is cut.
    cut: Arc<Mutex<CancellationToken>>,
}

impl Wire {
    /// One that leads to a URL.
    pub(crate) async fn to(url: &str) -> Result<Self, Failed> {
        let server = url.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let wire = Self { address: listener.local_addr()?.to_string(), cut: Arc::default() };
        let own = wire.clone();
        tokio::spawn(async move {
            while let Ok((mut browser, _)) = listener.accept().await {
                let (cut, server) = (own.token(), server.clone());
                tokio::spawn(cut.run_until_cancelled_owned(async move {
                    if let Ok(mut server) = TcpStream::connect(&server).await {
                        // How it ends is the two ends' own affair.
                        let _ = tokio::io::copy_bidirectional(&mut browser, &mut server).await;
                    }
                }));
            }
        });
        Ok(wire)
    }

    fn token(&self) -> CancellationToken {
        self.cut.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Breaks all connections, and each new one.
    pub(crate) fn cut(&self) {
        self.token().cancel();
    }

    /// Lets new ones through again.
    pub(crate) fn mend(&self) {
        *self.cut.lock().unwrap_or_else(PoisonError::into_inner) = CancellationToken::new();
    }

    /// A URL of the server, by this way.
    pub(crate) fn by(&self, url: &str) -> Result<String, Failed> {
        let rest = url.trim_start_matches("http://");
        let path = rest.find('/').map_or("", |at| &rest[at..]);
        Ok(format!("http://{}{path}", self.address))
    }
}
