//! The page that says what is supported, made from the registry.

use std::fmt::Write;

use super::registry;

/// `docs/onnx.md` up to the conformance cases: every operator with its domain, its first version, the operands that must be public, and limits.
#[must_use]
pub fn reference_page() -> String {
    let mut rows: Vec<_> = registry::all().collect();
    rows.sort_by_key(|spec| (spec.domain, spec.name));
    let mut page = String::new();
    for spec in rows {
        let domain = registry::domain_name(spec.domain);
        // Writing to a string cannot fail.
        let _ = writeln!(
            page,
            "| {} | {domain} | {} | {} | {} |",
            spec.name, spec.since, spec.public, spec.note
        );
    }
    page
}
