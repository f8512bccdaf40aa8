//! Ports of this computer for agents.

use std::{
    collections::BTreeSet,
    io,
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use longshore::PortRange;

/// Which ports agents have. What somebody else on this computer takes in the meantime the engine finds out, and then another is
/// chosen.
#[derive(Debug)]
pub(crate) struct Ports {
    range: PortRange,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    ports: BTreeSet<u16>,
    /// The one that was given last: one that was just given back may still be held for a moment.
    last: u16,
}

impl Ports {
    pub(crate) fn new(range: PortRange) -> Self {
        Self { range, taken: Mutex::default() }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a port that an agent has already.
    pub(crate) fn keep(&self, port: u16) {
        self.taken().ports.insert(port);
    }

    /// Takes one that no other agent has and that is free now. `None` when there is none.
    pub(crate) fn take(&self) -> Option<u16> {
        let mut taken = self.taken();
        let last = taken.last;
        let (after, before): (Vec<u16>, Vec<u16>) = self.range.iter().partition(|port| *port > last);
        let free = |port: &u16| !taken.ports.contains(port) && is_free(*port);
        let port = after.into_iter().chain(before).find(free)?;
        taken.ports.insert(port);
        taken.last = port;
        Some(port)
    }

    pub(crate) fn give_back(&self, port: u16) {
        self.taken().ports.remove(&port);
    }
}

/// How long a connection to this very process may take.
const CONNECT: Duration = Duration::from_millis(200);

/// Whether nothing listens at it now, and who connects to it comes to who does: a rule of the firewall that an engine has left
/// behind leads elsewhere, whoever listens.
pub(crate) fn is_free(port: u16) -> bool {
    let comes_here = || {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let client = TcpStream::connect_timeout(&listener.local_addr()?, CONNECT)?;
        let (accepted, peer) = listener.accept()?;
        let is_ours = client.local_addr()? == peer;
        // Who ends a connection first keeps its port for a while, which must not be this one.
        drop(client);
        drop(accepted);
        io::Result::Ok(is_ours)
    };
    comes_here().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let used = listener.local_addr().expect("its address").port();
        let ports = Ports::new(PortRange::new(used, used).expect("a range"));
        assert_eq!(ports.take(), None, "somebody listens there");
        drop(listener);
        assert_eq!(ports.take(), Some(used));
        assert_eq!(ports.take(), None, "an agent has it");
        ports.give_back(used);
        assert_eq!(ports.take(), Some(used));
    }
}
