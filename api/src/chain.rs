//! Errors as one line for people.

use std::error::Error;

/// An error with its causes, each once: some errors state their cause already, others leave it out.
pub fn chain(error: &(dyn Error + 'static)) -> String {
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

    #[derive(Debug, thiserror::Error)]
    enum Example {
        #[error("party.toml: {source}")]
        Says { source: io::Error },
        #[error("cannot serve")]
        Silent(#[source] Box<Self>),
    }

    #[test]
    fn every_cause_is_told_once() {
        let source = io::Error::other("gone");
        let error = Example::Says { source };
        assert_eq!(chain(&error), "party.toml: gone");
        let error = Example::Silent(Box::new(error));
        assert_eq!(chain(&error), "cannot serve: party.toml: gone");
    }
}
