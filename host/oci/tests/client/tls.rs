use std::sync::Arc;

use kulta_oci::{Class, Client, Credentials, Error, Pulled, Settings};
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::server::{Server, install_tls};

/// A self-signed certificate for `localhost`, and its key, both in PEM.
fn identity() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

/// Serves TLS and redirects every request to `target`; returns its host, and the certificate to trust.
async fn sending_to(target: String) -> (String, String) {
    install_tls();
    let (certificate, key) = identity();
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let (acceptor, listener) = (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let host = format!("localhost:{}", listener.local_addr().unwrap().port());
    let answer = format!("HTTP/1.1 302 Found\r\nlocation: {target}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // The client closes the connection if it does not trust the certificate.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.unwrap() > 0 {}
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    (host, certificate)
}

async fn pull(host: &str, extra_ca: &str) -> Result<Pulled, Error> {
    install_tls();
    let client = Client::new(Settings { extra_ca: extra_ca.into(), ..Settings::default() }).unwrap();
    client.pull(&format!("{host}/acme/plugin:1").parse().unwrap(), None, &Credentials::Anonymous).await
}

#[tokio::test]
async fn a_registry_with_its_own_ca_is_trusted_by_the_setting_and_never_redirects_to_http() {
    let plain = Server::registry(|_| None).await;
    let (host, certificate) = sending_to(format!("http://{}/", plain.host)).await;

    let error = pull(&host, &certificate).await.unwrap_err();

    assert!(error.to_string().contains("which is not https"), "{error}");
    assert!(plain.received().is_empty());
}

#[tokio::test]
async fn an_unknown_certificate_is_reported_with_the_ca_setting() {
    let (host, _) = sending_to("/".into()).await;

    let error = pull(&host, &identity().0).await.unwrap_err();

    assert_eq!(error.class(), Class::Unavailable);
    assert!(error.to_string().contains("a CA of its own, configure its certificate"), "{error}");
}

#[tokio::test]
async fn plain_http_is_not_used_unless_it_is_allowed() {
    let plain = Server::registry(|_| None).await;

    let error = pull(&plain.host, &identity().0).await.unwrap_err();

    assert!(error.to_string().contains("plain http, allow it"), "{error}");
    assert!(plain.received().is_empty());
}
