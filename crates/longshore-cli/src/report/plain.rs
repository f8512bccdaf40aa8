//! A line for each thing that happens: for logs of CI, files and pipes.

use longshore::Event;

use super::{
    Report,
    words::{self, Told},
};
use crate::output::{Output, Paint};

#[derive(Debug)]
pub(crate) struct Plain {
    output: Output,
}

impl Plain {
    pub(crate) fn new(output: Output) -> Self {
        Self { output }
    }
}

impl Report for Plain {
    fn event(&self, event: &Event) {
        let paint = Paint(self.output.stderr_colors);
        let subject = format!("{}{}", self.output.mode(), words::subject(&event.subject));
        let line = match words::told(event) {
            Some(Told::Going(word) | Told::Done(word, _)) => format!("{subject}  {word}"),
            Some(Told::Step(step)) => format!("{subject}  {step}"),
            Some(Told::Failed(_)) => format!("{subject}  {}", paint.bold_red("Error")),
            Some(Told::Warning(text)) => words::warning(&text, self.output),
            Some(Told::Bytes(..)) | None => return,
        };
        self.output.note(&line);
    }

    fn note(&self, text: &str) {
        self.output.note(text);
    }

    fn warn(&self, text: &str) {
        self.note(&words::warning(text, self.output));
    }

    fn finish(&self) {}
}
