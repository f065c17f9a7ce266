//! The connections of an endpoint, and how to learn that all is read that came by them.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// Serves connections. Those that are open when it is dropped are served until they end: by them
/// extensions are told of the end, with which they end themselves.
pub(super) struct Connections {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
    open: JoinSet<()>,
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.open.detach_all();
    }
}

impl Connections {
    /// Of a listener at this address.
    pub(super) fn new(listener: TcpListener, address: SocketAddr, router: Router) -> Self {
        Self { listener, address, router, open: JoinSet::new() }
    }

    /// Serves for ever. Answers each of `questions` when all connections that had been made by then
    /// have ended, and so all requests that came by them have begun.
    pub(super) async fn serve(mut self, mut questions: mpsc::Receiver<oneshot::Sender<()>>) {
        loop {
            tokio::select! {
                accepted = self.listener.accept() => self.take(accepted).await,
                Some(_ended) = self.open.join_next() => {}
                Some(question) = questions.recv() => {
                    self.ended().await;
                    let _gone = question.send(());
                }
            }
        }
    }

    async fn take(&mut self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        match accepted {
            Ok((stream, _)) => {
                // Small answers must not wait for the process's acknowledgement.
                let _ = stream.set_nodelay(true);
                let service = TowerToHyperService::new(self.router.clone());
                self.open.spawn(async move {
                    // A process may break a connection off as it likes.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
            // Out of file descriptors, mostly: some connection will end.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }

    async fn ended(&mut self) {
        // Connections are accepted in the order they were made: with one's own, all before it are.
        let Ok(own) = TcpStream::connect(self.address).await else { return };
        let Ok(end) = own.local_addr() else { return };
        loop {
            match self.listener.accept().await {
                Ok((_, peer)) if peer == end => break,
                other => self.take(other).await,
            }
        }
        while self.open.join_next().await.is_some() {}
    }
}
