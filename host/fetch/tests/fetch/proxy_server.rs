//! A small HTTP proxy: forwards requests, and tunnels connections that CONNECT asks for, always to one server. So a request
//! may name a host that exists nowhere.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

pub struct ProxyServer {
    /// Host and port.
    pub address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl ProxyServer {
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let record = Arc::clone(&heads);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(forward(stream, target, Arc::clone(&record)));
            }
        });
        Self { address, heads }
    }

    /// The first line of each connection's first request.
    pub fn request_lines(&self) -> Vec<String> {
        self.heads().iter().map(|head| head.lines().next().unwrap().to_owned()).collect()
    }

    /// With headers, in lower case.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn forward(mut client: TcpStream, target: SocketAddr, record: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if client.read_buf(&mut head).await.unwrap() == 0 {
            return;
        }
    }
    let text = String::from_utf8(head.clone()).unwrap();
    record.lock().unwrap().push(text.to_ascii_lowercase());
    let mut server = TcpStream::connect(target).await.unwrap();
    if text.starts_with("CONNECT ") {
        client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await.unwrap();
    } else {
        server.write_all(in_origin_form(&text).as_bytes()).await.unwrap();
    }
    // Either side may close its connection at any time.
    let _ended = copy_bidirectional(&mut client, &mut server).await;
}

/// A request as a server gets it: its target has no scheme and host. The server closes the connection after its answer, because only the
/// first request of a connection is rewritten.
fn in_origin_form(request: &str) -> String {
    let (method, rest) = request.split_once(' ').unwrap();
    let (_, from_host) = rest.split_once("://").unwrap();
    let (_, path) = from_host.split_once('/').unwrap();
    let (line, headers) = path.split_once("\r\n").unwrap();
    format!("{method} /{line}\r\nconnection: close\r\n{headers}")
}
