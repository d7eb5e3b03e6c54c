//! Who made a job fail, when several parties report at once.
//!
//! When one party stops, its neighbours lose their connections, stop as well and blame each other down the line. The
//! reports therefore form a chain, and the culprit is at its end. A report is one party's word: the coordinator cannot
//! check it, and says whose word it passes on.

use std::collections::HashSet;
use std::time::Instant;

use tacit_api::proto::Cheating;

/// One party's account of a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// Who says so.
    pub(crate) reporter: String,
    /// Whom it blames; itself, where nobody else is at fault.
    pub(crate) culprit: String,
    /// Why.
    pub(crate) reason: String,
    /// What it found, where it says that somebody cheated.
    pub(crate) cheating: Option<Cheating>,
}

/// The reports of one job's failure.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    /// When the first one came.
    pub(crate) since: Option<Instant>,
    list: Vec<Report>,
}

impl Reports {
    /// Adds a report; only the first of each party counts.
    pub(crate) fn add(&mut self, report: Report, now: Instant) {
        if self.by(&report.reporter).is_none() {
            self.since.get_or_insert(now);
            self.list.push(report);
        }
    }

    /// How many parties have reported.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    fn by(&self, reporter: &str) -> Option<&Report> {
        self.list.iter().find(|report| report.reporter == reporter)
    }

    /// What parties say was done by a cheater.
    pub(crate) fn cheating(&self) -> Vec<Cheating> {
        let found = self
            .list
            .iter()
            .filter_map(|report| report.cheating.clone());
        found.collect()
    }

    /// The culprit and a sentence about it: starting from the first report, whoever is blamed and blames another
    /// passes the blame on. Where parties found cheating, what they say comes before links that closed because of it, and
    /// nobody is named the culprit: each of them suspects two.
    pub(crate) fn verdict(&self) -> Option<(String, String)> {
        let found = self.cheating();
        if !found.is_empty() {
            let each = found.iter().map(|c| {
                format!(
                    "{} found cheating in {} and suspects {}",
                    c.reporter,
                    c.what,
                    c.suspects.join(" or ")
                )
            });
            let each: Vec<_> = each.collect();
            let text = format!("aborted, there is no result: {}", each.join("; "));
            return Some((String::new(), text));
        }
        let mut last = self.list.first()?;
        let mut visited = HashSet::from([last.reporter.as_str()]);
        while let Some(next) = self.by(&last.culprit) {
            if !visited.insert(&next.reporter) {
                break;
            }
            last = next;
        }
        let text = if last.culprit == last.reporter {
            format!("{} failed: {}", last.reporter, last.reason)
        } else {
            format!("{} reports: {}", last.reporter, last.reason)
        };
        Some((last.culprit.clone(), text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(reports: &[(&str, &str)]) -> String {
        let mut all = Reports::default();
        for (reporter, culprit) in reports {
            let report = Report {
                reporter: (*reporter).into(),
                culprit: (*culprit).into(),
                reason: format!("{culprit} closed the link"),
                cheating: None,
            };
            all.add(report, Instant::now());
        }
        all.verdict().map(|(culprit, _)| culprit).unwrap()
    }

    #[test]
    fn blame_is_followed_to_its_end() {
        assert_eq!(verdict(&[("north", "south")]), "south");
        assert_eq!(verdict(&[("north", "west"), ("west", "south")]), "south");
        assert_eq!(verdict(&[("west", "south"), ("north", "west")]), "south");
        assert_eq!(verdict(&[("north", "west"), ("west", "west")]), "west");
    }

    #[test]
    fn cheating_comes_before_closed_links_and_all_who_found_it_are_heard() {
        let mut all = Reports::default();
        let report = |reporter: &str, culprit: &str, suspects: &[&str]| Report {
            reporter: reporter.into(),
            culprit: culprit.into(),
            reason: "?".into(),
            cheating: (!suspects.is_empty()).then(|| Cheating {
                reporter: reporter.into(),
                what: "the proof of products".into(),
                suspects: suspects.iter().map(|&s| s.into()).collect(),
            }),
        };
        all.add(report("west", "north", &[]), Instant::now());
        all.add(report("north", "north", &["west", "south"]), Instant::now());
        all.add(report("south", "south", &["north", "west"]), Instant::now());
        let (culprit, text) = all.verdict().unwrap();
        assert_eq!(culprit, "");
        assert_eq!(
            text,
            "aborted, there is no result: north found cheating in the proof of products and suspects west or south; \
             south found cheating in the proof of products and suspects north or west"
        );
        assert_eq!(all.cheating().len(), 2);
    }

    #[test]
    fn a_circle_of_blame_ends_and_first_reports_count() {
        assert_eq!(verdict(&[("north", "west"), ("west", "north")]), "north");
        assert_eq!(verdict(&[("north", "west"), ("north", "south")]), "west");
    }
}
