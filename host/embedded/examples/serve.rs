//! Serves an empty cluster on a loopback address, for kubectl: `cargo run -p kulta-embedded --example serve --
//! 127.0.0.1:8001`.

use std::io;

use kulta_embedded::clock::Clock;
use kulta_embedded::server::Server;
use kulta_embedded::store::{Settings, Store};
use tokio::net::TcpListener;

const SEED: u64 = 1;

#[tokio::main]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let listener = TcpListener::bind(address).await?;
    io::Write::write_all(&mut io::stdout(), format!("http://{}\n", listener.local_addr()?).as_bytes())?;
    Server::new(Store::new(Settings::new(Clock::wall(), SEED))).serve(listener).await
}
