//! Where a service is.

use std::str::FromStr;

/// Where a service is: the party's name in the roster, and its address for encrypted inference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub(super) party: String,
    pub(super) address: String,
}

impl FromStr for Server {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('@') {
            Some((party, address)) if !party.is_empty() && address.contains(':') => Ok(Self {
                party: party.to_owned(),
                address: address.to_owned(),
            }),
            _ => Err("write PARTY@HOST:PORT".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_party_at_an_address() {
        let server: Server = "north@127.0.0.1:7443".parse().unwrap();
        assert_eq!(
            (&*server.party, &*server.address),
            ("north", "127.0.0.1:7443")
        );
        for wrong in ["127.0.0.1:7443", "@127.0.0.1:7443", "north@localhost"] {
            assert!(
                wrong
                    .parse::<Server>()
                    .unwrap_err()
                    .contains("PARTY@HOST:PORT")
            );
        }
    }
}
