//! Which server is asked, and with which token.

use std::{
    io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use longshore::Config;
use longshore_server::{DEFAULT_ADDRESS, client::Client};

use crate::{args::Place, context::Context, exit::Failure};

/// A server that is to be asked.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) client: Client,
    pub(crate) url: String,
}

/// The folder of the state of the server of this computer.
pub(crate) fn state_folder(config: &Config) -> Option<PathBuf> {
    let below = || config.machine.state.as_ref().map(|folder| folder.join("serve"));
    config.serve.state.clone().or_else(below)
}

/// Finds the server that is meant. Does not ask it.
pub(crate) async fn find(place: &Place, context: &Context) -> Result<Server, Failure> {
    let mut flags = context.global.flags();
    flags.serve.state = place.state.as_ref().map(std::path::absolute).transpose()?;
    let state = state_folder(&context.config_with(flags).await?);
    let said = |name: &str| context.env.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
    let of_state = |name: &str| state.as_ref().map_or(Ok(None), |folder| read(&folder.join(name)));
    let told = of_state("address")?;
    let named = place.server.as_deref().or_else(|| said("LONGSHORE_SERVER")).map(str::to_owned);
    let url = named.or_else(|| told.clone()).unwrap_or_else(|| format!("http://{DEFAULT_ADDRESS}"));
    let token = match said("LONGSHORE_TOKEN") {
        Some(token) => Some(token.to_owned()),
        // Another computer's server is not to learn this one's.
        None if told.as_ref() == Some(&url) || is_here(&url) => of_state("token")?,
        None => None,
    };
    if token.as_ref().is_some_and(|token| !token.chars().all(|c| c.is_ascii_graphic())) {
        return Err(Failure::Usage("the token holds a character that cannot be in one".to_owned(), None));
    }
    Ok(Server { client: Client::new(&url, token)?, url })
}

/// What a file says, if it is there.
fn read(path: &Path) -> Result<Option<String>, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(Failure::Usage(
            format!("cannot read {}: {error}", path.display()),
            Some("name the server with --server, and give its token in LONGSHORE_TOKEN".to_owned()),
        )),
    }
}

/// Whether a URL leads to this computer.
fn is_here(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let is_loopback = host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    !authority.contains('@') && (is_loopback || host.eq_ignore_ascii_case("localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_of_this_computer_is_for_its_own_server() {
        for here in ["http://127.0.0.1:9105", "http://localhost:1/", "http://LOCALHOST", "http://[::1]:9105"]
        {
            assert!(is_here(here), "{here}");
        }
        for elsewhere in [
            "http://192.168.1.2:9105",
            "http://localhost.example:9105",
            "http://127.0.0.1.example",
            "http://127.0.0.1@example",
            "http://127.0.0.1:80@example",
            "http://example/127.0.0.1",
            "http://[2001:db8::1]:9105",
            "https://localhost",
            "localhost:9105",
            "",
        ] {
            assert!(!is_here(elsewhere), "{elsewhere}");
        }
    }
}
