//! Errors as one line for people.

use std::error::Error;

/// An error with its causes, each once: some errors state their cause already, others leave it out.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::config::ConfigError;

    #[test]
    fn every_cause_is_told_once() {
        let source = io::Error::other("gone");
        let error = ConfigError::File {
            path: "party.toml".into(),
            source,
        };
        assert_eq!(chain(&error), "party.toml: gone");
        let error = anyhow::Error::from(error).context("cannot serve");
        assert_eq!(chain(error.as_ref()), "cannot serve: party.toml: gone");
    }
}
