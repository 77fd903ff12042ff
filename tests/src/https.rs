//! TLS in front of a server that speaks plain HTTP.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use anyhow::{Context, Result};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::{certificates::Authority, namespace::NODE_ADDRESS};

/// Listens on the node's address; ends when dropped.
#[derive(Debug)]
pub struct Https {
    pub address: SocketAddr,
    server: JoinHandle<()>,
}

impl Https {
    /// With a certificate for its address that `authority` signs.
    pub async fn start(authority: &Authority, upstream: SocketAddr) -> Result<Self> {
        Self::named(authority, &NODE_ADDRESS.to_string(), upstream).await
    }

    /// With a certificate for `name` that `authority` signs.
    pub async fn named(authority: &Authority, name: &str, upstream: SocketAddr) -> Result<Self> {
        crate::install_tls_provider();
        let pair = authority.server("https", vec![name.to_owned()])?;
        let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes()).collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).context("read the key")?;
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((IpAddr::V4(NODE_ADDRESS), 0)).await.context("listen for TLS")?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // A client that does not trust the certificate ends the connection, and its own error is what counts.
                    let (Ok(mut client), Ok(mut server)) =
                        (acceptor.accept(client).await, TcpStream::connect(upstream).await)
                    else {
                        return;
                    };
                    drop(copy_bidirectional(&mut client, &mut server).await);
                });
            }
        });
        Ok(Self { address, server })
    }
}

impl Drop for Https {
    fn drop(&mut self) {
        self.server.abort();
    }
}
