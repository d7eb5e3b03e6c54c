//! Names of members, jobs and data sets: short, and safe in files, certificates and terminals.

/// The longest name in characters, so that it fits one label of a DNS name.
const MAX_LEN: usize = 63;

/// Checks that `name` is a lower-case DNS label: letters, digits and inner hyphens, 1 to 63 characters.
pub(crate) fn check(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fits = (1..=MAX_LEN).contains(&name.len());
    if fits && name.chars().all(allowed) && !name.starts_with('-') && !name.ends_with('-') {
        Ok(())
    } else {
        Err(format!(
            "{:?} is not a name: use 1 to {MAX_LEN} lower-case letters, digits and inner hyphens",
            name.chars().take(MAX_LEN).collect::<String>()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn labels_pass_and_everything_else_fails() {
        for good in ["north", "a", "st-mary-2", "0", &"x".repeat(63)] {
            check(good).unwrap();
        }
        for bad in [
            "",
            "North",
            "-a",
            "a-",
            "a b",
            "ä",
            "a.b",
            "a/b",
            "a\n",
            &"x".repeat(64),
        ] {
            check(bad).unwrap_err();
        }
    }
}
