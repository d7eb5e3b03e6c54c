//! Words of others, made fit for logs and terminals.

/// The longest reason that is kept, in characters.
const MAX_CHARS: usize = 400;

/// `text` in one line without control characters, cut where it is too long.
pub(crate) fn clean(text: &str) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    let mut clean: String = text.chars().take(MAX_CHARS).map(visible).collect();
    if text.chars().nth(MAX_CHARS).is_some() {
        clean.push('…');
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn a_party_cannot_draw_on_another_ones_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\nc"), "a [2Jb c");
        assert_eq!(clean(&"ä".repeat(1000)).chars().count(), 401);
    }
}
