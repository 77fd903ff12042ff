//! Requests of plugins against servers on the loopback interface.

#[cfg(test)]
mod answers;
#[cfg(test)]
mod aws;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod oauth2;
#[cfg(test)]
mod proxies;
#[cfg(test)]
mod proxy_server;
#[cfg(test)]
mod redirects;
#[cfg(test)]
mod rights;
#[cfg(test)]
mod server;
#[cfg(test)]
mod sharing;
#[cfg(test)]
mod tape;
#[cfg(test)]
mod tls;
