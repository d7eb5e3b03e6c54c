//! How the parties compute.

use std::num::NonZeroU16;

use serde::{Deserialize, Deserializer};

/// How the parties compute: in a job file `protocol = "rep3-malicious"`, or a table where more is to be said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProtocolSpec {
    /// Whom the protocol protects from.
    pub name: Protocol,
    /// The variant of comparisons, for [`Protocol::Rep3`].
    pub comparison: Comparison,
    /// MiB that a party keeps for a proof before it is made, for [`Protocol::Rep3Malicious`]: less takes less memory and more
    /// rounds. What the engine takes by itself, where the file does not say.
    pub verify_every_mib: Option<u16>,
}

/// The protocols of three parties on replicated shares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// Semi-honest: at most one party is curious, and all do what the protocol says.
    #[default]
    Rep3,
    /// Malicious with abort: at most one party may do whatever it likes, and no honest one gives out a wrong value.
    Rep3Malicious,
}

impl Protocol {
    /// All, from the weakest protection.
    pub const ALL: [Self; 2] = [Self::Rep3, Self::Rep3Malicious];
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Rep3 => "rep3",
            Self::Rep3Malicious => "rep3-malicious",
        })
    }
}

/// The variants of a comparison, the only gate of [`Protocol::Rep3`] that has several: none is the best on every link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Comparison {
    /// The parties measure their links and take, for each tensor, the variant that takes least time on them: besides the two
    /// below one of three rounds and 241 bytes, and one of two rounds and 1824, which is computational.
    #[default]
    Auto,
    /// 41.75 bytes and five rounds a value, on every link.
    FewBytes,
    /// 49.75 bytes and four rounds.
    FewRounds,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Table {
    name: Protocol,
    comparison: Comparison,
    verify_every_mib: Option<NonZeroU16>,
}

impl<'de> Deserialize<'de> for ProtocolSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> serde::de::Visitor<'de> for Either {
            type Value = ProtocolSpec;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the name of a protocol, or a table with it")
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<ProtocolSpec, E> {
                use serde::de::IntoDeserializer;
                Ok(ProtocolSpec {
                    name: Protocol::deserialize(word.into_deserializer())?,
                    ..ProtocolSpec::default()
                })
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                map: A,
            ) -> Result<ProtocolSpec, A::Error> {
                let map = serde::de::value::MapAccessDeserializer::new(map);
                let table = Table::deserialize(map)?;
                Ok(ProtocolSpec {
                    name: table.name,
                    comparison: table.comparison,
                    verify_every_mib: table.verify_every_mib.map(NonZeroU16::get),
                })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct File {
        #[serde(default)]
        protocol: ProtocolSpec,
    }

    fn read(text: &str) -> Result<ProtocolSpec, String> {
        let file: Result<File, _> = toml::from_str(text);
        file.map(|f| f.protocol).map_err(|e| e.message().to_owned())
    }

    #[test]
    fn a_word_and_a_table_name_the_protocol() {
        assert_eq!(read(""), Ok(ProtocolSpec::default()));
        assert_eq!(read("").unwrap().name, Protocol::Rep3);
        for name in Protocol::ALL {
            let want = ProtocolSpec {
                name,
                ..ProtocolSpec::default()
            };
            assert_eq!(read(&format!("protocol = \"{name}\"")), Ok(want));
            assert_eq!(read(&format!("[protocol]\nname = \"{name}\"")), Ok(want));
        }
        assert_eq!(
            read("[protocol]\ncomparison = \"few-rounds\""),
            Ok(ProtocolSpec {
                comparison: Comparison::FewRounds,
                ..ProtocolSpec::default()
            })
        );
        let proofs = "[protocol]\nname = \"rep3-malicious\"\nverify_every_mib = ";
        let proofs = |mib: &str| read(&format!("{proofs}{mib}"));
        assert_eq!(proofs("64").unwrap().verify_every_mib, Some(64));
        for bad in [
            "protocol = \"rep4\"",
            "protocol = 3",
            "[protocol]\nrounding = 1",
            "[protocol]\nname = \"rep3-malicious\"\nverify_every_mib = 0",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let told = read("protocol = \"spdz\"").unwrap_err();
        assert!(told.contains("rep3-malicious"), "{told}");
    }
}
