//! A connection to an engine for what the library does not do. Called by `greeting` and
//! `configuration`.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

use super::discovery::Endpoint;

/// Bytes to and from an engine.
pub(super) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Connects; an error for the kinds of endpoint that take more than a connection.
pub(super) async fn connect(endpoint: &Endpoint) -> io::Result<Box<dyn Connection>> {
    match endpoint {
        #[cfg(unix)]
        Endpoint::Unix(path) => Ok(Box::new(tokio::net::UnixStream::connect(path).await?)),
        Endpoint::Tcp(address) => Ok(Box::new(tokio::net::TcpStream::connect(address).await?)),
        _ => Err(io::Error::new(io::ErrorKind::Unsupported, "it is not asked on this kind of connection")),
    }
}
