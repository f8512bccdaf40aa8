//! A live line for each thing that something happens to.

use std::{
    collections::HashMap,
    fmt::{self, Write},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use longshore::{Event, Subject};

use super::{
    Report,
    words::{self, Told},
};
use crate::output::{Output, Paint};

const TICK: Duration = Duration::from_millis(100);

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
    by_subject: HashMap<Subject, ProgressBar>,
}

impl Screen {
    fn empty() -> Self {
        let lines = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        Self { lines, by_subject: HashMap::new() }
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
            screen: Mutex::new(Screen::empty()),
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

    /// The subject's line; a new one if it has none.
    fn line(&self, subject: &Subject) -> ProgressBar {
        let Screen { lines, by_subject } = &mut *self.screen();
        let new = || lines.add(ProgressBar::new_spinner().with_style(self.over.clone()));
        by_subject.entry(subject.clone()).or_insert_with(new).clone()
    }

    fn begin(&self, line: &ProgressBar, message: String) {
        line.reset_elapsed();
        line.set_style(self.going.clone());
        line.set_message(message);
        line.enable_steady_tick(TICK);
    }

    fn end(&self, line: &ProgressBar, message: String, took: Option<f64>) {
        line.disable_steady_tick();
        line.set_style(self.over.clone());
        line.set_prefix(took.map(|took| format!("{took:.1}s")).unwrap_or_default());
        line.set_message(message);
        line.tick();
    }
}

impl Report for Terminal {
    fn event(&self, event: &Event) {
        let Some(told) = words::told(event) else { return };
        let paint = Paint(self.output.stderr_colors);
        let subject = words::subject(&event.subject);
        match told {
            Told::Warning(text) => self.warn(&text),
            Told::Going(word) => self.begin(&self.line(&event.subject), format!("{subject}  {word}")),
            Told::Bytes(word, done, total) => {
                let progress = words::progress(done, total);
                self.line(&event.subject).set_message(format!("{subject}  {word} {progress}"));
            }
            Told::Done(word, took) => {
                let message = format!("{} {subject}  {}", paint.green("✔"), paint.green(word));
                self.end(&self.line(&event.subject), message, took);
            }
            Told::Failed(_) => {
                let message = format!("{} {subject}  {}", paint.bold_red("✘"), paint.bold_red("Error"));
                self.end(&self.line(&event.subject), message, None);
            }
        }
    }

    fn note(&self, text: &str) {
        let screen = self.screen();
        if screen.by_subject.is_empty() {
            self.output.note(text);
        } else {
            // Above the lines that change. That nobody reads stderr is no reason to stop.
            let _ = screen.lines.println(text);
        }
    }

    fn warn(&self, text: &str) {
        self.note(&words::warning(text, self.output));
    }

    fn finish(&self) {
        let over = std::mem::replace(&mut *self.screen(), Screen::empty());
        for line in over.by_subject.values() {
            line.disable_steady_tick();
            line.abandon();
        }
    }
}
