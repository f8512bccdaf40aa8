//! Files to one tree: read, parsed, interpolated, with what they extend and include, merged.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    rc::Rc,
};

use crate::{
    LoadError,
    context::Context,
    extends,
    findings::{Findings, Place},
    include::{self, Step},
    interpolate, merge,
    yaml::{self, Node, Stopped, Value},
};

/// A larger file is refused, and no more of it is read.
const MAX_BYTES: u64 = 16 << 20;
/// So many files, and so much text, are more than any project refers to without going in circles.
const MAX_FILES: usize = 1000;
const MAX_TEXT: usize = 64 << 20;

/// One file's text, and where it is.
pub(crate) struct Input {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// A file's text.
///
/// # Errors
/// [`LoadError::Unreadable`], also for what is no UTF-8 or too large.
pub(crate) fn read_text(path: &Path) -> Result<String, LoadError> {
    let unreadable = |source| LoadError::Unreadable { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    // What a file's metadata says of its size is not asked: a device or a pipe has none, and may never end.
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(unreadable(io::Error::other(format!("it is larger than {} MiB", MAX_BYTES >> 20))));
    }
    String::from_utf8(bytes).map_err(|_| unreadable(io::Error::other("it is not UTF-8 text")))
}

/// Reads files, and remembers how much was read for one project.
pub(crate) struct Files<'f> {
    pub(crate) findings: &'f mut Findings,
    files: usize,
    text: usize,
}

impl<'f> Files<'f> {
    pub(crate) fn new(findings: &'f mut Findings) -> Self {
        Self { findings, files: 0, text: 0 }
    }

    /// Reads a file that another one names at `place`. `None`, with an error there, where that cannot be.
    pub(crate) fn referred(&mut self, path: &Path, place: Place, subject: &str) -> Option<Input> {
        self.files += 1;
        let read = match read_text(path) {
            Ok(text) => {
                self.text += text.len();
                if self.files <= MAX_FILES && self.text <= MAX_TEXT {
                    return Some(Input { path: path.to_owned(), text });
                }
                "too many files, or too much text in them".to_owned()
            }
            Err(error) => error.to_string(),
        };
        self.findings.error(place, subject, read);
        self.findings.partial = true;
        None
    }

    /// A file's tree as it is written; `None`, with an error, for one that is no mapping.
    pub(crate) fn tree(&mut self, input: &Input, context: &Rc<Context>) -> Option<Node> {
        let source = self.findings.add_source_in(&input.path, &input.text, context);
        let node = match yaml::parse(&input.text, source, self.findings) {
            Ok(Some(node)) if !node.is_null() => node,
            Ok(_) => {
                let place = Place { source, line: 1, column: 1, length: 1 };
                let help = "a compose file has at least `services:` with one service";
                self.findings.error_with(place, "", "the file is empty", help);
                return None;
            }
            Err(Stopped) => return None,
        };
        if !matches!(node.value, Value::Map(_)) {
            let message = format!("expected a mapping with `services:`, found {}", node.describe());
            self.findings.error(node.place, "", message);
            return None;
        }
        Some(node)
    }

    /// Files of one context as one tree, the later over the earlier; `None` where none is there. `stack` is what includes them.
    pub(crate) fn merged(
        &mut self,
        inputs: &[Input],
        context: &Rc<Context>,
        stack: &mut Vec<Step>,
    ) -> Option<Node> {
        let mut root: Option<Node> = None;
        for input in inputs {
            let Some(mut node) = self.tree(input, context) else {
                self.findings.partial = true;
                continue;
            };
            if !self.findings.variables_stay {
                interpolate::tree(&mut node, "", &context.env, self.findings);
            }
            extends::resolve(self, &mut node, context);
            include::resolve(self, &mut node, context, &input.path, stack);
            match &mut root {
                None => root = Some(node),
                Some(base) => merge::merge(base, node, self.findings),
            }
        }
        root
    }
}
