//! The `longshore` command line, run as a user would.
