//! In processes of their own: what the sink does when the process or the image lacks something.

use std::env;
use std::process::Command;
use std::time::Duration;

use kulta_fetch::{Sink, SinkConfig, SinkError};

const NOWHERE: &str = "/nowhere";

fn config(url: &str) -> SinkConfig {
    SinkConfig { url: url.to_owned(), timeout: Duration::from_secs(1) }
}

#[test]
fn a_process_without_a_tls_provider_is_told_instead_of_stopped() {
    let error = Sink::new(config("https://events.example/")).err().unwrap();

    assert!(matches!(error, SinkError::NoTlsProvider), "{error:?}");
}

/// Runs itself again, because the place of certificates is read from the environment.
#[test]
fn an_image_without_certificates_serves_plain_http_and_says_what_https_lacks() {
    if env::var("SSL_CERT_FILE").as_deref() != Ok(NOWHERE) {
        let again = Command::new(env::current_exe().unwrap())
            .args(["--exact", "an_image_without_certificates_serves_plain_http_and_says_what_https_lacks"])
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
