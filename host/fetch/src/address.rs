//! The addresses that may be connected to. A name is resolved and checked in one step, so that the checked address is
//! the one that is used.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Metadata services outside 169.254.0.0/16 that give any pod of a node the node's credentials (AWS and most others are
/// inside it).
const METADATA_V4: [Ipv4Addr; 3] = [
    // Alibaba.
    Ipv4Addr::new(100, 100, 100, 200),
    // Azure's wire server.
    Ipv4Addr::new(168, 63, 129, 16),
    // Oracle's older service.
    Ipv4Addr::new(192, 0, 0, 192),
];
/// AWS: instance metadata (::254), containers' credentials (::23) and their neighbours.
const METADATA_AWS: [u16; 2] = [0xfd00, 0x0ec2];
/// Google.
const METADATA_GOOGLE: Ipv6Addr = Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254);

/// NAT64 (RFC 6052), and IPv4-compatible and -mapped addresses: an IPv4 address in the last 32 bits.
const EMBEDDING: [[u16; 6]; 3] = [[0x64, 0xff9b, 0, 0, 0, 0], [0; 6], [0, 0, 0, 0, 0, 0xffff]];
/// 6to4 (RFC 3056): an IPv4 address after the first 16 bits.
const SIX_TO_FOUR: u16 = 0x2002;

#[derive(Clone, Debug, Default)]
pub(crate) struct AddressRules {
    pub loopback: bool,
    pub denied: Vec<IpNet>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Forbidden {
    #[error("is no address to connect to")]
    Unspecified,
    #[error("is link-local")]
    LinkLocal,
    #[error("is a cloud's metadata service")]
    Metadata,
    #[error("is a loopback address, which is not allowed")]
    Loopback,
    #[error("is on the deny list")]
    Listed,
}

/// The addresses of a host are forbidden; the error names one.
#[derive(Debug, thiserror::Error)]
#[error("{host} is at {address}, which {why}")]
pub(crate) struct AddressDenied {
    pub host: String,
    pub address: IpAddr,
    pub why: Forbidden,
}

impl AddressRules {
    pub fn check(&self, address: IpAddr) -> Result<(), Forbidden> {
        self.check_one(address)?;
        match address {
            IpAddr::V6(address) => embedded(address).map_or(Ok(()), |inner| self.check_one(inner.into())),
            IpAddr::V4(_) => Ok(()),
        }
    }

    fn check_one(&self, address: IpAddr) -> Result<(), Forbidden> {
        let (link_local, metadata) = match address {
            IpAddr::V4(address) => (address.is_link_local(), METADATA_V4.contains(&address)),
            IpAddr::V6(address) => (
                address.is_unicast_link_local(),
                address.segments().starts_with(&METADATA_AWS) || address == METADATA_GOOGLE,
            ),
        };
        // Linux routes all of 0.0.0.0/8 that it accepts to this host.
        let unspecified =
            address.is_unspecified() || matches!(address, IpAddr::V4(v4) if v4.octets().starts_with(&[0]));
        if link_local {
            Err(Forbidden::LinkLocal)
        } else if metadata {
            Err(Forbidden::Metadata)
        } else if address.is_loopback() && !self.loopback {
            Err(Forbidden::Loopback)
        } else if unspecified {
            Err(Forbidden::Unspecified)
        } else if self.denied.iter().any(|net| net.contains(&address)) {
            Err(Forbidden::Listed)
        } else {
            Ok(())
        }
    }

    /// A host that is written as an address is never resolved, so it is checked here.
    pub fn check_literal(&self, url: &Url) -> Result<(), AddressDenied> {
        let host = url.host_str().unwrap_or_default();
        match host.trim_matches(['[', ']']).parse() {
            Ok(address) => self.check(address).map_err(|why| AddressDenied { host: host.to_owned(), address, why }),
            Err(_) => Ok(()),
        }
    }

    /// An error if one of the addresses is forbidden.
    pub fn check_all(&self, host: &str, addresses: impl Iterator<Item = IpAddr>) -> Result<(), AddressDenied> {
        for address in addresses {
            self.check(address).map_err(|why| AddressDenied { host: host.to_owned(), address, why })?;
        }
        Ok(())
    }

    /// The addresses of `addresses` that may be connected to; an error if there are none.
    fn allowed(&self, host: &str, addresses: Addrs) -> Result<Vec<SocketAddr>, AddressDenied> {
        let mut denied = None;
        let allowed: Vec<_> = addresses
            .filter(|socket| match self.check(socket.ip()) {
                Ok(()) => true,
                Err(why) => {
                    denied = Some(AddressDenied { host: host.to_owned(), address: socket.ip(), why });
                    false
                }
            })
            .collect();
        match denied {
            Some(denied) if allowed.is_empty() => Err(denied),
            _ => Ok(allowed),
        }
    }
}

/// `::` and `::1` also count as embedding an IPv4 address; this is harmless, because both are checked as IPv6 addresses
/// first.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    if a == SIX_TO_FOUR {
        return Some(v4(b, c));
    }
    // `::1` allowed as loopback must not be rejected as 0.0.0.1.
    (EMBEDDING.contains(&[a, b, c, d, e, f]) && !address.is_loopback()).then(|| v4(g, h))
}

/// Wraps another resolver and returns only allowed addresses.
pub(crate) struct CheckedResolver<R> {
    pub rules: Arc<AddressRules>,
    pub resolver: Arc<R>,
}

impl<R: Resolve + 'static> Resolve for CheckedResolver<R> {
    fn resolve(&self, name: Name) -> Resolving {
        let (rules, host) = (Arc::clone(&self.rules), name.as_str().to_owned());
        let resolving = self.resolver.resolve(name);
        Box::pin(async move {
            let allowed = rules.allowed(&host, resolving.await?)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// The operating system's resolver.
pub(crate) struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The connector sets the port later.
            let addresses: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rules: &AddressRules, address: &str) -> Option<Forbidden> {
        rules.check(address.parse().unwrap()).err()
    }

    #[test]
    fn link_local_and_metadata_addresses_are_never_allowed() {
        let generous = AddressRules { loopback: true, denied: vec![] };
        let cases = [
            ("169.254.169.254", Forbidden::LinkLocal),
            ("169.254.0.1", Forbidden::LinkLocal),
            ("fe80::1", Forbidden::LinkLocal),
            ("febf::1", Forbidden::LinkLocal),
            ("fd00:ec2::254", Forbidden::Metadata),
            ("fd20:ce::254", Forbidden::Metadata),
            ("100.100.100.200", Forbidden::Metadata),
            ("168.63.129.16", Forbidden::Metadata),
            ("0.0.0.0", Forbidden::Unspecified),
            ("0.1.2.3", Forbidden::Unspecified),
            ("::", Forbidden::Unspecified),
        ];

        for (address, why) in cases {
            assert_eq!(check(&generous, address), Some(why), "{address}");
        }
    }

    #[test]
    fn an_ipv4_address_inside_an_ipv6_address_is_checked_too() {
        let strict = AddressRules::default();

        for address in ["::ffff:169.254.169.254", "::169.254.169.254", "64:ff9b::169.254.169.254", "2002:a9fe:a9fe::1"]
        {
            assert_eq!(check(&strict, address), Some(Forbidden::LinkLocal), "{address}");
        }
        assert_eq!(check(&strict, "::ffff:127.0.0.1"), Some(Forbidden::Loopback));
    }

    #[test]
    fn loopback_is_allowed_only_by_the_settings() {
        let (strict, generous) = (AddressRules::default(), AddressRules { loopback: true, denied: vec![] });

        for address in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(
                (check(&strict, address), check(&generous, address)),
                (Some(Forbidden::Loopback), None),
                "{address}"
            );
        }
    }

    #[test]
    fn only_addresses_on_the_deny_list_are_rejected() {
        let rules = AddressRules { loopback: false, denied: vec!["10.96.0.0/12".parse().unwrap()] };

        let answers = ["10.96.0.1", "::ffff:10.96.0.1", "10.1.0.1", "8.8.8.8", "2001:db8::1"].map(|a| check(&rules, a));

        assert_eq!(answers, [Some(Forbidden::Listed), Some(Forbidden::Listed), None, None, None]);
    }

    #[test]
    fn an_address_in_a_url_is_checked_in_every_spelling() {
        let strict = AddressRules::default();
        let spellings = [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f.0.0.1/",
            "http://0177.0.0.1/",
            "http://127.0.0.1./",
            "http://[::1]:80/",
            "http://[::ffff:7f00:1]/",
            "http://%31%32%37.0.0.1/",
        ];

        for spelling in spellings {
            assert!(strict.check_literal(&spelling.parse().unwrap()).is_err(), "{spelling}");
        }
    }

    #[test]
    fn behind_a_proxy_one_forbidden_address_of_a_name_is_enough_to_deny_it() {
        let addresses = ["192.0.2.1", "169.254.169.254"].map(|address| address.parse().unwrap());

        let error = AddressRules::default().check_all("metrics.example", addresses.into_iter()).unwrap_err();

        assert_eq!(error.to_string(), "metrics.example is at 169.254.169.254, which is link-local");
    }

    /// Always returns the same addresses.
    struct Fixed(Vec<SocketAddr>);

    impl Resolve for Fixed {
        fn resolve(&self, _: Name) -> Resolving {
            let addresses = self.0.clone();
            Box::pin(async move { Ok(Box::new(addresses.into_iter()) as Addrs) })
        }
    }

    async fn resolve(addresses: &[&str]) -> Result<Vec<SocketAddr>, String> {
        let fixed = Fixed(addresses.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 0)).collect());
        let resolver = CheckedResolver { rules: Arc::default(), resolver: Arc::new(fixed) };
        resolver.resolve("metrics.example".parse().unwrap()).await.map(Iterator::collect).map_err(|e| e.to_string())
    }

    #[tokio::test]
    async fn only_the_allowed_addresses_of_a_name_are_connected_to() {
        let allowed = resolve(&["169.254.169.254", "192.0.2.1", "127.0.0.1"]).await;

        assert_eq!(allowed, Ok(vec!["192.0.2.1:0".parse().unwrap()]));
    }

    #[tokio::test]
    async fn a_name_with_only_forbidden_addresses_is_rejected_with_the_reason() {
        let error = resolve(&["169.254.169.254"]).await;

        assert_eq!(error, Err("metrics.example is at 169.254.169.254, which is link-local".into()));
    }
}
