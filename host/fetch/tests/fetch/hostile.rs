use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kulta_fetch::{Failure, Request, Response, Settings};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::server::{Server, fetch, get, ok, raw, redirect, settings};

const MEGABYTE: usize = 1024 * 1024;

/// Requests from a server that writes `parts` one after the other and then closes the connection.
async fn answered(parts: &'static [&'static [u8]]) -> Result<Response, Failure> {
    let url = raw(move |mut stream| async move {
        for part in parts {
            let _client_may_be_gone = stream.write_all(part).await;
        }
    })
    .await;
    fetch(settings(), get(url)).await
}

/// Requests from a server that writes `head` and then `part` for as long as the client reads.
async fn flooded(head: &'static str, part: Vec<u8>, pause: Duration) -> (Result<Response, Failure>, usize) {
    let (written, part) = (Arc::new(AtomicUsize::new(0)), Arc::new(part));
    let count = Arc::clone(&written);
    let url = raw(move |mut stream| {
        let (count, part) = (Arc::clone(&count), Arc::clone(&part));
        async move {
            let _client_may_be_gone = stream.write_all(head.as_bytes()).await;
            flood(&mut stream, &part, pause, &count).await;
        }
    })
    .await;
    let answer = fetch(settings(), Request { timeout: Duration::from_secs(2), ..get(url) }).await;
    (answer, written.load(Ordering::SeqCst))
}

async fn flood(stream: &mut TcpStream, part: &[u8], pause: Duration, written: &AtomicUsize) {
    while written.load(Ordering::SeqCst) < 50 * MEGABYTE && stream.write_all(part).await.is_ok() {
        written.fetch_add(part.len(), Ordering::SeqCst);
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
}

fn chunk() -> Vec<u8> {
    [b"10000\r\n".as_slice(), &vec![b'x'; 0x10000], b"\r\n"].concat()
}

#[tokio::test]
async fn a_body_of_50_megabytes_is_read_up_to_the_limit() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

    let (answer, written) = flooded(head, chunk(), Duration::ZERO).await;

    assert_eq!(answer, Err(Failure::TooLarge(Settings::default().body_limit as u64)));
    // Plus the buffers of the two sockets.
    assert!(written < 20 * MEGABYTE, "{written}");
}

#[tokio::test]
async fn a_body_with_a_too_large_content_length_is_not_read() {
    let answer = answered(&[b"HTTP/1.1 200 OK\r\ncontent-length: 52428800\r\n\r\n"]).await;

    assert_eq!(answer, Err(Failure::TooLarge(Settings::default().body_limit as u64)));
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_read_and_a_larger_one_is_not() {
    let (fits, over) = (Server::start(|_| ok("0123456789")).await, Server::start(|_| ok("0123456789+")).await);
    let limit = || Settings { body_limit: 10, ..settings() };

    let answers = (fetch(limit(), get(&fits.url)).await, fetch(limit(), get(&over.url)).await);

    assert_eq!(answers.0.unwrap().body, "0123456789");
    assert_eq!(answers.1, Err(Failure::TooLarge(10)));
}

#[tokio::test]
async fn a_body_without_a_content_length_is_counted() {
    let url = raw(|mut stream| async move {
        let answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nb\r\n0123456789+\r\n0\r\n\r\n";
        stream.write_all(answer).await.unwrap();
    })
    .await;

    let answer = fetch(Settings { body_limit: 10, ..settings() }, get(url)).await;

    assert_eq!(answer, Err(Failure::TooLarge(10)));
}

#[tokio::test]
async fn a_failure_is_short_even_for_a_very_long_redirect() {
    let server = Server::start(|_| redirect(302, format!("http://127.0.0.1:1/{}", "\u{e4}".repeat(10_000)))).await;

    let failure = fetch(settings(), get(&server.url)).await.unwrap_err();

    let Failure::Failed(why) = failure else { panic!("{failure:?}") };
    assert!((1..=1024).contains(&why.len()), "{} bytes", why.len());
}

#[tokio::test]
async fn a_slow_body_does_not_exceed_the_timeout() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n";

    let (answer, written) = flooded(head, b"x".to_vec(), Duration::from_millis(20)).await;

    assert_eq!(answer, Err(Failure::Timeout));
    assert!(written > 10, "{written}");
}

#[tokio::test]
async fn endless_headers_are_a_failure() {
    let (answer, written) = flooded("HTTP/1.1 200 OK\r\n", b"x-more: and more\r\n".repeat(100), Duration::ZERO).await;

    assert!(matches!(answer, Err(Failure::Failed(_))), "{answer:?}");
    assert!(written < 20 * MEGABYTE, "{written}");
}

#[tokio::test]
async fn slow_headers_do_not_exceed_the_timeout() {
    let (answer, _) = flooded("HTTP/1.1 200 OK\r\nx-more: ", b"x".to_vec(), Duration::from_millis(20)).await;

    assert_eq!(answer, Err(Failure::Timeout));
}

#[tokio::test]
async fn interim_responses_do_not_exceed_the_timeout() {
    let promise = b"HTTP/1.1 102 Processing\r\n\r\n".to_vec();

    let (answer, _) = flooded("", promise, Duration::from_millis(5)).await;

    assert!(matches!(answer, Err(Failure::Timeout | Failure::Failed(_))), "{answer:?}");
}

#[tokio::test]
async fn invalid_http_is_a_failure() {
    let cases: [&'static [&'static [u8]]; 8] = [
        &[],
        &[b"SSH-2.0-OpenSSH_9.6\r\n"],
        &[b"\x00\xff\x00\xff"],
        &[b"HTTP/1.1 999999 \r\n\r\n"],
        &[b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n"],
        &[b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"],
        &[b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"],
        &[b"HTTP/1.1 200 OK\r\n"],
    ];

    for case in cases {
        let answer = answered(case).await;

        assert!(matches!(answer, Err(Failure::Failed(_))), "{case:?}: {answer:?}");
    }
}

#[tokio::test]
async fn an_incomplete_body_is_a_failure() {
    let cases: [&'static [&'static [u8]]; 5] = [
        &[b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"],
        &[b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhalf"],
        &[b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"],
        &[b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnone\r\nhalf\r\n0\r\n\r\n"],
        &[b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nhalf\r\n0\r\n\r\n"],
    ];

    for case in cases {
        let answer = answered(case).await;

        assert!(matches!(answer, Err(Failure::Failed(_))), "{case:?}: {answer:?}");
    }
}

#[tokio::test]
async fn a_compressed_answer_is_returned_unchanged() {
    let answer =
        answered(&[b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x8b\x08\x00"]).await;

    assert_eq!(answer.unwrap().body.as_ref(), b"\x1f\x8b\x08\x00");
}

#[tokio::test]
async fn a_server_that_closes_an_idle_connection_loses_no_answer() {
    let url = raw(|mut stream| async move {
        let _client_may_be_gone = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    })
    .await;
    let fetcher = crate::server::fetcher(settings());

    for _ in 0..5 {
        let answer = fetcher.fetch(get(&url), &kulta_fetch::Secrets::new()).await;

        assert!(answer.is_ok(), "{answer:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
