//! Words and numbers made fit for a terminal.

use tacit_api::proto::JobState;

/// `text` without control characters: what comes over the network may not draw on the terminal.
pub fn printable(text: &str) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(visible).collect()
}

/// A number of bytes in the largest unit that leaves a digit before the point.
pub fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        _ => format!("{:.2} MB", count as f64 / 1e6),
    }
}

/// A state in one word.
pub fn state(state: JobState) -> &'static str {
    match state {
        JobState::Unspecified => "unknown",
        JobState::Queued => "queued",
        JobState::Offered => "offered",
        JobState::Running => "running",
        JobState::Done => "done",
        JobState::Failed => "failed",
        JobState::Cancelled => "cancelled",
    }
}

/// How long ago `unix_ms` was at `now_ms`, roughly.
pub fn ago(unix_ms: i64, now_ms: i64) -> String {
    let seconds = (now_ms - unix_ms).max(0) / 1000;
    match seconds {
        0..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words_read_well() {
        assert_eq!(printable("a\u{1b}[2J\nb"), "a [2J b");
        assert_eq!(
            [999, 1_500, 2_345_678].map(bytes),
            ["999 B", "1.5 kB", "2.35 MB"]
        );
        let ages = [5, 61, 7200, 90_000, -3].map(|s| ago(0, s * 1000));
        assert_eq!(
            ages,
            ["5 s ago", "1 min ago", "2 h ago", "1 d ago", "0 s ago"]
        );
    }
}
