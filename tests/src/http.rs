//! A minimal HTTP/1.1 for the backend, the sink and the load generator: one message at a time, bodies by
//! Content-Length.

use std::io;

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time::Duration,
};

/// Longest accepted head or body.
const LIMIT: usize = 4 * 1024 * 1024;

/// Timeout of an answer.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// A request or a response: its first line, its headers (names in lower case) and its body.
#[derive(Debug, Clone, Default)]
pub struct Message {
    pub start: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Message {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The second word of the first line: a request's path, a response's status.
    pub fn second(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// The status of a response; 0 if the first line is not a status line.
    pub fn status(&self) -> u16 {
        self.second().parse().unwrap_or_default()
    }

    /// True when the sender will not use the connection again.
    pub fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// Reads the next message of a connection; `None` at a regular end. `buffer` keeps the bytes of the next message. If
/// the future is dropped, nothing is lost: a message leaves the buffer only when it is complete.
pub async fn read<S: AsyncRead + Unpin>(stream: &mut S, buffer: &mut Vec<u8>) -> io::Result<Option<Message>> {
    let head = loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if !fill(stream, buffer).await? {
            return if buffer.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
    };
    let mut message = parse(buffer.get(..head).unwrap_or_default());
    if message.header("transfer-encoding").is_some() {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "chunked body"));
    }
    let length: usize = message.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    let start = head + 4;
    if length > LIMIT {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "body too long"));
    }
    while buffer.len() < start + length {
        if !fill(stream, buffer).await? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    message.body = buffer.drain(..start + length).skip(start).collect();
    Ok(Some(message))
}

fn parse(head: &[u8]) -> Message {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let start = lines.next().unwrap_or_default().to_owned();
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned())).collect();
    Message { start, headers, body: Vec::new() }
}

async fn fill<S: AsyncRead + Unpin>(stream: &mut S, buffer: &mut Vec<u8>) -> io::Result<bool> {
    if buffer.len() > 2 * LIMIT {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "message too long"));
    }
    buffer.reserve(4096);
    Ok(stream.read_buf(buffer).await? > 0)
}
