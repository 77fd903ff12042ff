//! The sink in a process without a TLS provider and in an image without certificates, each in a child process.

use std::env;
use std::process::Command;
use std::time::Duration;

use kulta_fetch::{Proxies, Sink, SinkConfig, SinkError};

const NOWHERE: &str = "/nowhere";

fn config(url: &str) -> SinkConfig {
    SinkConfig { url: url.to_owned(), timeout: Duration::from_secs(1), proxies: Proxies::default() }
}

#[test]
fn a_missing_tls_provider_is_an_error() {
    let error = Sink::new(config("https://events.example/")).err().unwrap();

    assert!(matches!(error, SinkError::NoTlsProvider), "{error:?}");
}

/// Runs itself in a child process, because the path of certificates is read from the environment.
#[test]
fn an_image_without_certificates_can_use_http_and_https_reports_what_is_missing() {
    if env::var("SSL_CERT_FILE").as_deref() != Ok(NOWHERE) {
        let again = Command::new(env::current_exe().unwrap())
            .args(["--exact", "an_image_without_certificates_can_use_http_and_https_reports_what_is_missing"])
            .envs([("SSL_CERT_FILE", NOWHERE), ("SSL_CERT_DIR", NOWHERE)])
            .output()
            .unwrap();
        assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stdout));
        return;
    }
    rustls::crypto::ring::default_provider().install_default().unwrap();

    let (plain, secure) = (Sink::new(config("http://events.example/")), Sink::new(config("https://events.example/")));

    assert!(plain.is_ok());
    let error = secure.err().unwrap().to_string();
    assert!(error.contains("No CA certificates"), "{error}");
}
