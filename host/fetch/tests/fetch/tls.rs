//! Each test runs itself in a child process, because the path of trusted certificates is read from the environment.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use kulta_fetch::{Failure, Request, Response};
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::server::{fetch, file, get, install_tls, settings};

const CERTIFICATES: &str = "SSL_CERT_FILE";

/// A self-signed certificate for `localhost`, and its key, both in PEM.
pub fn identity() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

/// Answers each request with `secure`.
pub async fn serve(certificate: &Path, key: &Path) -> String {
    install_tls();
    let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let (acceptor, listener) = (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // The client closes the connection if it does not trust the certificate.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.unwrap() > 0 {}
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecure").await.unwrap();
        }
    });
    url
}

/// In the child process, the result of a request to a server that the process trusts or not; `None` in the parent.
fn asked(name: &str, trusted: bool, skip_tls_verify: bool) -> Option<Result<Response, Failure>> {
    let [trust, certificate, key] = ["trust", "certificate", "key"].map(|kind| format!("{name}.{kind}"));
    let in_place = |name: &str| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    if env::var(CERTIFICATES).is_ok_and(|path| Path::new(&path) == in_place(&trust)) {
        return Some(tokio::runtime::Runtime::new().unwrap().block_on(async {
            let url = serve(&in_place(&certificate), &in_place(&key)).await;
            fetch(settings(), Request { skip_tls_verify, ..get(url) }).await
        }));
    }
    let (server, other) = (identity(), identity());
    std::fs::write(file(&trust), if trusted { &server.0 } else { &other.0 }).unwrap();
    std::fs::write(file(&certificate), server.0).unwrap();
    std::fs::write(file(&key), server.1).unwrap();
    let again = Command::new(env::current_exe().unwrap())
        .args(["--exact", &format!("tls::{name}")])
        .env(CERTIFICATES, in_place(&trust))
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&again.stdout);
    assert!(again.status.success() && said.contains("1 passed"), "{said}");
    None
}

#[test]
fn a_server_with_a_trusted_certificate_is_accepted() {
    let Some(answer) = asked("a_server_with_a_trusted_certificate_is_accepted", true, false) else { return };

    assert_eq!(answer.unwrap().body, "secure");
}

#[test]
fn a_server_with_an_unknown_certificate_is_a_failure() {
    let Some(answer) = asked("a_server_with_an_unknown_certificate_is_a_failure", false, false) else { return };

    assert!(matches!(&answer, Err(Failure::Failed(why)) if why.contains("certificate")), "{answer:?}");
}

#[test]
fn a_request_without_verification_accepts_an_unknown_certificate() {
    let name = "a_request_without_verification_accepts_an_unknown_certificate";
    let Some(answer) = asked(name, false, true) else { return };

    assert_eq!(answer.unwrap().body, "secure");
}
