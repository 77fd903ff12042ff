//! The program in the images of test pods: an HTTP server that answers with its version, and behaves as its arguments say. It uses
//! nothing but std, so that it can be a static program in an image without files.
//!
//! `kulta-app pause` does nothing, as the first process of a pod. `kulta-app serve` serves, `kulta-app never-ready` serves and
//! is not ready, `kulta-app crash` ends at once, and `kulta-app out-of-memory` takes memory until it is killed. The variable
//! `VERSION` is the answers' header `x-version`. As the first process of a container it ignores SIGTERM, because the kernel
//! delivers to such a process only signals that it handles.

// Its log is the terminal's.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    process::ExitCode,
    thread,
    time::Duration,
};

/// The same as that of the simulated pods.
const PORT: u16 = 9898;
/// What `out-of-memory` takes at a time, in bytes.
const BITE: usize = 4 * 1024 * 1024;

fn main() -> ExitCode {
    let version = env::var("VERSION").unwrap_or_default();
    match env::args().nth(1).as_deref() {
        Some("pause") => loop {
            thread::park();
        },
        Some("serve") => serve(&version, true),
        Some("never-ready") => serve(&version, false),
        Some("crash") => {
            eprintln!("version {version} crashes");
            ExitCode::from(3)
        }
        Some("out-of-memory") => take_memory(),
        other => {
            eprintln!("the first argument is {other:?}, not pause, serve, never-ready, crash or out-of-memory");
            ExitCode::from(2)
        }
    }
}

fn take_memory() -> ExitCode {
    let mut taken = Vec::new();
    loop {
        taken.push(vec![1_u8; BITE]);
        println!("{} MiB", taken.len() * BITE / 1024 / 1024);
        thread::sleep(Duration::from_millis(5));
    }
}

fn serve(version: &str, ready: bool) -> ExitCode {
    let listener = match TcpListener::bind(("0.0.0.0", PORT)) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("cannot listen on port {PORT}: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("version {version} listens on port {PORT}");
    for stream in listener.incoming() {
        let version = version.to_owned();
        match stream {
            Ok(stream) => drop(thread::spawn(move || answer(stream, &version, ready))),
            Err(error) => eprintln!("accept: {error}"),
        }
    }
    ExitCode::SUCCESS
}

/// Answers the requests of a connection until the client closes it.
fn answer(stream: TcpStream, version: &str, ready: bool) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut closes = false;
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header)? == 0 || header == "\r\n" {
                break;
            }
            closes |= header.trim_end().eq_ignore_ascii_case("connection: close");
        }
        let status = if path == "/ready" && !ready { "503 Service Unavailable" } else { "200 OK" };
        let body = format!("{version}\n");
        let head = format!("HTTP/1.1 {status}\r\nx-version: {version}\r\ncontent-length: {}\r\n\r\n", body.len());
        writer.write_all(format!("{head}{body}").as_bytes())?;
        if closes {
            return Ok(());
        }
    }
}
