//! The files of a folder that a build is given: all but those that its `.dockerignore` names, by the rules of moby's `patternmatcher`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use compose_file::BuildContext;

use super::{BuildSpec, Dockerfile};

/// The file of a context that says what is left out.
const DOCKERIGNORE: &str = ".dockerignore";

/// What of a context is left out. The last pattern that matches decides, so that `!` takes back what one before it left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ignored {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    text: String,
    /// Whether what it matches is not left out.
    takes_back: bool,
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Char(char),
    /// `?`: any but a slash.
    One,
    /// `*`: any number of those.
    Some,
    /// `**/`: any number of folders.
    Folders,
    /// `**` at the end.
    All,
    /// `[a-z]`
    Class {
        but: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Ignored {
    /// Reads a `.dockerignore`.
    pub fn read(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self::of(text.lines().filter(|line| !line.starts_with('#')))
    }

    /// What patterns that are listed leave out.
    pub(crate) fn of<'p>(patterns: impl IntoIterator<Item = &'p str>) -> Self {
        let patterns = patterns.into_iter().filter_map(|pattern| Pattern::read(pattern.trim()));
        Self { patterns: patterns.collect() }
    }

    /// That path is not left out, whatever was said before.
    fn keep(&mut self, path: &str) {
        if self.has(path) {
            let tokens = path.chars().map(Token::Char).collect();
            self.patterns.push(Pattern { text: path.to_owned(), takes_back: true, tokens });
        }
    }

    /// Whether the file of that path in the context, with slashes, is left out: it, or a folder that it is in.
    pub fn has(&self, path: &str) -> bool {
        let mut ignored = false;
        for pattern in &self.patterns {
            if pattern.takes_back == ignored && pattern.matches_or_holds(path) {
                ignored = !pattern.takes_back;
            }
        }
        ignored
    }

    /// Whether something in that folder, which is left out itself, may be taken back.
    pub(crate) fn may_be_in(&self, folder: &str) -> bool {
        let folder = format!("{folder}/");
        let in_it = |pattern: &Pattern| {
            let has_wildcards = pattern.tokens.iter().any(|token| !matches!(token, Token::Char(_)));
            has_wildcards || format!("{}/", pattern.text).starts_with(&folder)
        };
        self.patterns.iter().any(|pattern| pattern.takes_back && in_it(pattern))
    }
}

impl Pattern {
    fn read(line: &str) -> Option<Self> {
        let (line, takes_back) = match line.strip_prefix('!') {
            Some(rest) => (rest.trim(), true),
            None => (line, false),
        };
        let text = clean(line)?;
        let tokens = tokens(&text);
        Some(Self { text, takes_back, tokens })
    }

    /// Whether it matches the path, or a folder that the path is in.
    fn matches_or_holds(&self, path: &str) -> bool {
        let folders = path.match_indices('/').map(|(at, _)| &path[..at]);
        folders.chain([path]).any(|path| self.matches(path))
    }

    fn matches(&self, path: &str) -> bool {
        let text: Vec<char> = path.chars().collect();
        // Up to which characters the tokens so far may reach: no pattern takes longer than its length times the path's.
        let mut reached = vec![false; text.len() + 1];
        reached[0] = true;
        for token in &self.tokens {
            let mut next = vec![false; text.len() + 1];
            let mut open = false;
            for at in 0..=text.len() {
                match token {
                    Token::Some => {
                        open = reached[at] || (open && at > 0 && text[at - 1] != '/');
                        next[at] = open;
                    }
                    Token::All => {
                        open |= reached[at];
                        next[at] = open;
                    }
                    Token::Folders => {
                        next[at] = reached[at] || (open && at > 0 && text[at - 1] == '/');
                        open |= reached[at];
                    }
                    one => next[at] = at > 0 && reached[at - 1] && one.is(text[at - 1]),
                }
            }
            reached = next;
        }
        reached[text.len()]
    }
}

impl Token {
    fn is(&self, c: char) -> bool {
        match self {
            Self::Char(own) => *own == c,
            Self::One => c != '/',
            Self::Class { but, ranges } => {
                c != '/' && ranges.iter().any(|(first, last)| (*first..=*last).contains(&c)) != *but
            }
            Self::Some | Self::Folders | Self::All => false,
        }
    }
}

/// A path as Go's `filepath.Clean` has it, without a slash before or after it.
fn clean(path: &str) -> Option<String> {
    if path.is_empty() {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    Some(if parts.is_empty() { ".".to_owned() } else { parts.join("/") })
}

fn tokens(pattern: &str) -> Vec<Token> {
    let mut chars = pattern.chars().peekable();
    let mut tokens = Vec::new();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '*' if chars.next_if_eq(&'*').is_some() => {
                while chars.next_if_eq(&'*').is_some() {}
                let _ = chars.next_if_eq(&'/');
                if chars.peek().is_some() { Token::Folders } else { Token::All }
            }
            '*' => Token::Some,
            '?' => Token::One,
            '\\' => Token::Char(chars.next().unwrap_or('\\')),
            '[' => {
                let but = chars.next_if(|c| matches!(c, '^' | '!')).is_some();
                let mut ranges = Vec::new();
                while let Some(first) = chars.next().filter(|c| *c != ']') {
                    let last = match chars.next_if_eq(&'-') {
                        Some(_) => chars.next_if(|c| *c != ']').unwrap_or(first),
                        None => first,
                    };
                    ranges.push((first, last));
                }
                Token::Class { but, ranges }
            }
            c => Token::Char(c),
        });
    }
    tokens
}

/// The file that says what is left out of a context, of which the Dockerfile is there.
pub(super) fn dockerignore(context: &Path, dockerfile: Option<PathBuf>) -> Option<PathBuf> {
    let own = dockerfile.map(|mut path| {
        path.as_mut_os_string().push(DOCKERIGNORE);
        path
    });
    own.into_iter().chain([context.join(DOCKERIGNORE)]).find(|path| path.is_file())
}

impl BuildSpec {
    /// The file that says what of its context is left out: of the Dockerfile's own (`Dockerfile.dockerignore`), which BuildKit
    /// prefers, and the context's the one that is there.
    pub fn dockerignore(&self) -> Option<PathBuf> {
        let BuildContext::Folder(folder) = &self.context else { return None };
        dockerignore(folder, self.dockerfile_path())
    }

    /// Visits what is to be given to the engine of a context that is a folder: folders before what is in them, in the order of their
    /// names. Dockerfile and `.dockerignore` are always among it, as with docker's own command line. Blocks.
    ///
    /// # Errors
    /// What cannot be read, or the visitor's.
    pub fn visit_context(
        &self,
        mut visit: impl FnMut(&str, &Path, &fs::Metadata) -> io::Result<()>,
    ) -> io::Result<()> {
        let BuildContext::Folder(folder) = &self.context else { return Ok(()) };
        let mut ignored = match self.dockerignore() {
            Some(path) => Ignored::read(&fs::read_to_string(&path).map_err(|error| of(&path, &error))?),
            None => Ignored::default(),
        };
        ignored.keep(DOCKERIGNORE);
        if let Dockerfile::InContext(path) = &self.dockerfile {
            ignored.keep(&clean(path).unwrap_or_default());
        }
        // The last is the next; an explicit stack, because folders may be deep.
        let mut open = entries(folder, "")?;
        while let Some((name, path)) = open.pop() {
            let found = fs::symlink_metadata(&path).map_err(|error| of(&path, &error))?;
            let is_ignored = ignored.has(&name);
            if !is_ignored {
                visit(&name, &path, &found)?;
            }
            if found.is_dir() && (!is_ignored || ignored.may_be_in(&name)) {
                open.extend(entries(&path, &name)?);
            }
        }
        Ok(())
    }
}

/// What is in a folder, the last name first. What is no name of text has none in an archive that engines read.
fn entries(folder: &Path, name: &str) -> io::Result<Vec<(String, PathBuf)>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| of(folder, &error))? {
        let entry = entry.map_err(|error| of(folder, &error))?;
        let own = entry.file_name().into_string().map_err(|own| {
            io::Error::other(format!("{}: the name {} is not text", folder.display(), own.display()))
        })?;
        let name = if name.is_empty() { own } else { format!("{name}/{own}") };
        entries.push((name, entry.path()));
    }
    entries.sort_by(|a, b| b.0.cmp(&a.0));
    Ok(entries)
}

/// The same error with whose it is.
fn of(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_moby() {
        // Of moby's own tests of `patternmatcher`: pattern, path, whether it is left out.
        let table = [
            ("**", "file", true),
            ("**", "dir/file", true),
            ("**/", "file", true),
            ("**/**", "dir/file", true),
            ("dir/**", "dir/file", true),
            ("dir/**", "dir/dir2/file", true),
            ("dir/**", "dir", false),
            ("**/dir", "dir", true),
            ("**/dir", "dir/file", true),
            ("**/dir2/*", "dir/dir2/file", true),
            ("**/dir2/**", "dir/dir2/dir2/file.txt", true),
            ("**/*.txt", "file.txt", true),
            ("**/*.txt", "dir/file.txt", true),
            ("**file", "dir/file", true),
            ("**/file", "dir/dir/file", true),
            ("a**", "a/file", true),
            ("a**/b", "a/x/b", true),
            ("a**/b", "ab", true),
            ("*", "dir/file", true),
            ("*.go", "dir/file.go", false),
            ("file*.go", "file1.go", true),
            ("a[b-d]e", "ace", true),
            ("a[b-d]e", "aze", false),
            ("a[^b-d]e", "aze", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("a?b", "a/b", false),
            ("a?b", "axb", true),
            ("/abc.def", "abc.def", true),
            ("abc.def", "abcZdef", false),
            ("abc/", "abc", true),
            ("./abc", "abc", true),
            ("a/../abc", "abc", true),
            ("docs", "docs/a/b", true),
            ("doc", "docs/a", false),
            ("# comment", "# comment", false),
            ("!x", "x", false),
        ];
        for (pattern, path, is) in table {
            assert_eq!(Ignored::read(pattern).has(path), is, "{pattern:?} of {path:?}");
        }
    }

    #[test]
    fn the_last_that_matches_decides() {
        let ignored = Ignored::read("*\n!src\nsrc/*.tmp\n! src/keep.tmp\n\n#x");
        for (path, is) in [
            ("README", true),
            ("src", false),
            ("src/main.rs", false),
            ("src/a.tmp", true),
            ("src/keep.tmp", false),
            ("target/src", true),
        ] {
            assert_eq!(ignored.has(path), is, "{path}");
        }
        assert!(Ignored::read("a\n!a/b/c").may_be_in("a/b"));
        assert!(!Ignored::read("a\n!b/c").may_be_in("a"));
    }

    #[test]
    fn a_long_pattern_takes_no_time() {
        let ignored = Ignored::read(&format!("{}b", "**/*a".repeat(50)));
        assert!(!ignored.has(&"a/".repeat(100)));
    }
}
