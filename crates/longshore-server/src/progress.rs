//! What a runtime tells of its work, as a step on an agent's way.

use longshore::{Event, Phase, Subject, Work};

use crate::api::{AgentProgress, ProgressPhase};

/// The step that an event is of, if it is of one.
pub(crate) fn of(event: &Event) -> Option<AgentProgress> {
    let (work, bytes, total_bytes) = match &event.phase {
        Phase::Began(work) => (*work, None, None),
        Phase::Bytes { work, done, total } => (*work, Some(*done), *total),
        _ => return None,
    };
    let phase = match work {
        Work::Pull => ProgressPhase::Pull,
        Work::Start => ProgressPhase::Start,
        Work::Stop => ProgressPhase::Stop,
        Work::Remove => ProgressPhase::Remove,
        Work::Wait(_) => ProgressPhase::Health,
        Work::Queue => ProgressPhase::MachineBusy,
        Work::LookUp | Work::Download => ProgressPhase::MachineDownload,
        Work::Extract | Work::Init => ProgressPhase::MachineInit,
        Work::Boot => ProgressPhase::MachineBoot,
        Work::Answer => ProgressPhase::Engine,
        _ => ProgressPhase::Create,
    };
    Some(AgentProgress { phase, subject: event.subject.name().to_owned(), bytes, total_bytes })
}

/// Whether it is about the machine, which is everybody's.
pub(crate) fn is_of_machine(event: &Event) -> bool {
    matches!(event.subject, Subject::Machine(_))
}

/// Whether the step differs enough from the one before to be told: bytes are told a hundred times in all, not at each packet.
pub(crate) fn is_news(before: Option<&AgentProgress>, now: &AgentProgress) -> bool {
    let Some(before) = before else { return true };
    if (before.phase, &before.subject) != (now.phase, &now.subject) {
        return true;
    }
    let (then, now_bytes) = (before.bytes.unwrap_or_default(), now.bytes.unwrap_or_default());
    let step = now.total_bytes.map_or(1 << 20, |total| (total / 100).max(1));
    before.total_bytes.is_none() && now.total_bytes.is_some()
        || now_bytes.abs_diff(then) >= step
        || (now.bytes.is_some() && now.bytes == now.total_bytes && before.bytes != now.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_a_hundred_times_and_at_the_end() {
        let step = |bytes| AgentProgress {
            phase: ProgressPhase::Pull,
            subject: "i".to_owned(),
            bytes: Some(bytes),
            total_bytes: Some(100_000),
        };
        let (mut told, mut last) = (0, None);
        for bytes in (0..=100_000).step_by(10) {
            let now = step(bytes);
            if is_news(last.as_ref(), &now) {
                told += 1;
                last = Some(now);
            }
        }
        assert_eq!(told, 101);
        assert_eq!(last.and_then(|last| last.bytes), Some(100_000));
    }
}
