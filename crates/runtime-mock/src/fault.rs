//! What goes wrong, by script.

use std::{collections::BTreeMap, time::Duration};

use runtime_core::{Error, Result};

/// What a call that is scripted to go wrong does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It fails at once, and nothing is done.
    Fail(Error),
    /// It fails after that time, and nothing is done.
    FailAfter(Duration, Error),
    /// It does what it should, and then fails: what an exit code says need not be so.
    DoneAndFail(Error),
    /// It does not answer. As every backend's calls do, it ends at its deadline of two minutes with [`Error::TimedOut`].
    Hang,
    /// It takes that much longer.
    Delay(Duration),
}

/// A call's deadline, as the backends have it.
const DEADLINE: Duration = Duration::from_secs(120);

/// Which calls go wrong.
#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(crate) calls: BTreeMap<String, usize>,
    faults: BTreeMap<(String, usize), Fault>,
}

impl Script {
    pub(crate) fn add(&mut self, call: &str, nth: usize, fault: Fault) {
        self.faults.insert((call.to_owned(), nth), fault);
    }

    pub(crate) fn forget(&mut self) {
        self.faults.clear();
    }

    /// Counts a call and tells what it does.
    pub(crate) fn next(&mut self, call: &str) -> Option<Fault> {
        let count = self.calls.entry(call.to_owned()).or_default();
        *count += 1;
        self.faults.remove(&(call.to_owned(), *count))
    }
}

/// Does the part of a fault that comes before the call; what is left is for its end.
pub(crate) async fn before(call: &str, fault: Option<Fault>) -> Result<Option<Error>> {
    match fault {
        None => Ok(None),
        Some(Fault::Fail(error)) => Err(error),
        Some(Fault::FailAfter(time, error)) => {
            tokio::time::sleep(time).await;
            Err(error)
        }
        Some(Fault::DoneAndFail(error)) => Ok(Some(error)),
        Some(Fault::Delay(time)) => {
            tokio::time::sleep(time).await;
            Ok(None)
        }
        Some(Fault::Hang) => {
            tokio::time::sleep(DEADLINE).await;
            Err(Error::TimedOut { what: call.to_owned(), after: DEADLINE })
        }
    }
}
