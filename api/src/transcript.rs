//! Unambiguous byte strings to sign, hash and bind.

/// `domain` and then each part, all preceded by their lengths (u64, little endian): different lists of parts can never
/// give the same bytes, nor can two uses of one key, as each has its own domain.
///
/// A member's key also signs TLS handshakes and one certificate request. Those messages begin with 0x20 and 0x30; ours
/// begin with the length of a domain, which is shorter than 0x20.
pub(crate) fn transcript(domain: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in std::iter::once(domain.as_bytes()).chain(parts.iter().copied()) {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::transcript;

    #[test]
    fn boundaries_between_parts_matter() {
        assert_ne!(
            transcript("d", &[b"ab", b"c"]),
            transcript("d", &[b"a", b"bc"])
        );
        assert_ne!(transcript("d", &[b"a"]), transcript("d", &[b"a", b""]));
        assert_ne!(transcript("d", &[b"a"]), transcript("e", &[b"a"]));
    }
}
