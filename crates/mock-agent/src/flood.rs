//! Lines of no use, many of them.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::agent::Agent;

/// A line's length with its end, so that a rate can be kept.
const WIDTH: u64 = 100;

fn line(number: u64) -> String {
    format!("flood {number:010} {}", "x".repeat(82))
}

/// So many lines at once.
pub(crate) async fn lines(agent: &Agent, count: u32) {
    for number in 1..=u64::from(count) {
        agent.log(line(number));
        if number.is_multiple_of(1000) {
            // Others want answers meanwhile.
            tokio::task::yield_now().await;
        }
    }
}

/// So many bytes a second, for that time or always.
pub(crate) async fn steadily(agent: &Agent, rate: u32, time: Option<Duration>) {
    let begin = Instant::now();
    let mut number = 0;
    loop {
        let past = time.map_or(begin.elapsed(), |time| begin.elapsed().min(time));
        let due = u128::from(rate) * past.as_millis() / 1000;
        while u128::from((number + 1) * WIDTH) <= due {
            number += 1;
            agent.log(line(number));
        }
        if time.is_some_and(|time| past >= time) {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_as_long_as_it_is_counted() {
        assert_eq!(line(7).len() as u64 + 1, WIDTH);
    }
}
