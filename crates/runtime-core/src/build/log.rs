//! What a build prints, as it comes: the steps, and the end of what each said.

use std::collections::VecDeque;

use super::{BuildSpec, BuildStep};
use crate::{BuildProblem, Error, hide_values};

/// A line is kept to so many characters.
const MAX_LINE: usize = 2048;

/// Reads what a build prints; for backends. No value of an argument or a secret stays in it.
#[derive(Debug)]
pub struct BuildLog<'s> {
    spec: &'s BuildSpec,
    step: Option<BuildStep>,
    output: VecDeque<String>,
}

impl<'s> BuildLog<'s> {
    /// The log of a build that has said nothing.
    pub fn new(spec: &'s BuildSpec) -> Self {
        Self { spec, step: None, output: VecDeque::new() }
    }

    /// Takes a line. Returns the step that begins with it.
    pub fn line(&mut self, line: &str) -> Option<BuildStep> {
        let line = hide_values(&plain(line), self.spec.hidden());
        if let Some(step) = read(&line) {
            self.output.clear();
            self.step = Some(step.clone());
            return Some(step);
        }
        if !line.trim().is_empty() && !is_a_builders_own(&line) {
            if self.output.len() == BuildProblem::MOST_LINES {
                self.output.pop_front();
            }
            self.output.push_back(line.trim_end().chars().take(MAX_LINE).collect());
        }
        None
    }

    /// The error of the build, for that reason.
    pub fn failed(self, reason: &str) -> Error {
        let reason = hide_values(reason.trim(), self.spec.hidden());
        // The step is told besides.
        let reason = match reason.strip_prefix("building at STEP \"") {
            Some(rest) if self.step.is_some() => rest.split_once("\": ").map_or(rest, |(_, reason)| reason),
            _ if reason.is_empty() => "the engine gives no reason",
            _ => &reason,
        };
        let problem =
            BuildProblem::Failed { step: self.step, reason: reason.to_owned(), output: self.output.into() };
        Error::Build { image: self.spec.image.clone(), problem }
    }
}

/// Whether a build failed because somebody removed, meanwhile, an image or a layer that the cache still names: then it may be tried
/// again.
pub fn is_disturbed(error: &Error) -> bool {
    let Error::Build { problem: BuildProblem::Failed { reason, .. }, .. } = error else { return false };
    let is_gone = ["layer not known", "image not known"].iter().any(|words| reason.contains(words));
    is_gone && reason.contains("cache")
}

/// A step's line, in the forms that builders have: `Step 2/3 : RUN make`, `STEP 2/3: RUN make`, and that after its stage,
/// `[1/2] STEP 2/3: RUN make`.
fn read(line: &str) -> Option<BuildStep> {
    let rest = match line.strip_prefix('[') {
        Some(stage) => stage.split_once("] ")?.1,
        None => line,
    };
    let (numbers, instruction) =
        rest.strip_prefix("STEP ").or(rest.strip_prefix("Step "))?.split_once(':')?;
    let (number, of) = numbers.trim().split_once('/')?;
    let instruction = instruction.trim().to_owned();
    Some(BuildStep { number: number.parse().ok()?, of: of.parse().ok()?, instruction })
}

/// What says nothing of a step but that it goes on or is over.
fn is_a_builders_own(line: &str) -> bool {
    const BEGINNINGS: [&str; 5] =
        ["-->", "--->", "COMMIT", "Removing intermediate container ", "Successfully "];
    BEGINNINGS.iter().any(|beginning| line.trim_start().starts_with(beginning))
}

/// The line without colours.
fn plain(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => {
                if chars.next() == Some('[') {
                    // A sequence ends with a letter.
                    chars.by_ref().find(|c| ('@'..='~').contains(c));
                }
            }
            c if c.is_control() && c != '\t' => {}
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use compose_file::{Build, Project, ProjectName, Service};

    use super::*;

    #[test]
    fn steps_are_told_from_what_they_print() {
        let step = |number, of, instruction: &str| {
            Some(BuildStep { number, of, instruction: instruction.to_owned() })
        };
        assert_eq!(read("STEP 2/3: RUN echo a: b"), step(2, 3, "RUN echo a: b"));
        assert_eq!(read("Step 2/3 : RUN echo a: b"), step(2, 3, "RUN echo a: b"));
        assert_eq!(read("[1/2] STEP 1/4: FROM x AS a"), step(1, 4, "FROM x AS a"));
        for other in ["--> f1c055f878f", "COMMIT localhost/x", "STEP by step", "[x", "STEP a/b: c"] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn a_step_that_fails_is_told_with_the_end_of_what_it_said() {
        let mut build = Build::default();
        build.args.insert("TOKEN".into(), "hunter2".into());
        let project = Project::new(ProjectName::new("p").unwrap(), "/p");
        let spec = super::super::spec(&project, &Service::new("web", "p-web"), &build).unwrap().spec;
        let mut log = BuildLog::new(&spec);
        assert!(log.line("Step 1/2 : FROM x").is_some());
        assert!(log.line("lost").is_none());
        assert!(log.line("Step 2/2 : RUN make hunter2").is_some());
        for line in [" ---> Running in 15e470801704", "\u{1b}[91mno hunter2\u{1b}[0m", ""] {
            assert!(log.line(line).is_none());
        }
        (0..100).for_each(|number| drop(log.line(&format!("line {number}"))));
        log.line("the end");
        let error = log.failed("building at STEP \"RUN make hunter2\": exit status 3, of hunter2\n");
        let Error::Build { problem: BuildProblem::Failed { output, .. }, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(output.len(), BuildProblem::MOST_LINES);
        let text = error.to_string();
        assert!(
            text.starts_with("image p-web: step 2/2: RUN make *** failed: exit status 3, of ***\n"),
            "{text}"
        );
        assert!(text.ends_with("line 99\n  the end"), "{text}");
    }
}
