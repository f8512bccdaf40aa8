//! A server, from its configuration to its end.

use std::{net::SocketAddr, sync::Arc};

use axum::Router;
use longshore::{AnyRuntime, Config};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    api::{Problem, ShutdownReport},
    fleet::Fleet,
    gateway::Gateway,
    http::{self, App, Cookie, Guard, SignIn},
    mock,
    settings::{Settings, SettingsError},
    status::{self, Status},
    store::{Store, StoreError, random_token},
};

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// Its configuration cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Its state cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no engine of the kind that was asked for.
    #[error(transparent)]
    Runtime(#[from] longshore::Error),
    /// It cannot listen.
    #[error("cannot listen at {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something that no configuration mends.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
    fleet: Fleet,
    store: Store,
    token: String,
    /// What the link that signs in to the page says, once.
    code: String,
    ending: CancellationToken,
    hurry: CancellationToken,
}

impl Server {
    /// Takes the folder of the state, connects to an engine, listens, and goes on with what was being done when it last ended.
    /// Nothing is answered before [`Server::run`].
    ///
    /// # Errors
    /// When another server uses the state, when that cannot be read, and when it cannot listen. That no engine answers is none: it is
    /// told to who asks.
    pub async fn start(config: &Config) -> Result<Self, ServerError> {
        match AnyRuntime::connect(config).await {
            // It is looked for again whenever somebody asks.
            Err(longshore::Error::NoEngine(_)) => {
                let stands_for_it = AnyRuntime::construct(AnyRuntime::preferred(config), config)?;
                Self::start_with(stands_for_it, Some(config.clone()), config).await
            }
            runtime => Self::start_on(runtime?, config).await,
        }
    }

    /// The same on a runtime that was made elsewhere: one that is shared, or one in memory that a test looks into.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn start_on(runtime: AnyRuntime, config: &Config) -> Result<Self, ServerError> {
        Self::start_with(runtime, None, config).await
    }

    async fn start_with(
        runtime: AnyRuntime,
        sought: Option<Config>,
        config: &Config,
    ) -> Result<Self, ServerError> {
        let settings = Settings::new(config)?;
        raise_limits();
        let store = Store::open(&settings.state)?;
        let token = store.token()?;
        let listener = TcpListener::bind(settings.listen)
            .await
            .map_err(|source| ServerError::Listen { address: settings.listen, source })?;
        let address = listener.local_addr()?;
        store.tell_address(&url(address))?;
        mock::furnish(&runtime, &settings);
        let cookie = Cookie::new(&token, address.port());
        let code = random_token()?;
        let guard =
            Guard::new(&token, &cookie, settings.remote, settings.hosts.clone(), settings.origins.clone());
        let gateway = Gateway::new().map_err(std::io::Error::other)?;
        let owner = config.owner.clone().unwrap_or_else(|| "longshore".to_owned());
        let plan = status::plan(config, std::env::home_dir());
        let status = Status::new(runtime, sought, plan);
        let fleet = Fleet::open(status, owner, store.clone(), settings, gateway)?;
        let (ending, hurry) = (CancellationToken::new(), CancellationToken::new());
        let app = App {
            fleet: fleet.clone(),
            epoch: random_token()?.chars().take(8).collect::<String>().into(),
            readings: Arc::new(tokio::sync::Semaphore::new(8)),
            sign_in: Arc::new(SignIn::new(&code, cookie)),
            ending: ending.clone(),
            hurry: hurry.clone(),
        };
        let router = http::router(app, guard);
        Ok(Self { listener, address, router, fleet, store, token, code, ending, hurry })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL on this computer.
    pub fn url(&self) -> String {
        url(self.address)
    }

    /// The link that opens the page and signs in to it. It works once; whoever has it may do everything.
    pub fn link(&self) -> String {
        format!("{}/sign-in?code={}", self.url(), self.code)
    }

    /// What changing calls must know.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Serves until `end` is cancelled or a client has it shut down, and returns when all is stopped. `hurry` is for who does not want
    /// to wait then: containers are killed.
    ///
    /// # Errors
    /// When it could not be read what of ours runs; then nothing was stopped.
    pub async fn run(
        self,
        end: &CancellationToken,
        hurry: &CancellationToken,
    ) -> Result<ShutdownReport, Problem> {
        let Self { listener, router, fleet, store, ending, hurry: hurried, .. } = self;
        let serving = tokio::spawn(http::serve(listener, router, ending.clone()));
        let hurry = hurry.clone();
        let hurrying = {
            let hurried = hurried.clone();
            tokio::spawn(async move {
                hurry.cancelled().await;
                hurried.cancel();
            })
        };
        tokio::select! {
            () = end.cancelled() => {}
            () = ending.cancelled() => {}
        }
        // After a client's shutdown this gives that one's report.
        let report = fleet.shutdown(&hurried).await;
        hurrying.abort();
        ending.cancel();
        // Its task ends by itself.
        let _ = serving.await;
        store.forget_address();
        report
    }
}

fn url(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        return format!("http://localhost:{}", address.port());
    }
    format!("http://{address}")
}

/// A thousand readers of logs are a thousand descriptors; what the system allows is asked for.
#[cfg(unix)]
fn raise_limits() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!("no more files can be open at once: {error}");
    }
}

#[cfg(not(unix))]
fn raise_limits() {}
