//! A live line for each thing that something happens to.

use std::{
    fmt::{self, Write},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use longshore::{Event, Phase, Subject, Work};

use super::{
    Report,
    words::{self, Told},
};
use crate::output::{Output, Paint};

const TICK: Duration = Duration::from_millis(100);

/// So many lines change in their place. A terminal that has fewer rows shows the first of them, so what goes on has to be
/// among those: what has ended makes room.
const MOST_LINES: usize = 6;

/// Lines on stderr. Everything of a line is in one field that is cut to the terminal's width, so that no line wraps.
pub(crate) struct Terminal {
    screen: Mutex<Screen>,
    going: ProgressStyle,
    over: ProgressStyle,
    output: Output,
}

/// The lines that may still change.
#[derive(Debug)]
struct Screen {
    lines: MultiProgress,
    shown: Vec<Line>,
    /// Ended lines that made room, of subjects that more is done to.
    hidden: Vec<(Subject, String)>,
}

/// A line of a subject.
#[derive(Debug)]
struct Line {
    subject: Subject,
    bar: ProgressBar,
    state: State,
}

/// How far a line is.
#[derive(Debug)]
enum State {
    Going,
    /// Done, and more is done to the subject: the text.
    Between(String),
    /// Done: the text.
    Over(String),
}

impl Screen {
    fn on(target: ProgressDrawTarget) -> Self {
        let lines = MultiProgress::with_draw_target(target);
        Self { lines, shown: Vec::new(), hidden: Vec::new() }
    }

    /// The subject's line; a new one if it has none.
    fn line(&mut self, subject: &Subject) -> &mut Line {
        self.hidden.retain(|(hidden, _)| hidden != subject);
        let at = self.shown.iter().position(|line| line.subject == *subject).unwrap_or_else(|| {
            let bar = self.lines.add(ProgressBar::new_spinner());
            self.shown.push(Line { subject: subject.clone(), bar, state: State::Going });
            self.shown.len() - 1
        });
        &mut self.shown[at]
    }

    /// Puts what has ended above the lines that change, as long as they are too many.
    fn make_room(&mut self) {
        while self.shown.len() > MOST_LINES {
            let position = |is: fn(&State) -> bool| self.shown.iter().position(|line| is(&line.state));
            let ended = position(|state| matches!(state, State::Over(_)))
                .or_else(|| position(|state| matches!(state, State::Between(_))));
            let Some(at) = ended else { return };
            let Line { subject, bar, state } = self.shown.remove(at);
            self.lines.remove(&bar);
            match state {
                State::Over(text) => self.print(&text),
                State::Between(text) => self.hidden.push((subject, text)),
                State::Going => {}
            }
        }
    }

    /// A line above those that change. That nobody reads stderr is no reason to stop.
    fn print(&self, text: &str) {
        let _ = self.lines.println(text);
    }

    /// Leaves all lines as they are; what has ended as text, so that none is cut off where there are fewer rows.
    fn finish(self) {
        for (_, text) in &self.hidden {
            self.print(text);
        }
        for Line { bar, state, .. } in &self.shown {
            bar.disable_steady_tick();
            match state {
                State::Going => bar.abandon(),
                State::Between(text) | State::Over(text) => {
                    self.lines.remove(bar);
                    self.print(text);
                }
            }
        }
    }
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A style has closures, which have nothing to show.
        f.debug_struct("Terminal").field("screen", &self.screen).finish_non_exhaustive()
    }
}

impl Terminal {
    pub(crate) fn new(output: Output) -> Self {
        let style = |template: &str| {
            // The templates are constants; if one were wrong, the default style would be shown.
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
        };
        let seconds = |state: &ProgressState, out: &mut dyn Write| {
            let _ = write!(out, "{:.1}s", state.elapsed().as_secs_f64());
        };
        Self {
            screen: Mutex::new(Screen::on(ProgressDrawTarget::stderr())),
            going: style(" {spinner} {wide_msg} {seconds} ")
                .with_key("seconds", seconds)
                .tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ "),
            over: style(" {wide_msg} {prefix} "),
            output,
        }
    }

    fn screen(&self) -> MutexGuard<'_, Screen> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, subject: &Subject, message: String) {
        let mut screen = self.screen();
        let line = screen.line(subject);
        line.state = State::Going;
        line.bar.reset_elapsed();
        line.bar.set_style(self.going.clone());
        line.bar.set_message(message);
        line.bar.enable_steady_tick(TICK);
        screen.make_room();
    }

    fn end(&self, subject: &Subject, message: String, took: Option<f64>, state: fn(String) -> State) {
        let took = took.map(|took| format!("{took:.1}s")).unwrap_or_default();
        let mut screen = self.screen();
        let line = screen.line(subject);
        line.bar.disable_steady_tick();
        line.state = state(format!(" {message}  {took}").trim_end().to_owned());
        line.bar.set_style(self.over.clone());
        line.bar.set_prefix(took);
        line.bar.set_message(message);
        line.bar.tick();
        screen.make_room();
    }

    /// What failed is above all that may be cut off.
    fn fail(&self, subject: &Subject, message: &str) {
        let mut screen = self.screen();
        if let Some(at) = screen.shown.iter().position(|line| line.subject == *subject) {
            let line = screen.shown.remove(at);
            line.bar.disable_steady_tick();
            screen.lines.remove(&line.bar);
        }
        screen.print(&format!(" {message}"));
    }
}

impl Report for Terminal {
    fn event(&self, event: &Event) {
        let Some(told) = words::told(event) else { return };
        let paint = Paint(self.output.stderr_colors);
        let subject = format!("{}{}", self.output.mode(), words::subject(&event.subject));
        match told {
            Told::Warning(text) => self.warn(&text),
            Told::Going(word) => self.begin(&event.subject, format!("{subject}  {word}")),
            Told::Bytes(word, done, total) => {
                let progress = words::progress(done, total);
                self.screen().line(&event.subject).bar.set_message(format!("{subject}  {word} {progress}"));
            }
            Told::Step(step) => {
                self.screen().line(&event.subject).bar.set_message(format!("{subject}  {step}"));
            }
            Told::Done(word, took) => {
                let message = format!("{} {subject}  {}", paint.green("✔"), paint.green(word));
                let state = if goes_on(event) { State::Between } else { State::Over };
                self.end(&event.subject, message, took, state);
            }
            Told::Failed(_) => {
                let message = format!("{} {subject}  {}", paint.bold_red("✘"), paint.bold_red("Error"));
                self.fail(&event.subject, &message);
            }
        }
    }

    fn note(&self, text: &str) {
        let screen = self.screen();
        if screen.shown.is_empty() {
            self.output.note(text);
        } else {
            screen.print(text);
        }
    }

    fn warn(&self, text: &str) {
        self.note(&words::warning(text, self.output));
    }

    fn finish(&self) {
        let screen = std::mem::replace(&mut *self.screen(), Screen::on(ProgressDrawTarget::stderr()));
        screen.finish();
    }
}

/// Whether more is usually done to the subject afterwards.
fn goes_on(event: &Event) -> bool {
    let is_container = matches!(event.subject, Subject::Container { .. });
    is_container && matches!(event.phase, Phase::Done { work: Work::Create | Work::Stop, .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(screen: &mut Screen, name: &str, state: State) {
        screen.line(&Subject::Network(name.to_owned())).state = state;
        screen.make_room();
    }

    #[test]
    fn what_goes_on_keeps_its_line() {
        let mut screen = Screen::on(ProgressDrawTarget::hidden());
        let text = |name: &str| format!("{name} Done");
        end(&mut screen, "last", State::Going);
        for number in 0..20 {
            let name = number.to_string();
            end(&mut screen, &name, State::Between(text(&name)));
        }
        end(&mut screen, "19", State::Over(text("19")));
        assert_eq!(screen.shown.len(), MOST_LINES);
        assert_eq!(screen.shown[0].subject.name(), "last");
        assert_eq!(screen.hidden.len(), 20 + 1 - MOST_LINES, "nothing is lost");
        end(&mut screen, "0", State::Going);
        assert!(screen.hidden.iter().all(|(subject, _)| subject.name() != "0"), "it has a line again");
        for number in 20..40 {
            end(&mut screen, &number.to_string(), State::Going);
        }
        assert!(screen.shown.iter().all(|line| matches!(line.state, State::Going)));
    }
}
