//! What a file's text depends on besides itself.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::mount::Base;

/// Where the relative paths of a file start, and its variables. A file that another one includes or extends has its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Context {
    pub(crate) folder: PathBuf,
    pub(crate) env: BTreeMap<String, String>,
}

impl Context {
    pub(crate) fn base(&self) -> Base<'_> {
        Base { folder: &self.folder, home: self.env.get("HOME").map(String::as_str) }
    }

    /// The same variables in the folder of a file.
    pub(crate) fn beside(&self, file: &Path) -> Self {
        Self { folder: file.parent().map(Path::to_owned).unwrap_or_default(), env: self.env.clone() }
    }
}
