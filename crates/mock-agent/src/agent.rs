//! An agent's life.

use std::{
    future::{Future, pending},
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::Router;
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

use crate::{Options, command::CRASHED, flood, http};

/// A line of an agent's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// For stdout.
    Out(String),
    /// For stderr.
    Err(String),
}

/// What is asked of an agent's life by one of its chats.
enum Order {
    Exit(u8),
    Flood(u32, Duration),
}

/// What its chats know of an agent.
pub(crate) struct Agent {
    pub(crate) options: Options,
    io: Box<dyn Fn(Line) + Send + Sync>,
    /// Who has ended says nothing more.
    over: AtomicBool,
    began: Instant,
    told_health: Mutex<Option<bool>>,
    chats: AtomicU64,
    open: AtomicUsize,
    orders: mpsc::UnboundedSender<Order>,
}

impl Agent {
    pub(crate) fn log(&self, line: String) {
        self.print(Line::Out(line));
    }

    fn print(&self, line: Line) {
        if !self.over.load(Ordering::Relaxed) {
            (self.io)(line);
        }
    }

    pub(crate) fn healthy(&self) -> bool {
        let told = *self.told_health.lock().unwrap_or_else(PoisonError::into_inner);
        told.unwrap_or(!self.options.unhealthy && self.began.elapsed() >= self.options.healthy_after)
    }

    pub(crate) fn tell_health(&self, healthy: bool) {
        *self.told_health.lock().unwrap_or_else(PoisonError::into_inner) = Some(healthy);
    }

    /// A number that no other chat has.
    pub(crate) fn next_chat(&self) -> u64 {
        self.chats.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn open_chats(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    pub(crate) fn exit(&self, code: u8) {
        self.order(Order::Exit(code));
    }

    pub(crate) fn flood(&self, rate: u32, time: Duration) {
        self.order(Order::Flood(rate, time));
    }

    fn order(&self, order: Order) {
        // Nobody takes it only once the agent has ended.
        let _ = self.orders.send(order);
    }
}

/// A chat that is not answered to its end; dropped so, its client has gone away.
pub(crate) struct OpenChat {
    agent: Arc<Agent>,
    answered: bool,
}

impl OpenChat {
    pub(crate) fn new(agent: Arc<Agent>) -> Self {
        agent.open.fetch_add(1, Ordering::Relaxed);
        Self { agent, answered: false }
    }

    pub(crate) fn answered(&mut self) {
        self.answered = true;
    }
}

impl Drop for OpenChat {
    fn drop(&mut self) {
        self.agent.open.fetch_sub(1, Ordering::Relaxed);
        if !self.answered {
            self.agent.log("chat cancelled".to_owned());
        }
    }
}

/// Makes an agent mute when its life is over, however it ends.
struct Mute(Arc<Agent>);

impl Drop for Mute {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

/// Is an agent until it crashes or `stop` is done, and returns its exit code. `io` gets the lines that it logs.
///
/// Nothing is spawned: all that the agent does is in this future, and ends at once when it is dropped, without a line.
/// Time is tokio's.
pub async fn serve(
    listener: TcpListener,
    options: Options,
    io: impl Fn(Line) + Send + Sync + 'static,
    stop: impl Future<Output = ()> + Send,
) -> u8 {
    let (orders, mut ordered) = mpsc::unbounded_channel();
    let agent = Arc::new(Agent {
        options,
        io: Box::new(io),
        over: AtomicBool::new(false),
        began: Instant::now(),
        told_health: Mutex::new(None),
        chats: AtomicU64::new(0),
        open: AtomicUsize::new(0),
        orders,
    });
    let router = http::router(agent.clone());
    let mut work: FuturesUnordered<BoxFuture<'static, ()>> = FuturesUnordered::new();
    // Dropped before the work is: chats that end with their agent were not cancelled by a client.
    let _mute = Mute(agent.clone());

    let mut stopped = pin!(stopped(&agent, stop));
    let mut crash = pin!(crash_after(&agent));
    let mut start = pin!(start_after(&agent, &listener));
    let mut started = false;
    loop {
        tokio::select! {
            // Under a seed a run must be the same again, so the order is fixed.
            biased;
            () = &mut stopped => return 0,
            () = &mut crash => return crashed(&agent, CRASHED),
            () = &mut start, if !started => {
                started = true;
                work.push(Box::pin(flood_as_told(agent.clone())));
            }
            Some(order) = ordered.recv() => match order {
                Order::Exit(code) => return crashed(&agent, code),
                Order::Flood(rate, time) => {
                    let agent = agent.clone();
                    work.push(Box::pin(async move { flood::steadily(&agent, rate, Some(time)).await }));
                }
            },
            Some(()) = work.next() => {}
            client = next_client(&listener) => if started {
                work.push(Box::pin(answer(client, router.clone())));
            },
        }
    }
}

async fn start_after(agent: &Agent, listener: &TcpListener) {
    let options = &agent.options;
    // Tokio rounds up: not even no time at all would pass at once, and clients may be there already.
    if !options.start_after.is_zero() {
        sleep_until(agent.began + options.start_after).await;
    }
    let address = listener.local_addr().map_or_else(|error| error.to_string(), |address| address.to_string());
    agent.log(format!("agent {} listening on {address}", options.name));
}

async fn flood_as_told(agent: Arc<Agent>) {
    flood::lines(&agent, agent.options.flood).await;
    if let Some(rate) = agent.options.flood_rate {
        flood::steadily(&agent, rate, None).await;
    }
}

async fn stopped(agent: &Agent, stop: impl Future<Output = ()>) {
    stop.await;
    if agent.options.ignore_term {
        agent.log("ignored SIGTERM".to_owned());
        pending::<()>().await;
    }
    agent.log("stopping".to_owned());
    sleep(agent.options.stop_after).await;
}

async fn crash_after(agent: &Agent) {
    match agent.options.crash_after {
        Some(time) => sleep_until(agent.began + time).await,
        None => pending().await,
    }
}

fn crashed(agent: &Agent, code: u8) -> u8 {
    agent.print(Line::Err(format!("crashed with {code}")));
    code
}

async fn next_client(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((client, _)) => return client,
            // It may be out of file descriptors; those who leave give some back.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn answer(client: TcpStream, router: Router) {
    // Words of a stream are small, and each is waited for.
    let _ = client.set_nodelay(true);
    // Fails where the client goes away, which the chat has told already.
    let _ =
        http1::Builder::new().serve_connection(TokioIo::new(client), TowerToHyperService::new(router)).await;
}
