//! Asking a published port.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

/// Asks a server on this computer for `path` and returns the body of its answer.
///
/// # Errors
/// When nobody listens, the connection breaks, or the answer is not one of HTTP with status 200.
pub async fn http_get(port: u16, path: &str) -> io::Result<String> {
    let stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    get(stream, path).await
}

/// As [`http_get`], at a socket of the file system.
#[cfg(unix)]
pub(crate) async fn socket_get(socket: &Path, path: &str) -> io::Result<String> {
    get(tokio::net::UnixStream::connect(socket).await?, path).await
}

/// Deletes something of the server there.
#[cfg(unix)]
pub(crate) async fn socket_delete(socket: &Path, path: &str) -> io::Result<String> {
    ask(tokio::net::UnixStream::connect(socket).await?, "DELETE", path).await
}

#[cfg(not(unix))]
pub(crate) async fn socket_delete(socket: &Path, path: &str) -> io::Result<String> {
    socket_get(socket, path).await
}

#[cfg(not(unix))]
pub(crate) async fn socket_get(_socket: &Path, _path: &str) -> io::Result<String> {
    Err(io::ErrorKind::Unsupported.into())
}

async fn get(stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> io::Result<String> {
    ask(stream, "GET", path).await
}

async fn ask(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    method: &str,
    path: &str,
) -> io::Result<String> {
    stream.write_all(format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let unexpected = || io::Error::new(io::ErrorKind::InvalidData, format!("unexpected answer {answer:?}"));
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(unexpected)?;
    let status = head.split_whitespace().nth(1);
    if status == Some("200") { Ok(body.to_owned()) } else { Err(unexpected()) }
}

/// A port of this computer that is free now: the system chose it, and has it back.
///
/// # Errors
/// When the system has none.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
