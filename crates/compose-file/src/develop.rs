//! `develop`, and the commands that are run in a container that is there.

use std::{collections::BTreeMap, path::PathBuf};

use crate::{
    attribute::{one_or_more, record, words},
    read::Reader,
    yaml::Node,
};

record! {
    /// What is done while somebody works on a service.
    pub Develop {
        /// What happens when files change.
        "watch" pub watch: Vec<Watch>,
    }
}

record! {
    /// What happens when files change.
    pub Watch needs ["path", "action"] {
        /// The file or the folder.
        "path" pub path: PathBuf,
        /// What happens.
        "action" pub action: Option<WatchAction>,
        /// Where the files are inside.
        "target" pub target: Option<String>,
        /// What is run after them, with `sync+exec`; docker compose writes it even where there is none.
        "exec" pub exec: Hook,
        /// Only these, by pattern.
        "include" pub include: Vec<String> = one_or_more,
        /// None of these, by pattern.
        "ignore" pub ignore: Vec<String> = one_or_more,
        /// Whether all are copied before the first change.
        "initial_sync" pub initial_sync: bool,
    }
}

words! {
    /// What happens when files change.
    pub WatchAction {
        /// They are copied into the container.
        Sync = "sync",
        /// The image is made again.
        Rebuild = "rebuild",
        /// The container is restarted.
        Restart = "restart",
        /// They are copied, and the container is restarted.
        SyncRestart = "sync+restart",
        /// They are copied, and a command is run.
        SyncExec = "sync+exec",
    }
}

record! {
    /// A command that is run in a container that is there.
    pub Hook needs ["command"] {
        /// Its words.
        "command" pub command: Option<Vec<String>> = command,
        /// Who runs it; `None` is the container's user.
        "user" pub user: Option<String>,
        /// Whether it has all privileges.
        "privileged" pub privileged: bool,
        /// Where it runs.
        "working_dir" pub working_dir: Option<String>,
        /// Its environment besides the container's. `None` is a name that was to be inherited and is not set.
        "environment" pub environment: BTreeMap<String, Option<String>> = environment,
    }
}

fn command(reader: &mut Reader<'_>, node: &Node) -> Option<Option<Vec<String>>> {
    Some(reader.words(node))
}

fn environment(reader: &mut Reader<'_>, node: &Node) -> Option<BTreeMap<String, Option<String>>> {
    let context = reader.findings.context(node.place);
    let pairs = reader.pairs(node).into_iter();
    Some(
        pairs
            .map(|(key, value)| {
                let value = value.or_else(|| context.env.get(&key).cloned());
                (key, value)
            })
            .collect(),
    )
}
