//! `tacit bench --html FILE`: the results as one page that needs nothing else, with charts, in light and dark.

mod curves;

use std::fmt::Write;

use super::bounds::Miss;
use super::curve::Point;
use super::report::Entry;

/// What a chart is of: its title, and the number of an entry.
type Quantity = (&'static str, fn(&Entry) -> f64, fn(f64) -> String);

/// The charts of a report.
const QUANTITIES: [Quantity; 4] = [
    ("Seconds, of the slowest party", |e| e.seconds, seconds),
    (
        "Processor seconds, of all parties",
        |e| e.cpu_seconds,
        seconds,
    ),
    ("Bytes, of all parties", |e| e.bytes as f64, bytes),
    ("Rounds", |e| e.rounds as f64, |n| format!("{n:.0}")),
];

/// Widths of a chart, in its own units.
const LABEL: f64 = 190.0;
const BARS: f64 = 430.0;
const NUMBER: f64 = 90.0;
/// The height of a bar.
const BAR: f64 = 14.0;
/// What lies between groups of bars.
const GAP: f64 = 10.0;

/// Colours of series, which differ for all kinds of sight (Wong, Nature Methods 8, 2011).
const COLOURS: [&str; 6] = [
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00",
];

/// The page: a chart for each quantity, those of the variants of comparisons, and all figures.
pub(super) fn page(entries: &[Entry], curves: &[Point]) -> String {
    let series = distinct(entries.iter().map(series));
    let works = distinct(entries.iter().map(work));
    let mut html = String::from(HEAD);
    html += "<ul class=legend>";
    for (name, colour) in series.iter().zip(COLOURS.iter().cycle()) {
        let name = escaped(name);
        put(
            &mut html,
            format_args!("<li><i style=\"background:{colour}\"></i>{name}"),
        );
    }
    html += "</ul>\n";
    for quantity in QUANTITIES {
        if entries.iter().any(|e| quantity.1(e) > 0.0) {
            html += &chart(entries, &series, &works, quantity);
        }
    }
    html += &curves::charts(curves);
    html += &table(entries);
    html + "</main>\n"
}

/// Bars on a logarithmic scale, a group for each work and one for each series.
fn chart(
    entries: &[Entry],
    series_of_all: &[String],
    works: &[String],
    (title, of, told): Quantity,
) -> String {
    let positive = entries.iter().map(of).filter(|&v| v > 0.0);
    let (least, most) = positive.fold((f64::MAX, 0.0f64), |(a, b), v| (a.min(v), b.max(v)));
    // A decade below the least, so that it has a bar too.
    let (low, high) = (
        least.log10().floor() - 1.0,
        most.log10().ceil().max(least.log10() + 1.0),
    );
    let x = |v: f64| ((v.log10() - low) / (high - low)).clamp(0.0, 1.0) * BARS;
    let mut bars = String::new();
    let mut y = 0.0;
    for name in works {
        let group = entries.iter().filter(|e| work(e) == *name);
        let group: Vec<&Entry> = group.filter(|e| of(e) > 0.0).collect();
        if group.is_empty() {
            continue;
        }
        let middle = y + BAR * group.len() as f64 / 2.0;
        let name = escaped(name);
        put(
            &mut bars,
            format_args!("<text class=label x={LABEL} dx=-8 y={middle}>{name}</text>"),
        );
        for entry in group {
            let place = series_of_all.iter().position(|s| *s == series(entry));
            let colour = COLOURS[place.unwrap_or(0) % COLOURS.len()];
            let (width, height) = (x(of(entry)).max(1.0), BAR - 2.0);
            let (end, middle) = (LABEL + width, y + BAR / 2.0);
            let (hint, number) = (escaped(&series(entry)), told(of(entry)));
            put(
                &mut bars,
                format_args!(
                    "<rect x={LABEL} y={y} width={width:.1} height={height} fill=\"{colour}\"><title>{hint}: \
                     {number}</title></rect><text x={end:.1} dx=5 y={middle}>{number}</text>"
                ),
            );
            y += BAR;
        }
        y += GAP;
    }
    let mut grid = String::new();
    for decade in (low as i32 + 1)..=(high as i32) {
        let at = LABEL + x(10f64.powi(decade));
        put(
            &mut grid,
            format_args!("<line x1={at:.1} x2={at:.1} y1=0 y2={y}></line>"),
        );
    }
    let width = LABEL + BARS + NUMBER;
    format!(
        "<figure><figcaption>{title} <small>(logarithmic, a line a decade)</small></figcaption>\n<svg viewBox=\"0 0 {width} {y}\" \
         role=img aria-label=\"{title}\">{grid}{bars}</svg></figure>\n"
    )
}

fn table(entries: &[Entry]) -> String {
    let mut html = String::from(
        "<table><thead><tr><th>operation<th>size<th>protocol<th>network<th>seconds<th>forecast<th>CPU s<th>forecast<th>rounds<th>bytes<th>B a value<th>offline bytes\
         <th>of it proofs, bytes<th>MiB<th>forecast<th>bound<th>max error</thead>\n<tbody>",
    );
    for e in entries {
        let proof = e.proof.map_or_else(String::new, |p| p.bytes.to_string());
        let each = e.bytes_per_value();
        let each = each.map_or_else(String::new, |b| format!("{b:.2}"));
        let mib = e.peak_memory_bytes as f64 / f64::from(1 << 20);
        let told = |of: fn(&Miss) -> f64| {
            let miss = e.forecast_error.as_ref().map(of);
            miss.map_or_else(String::new, |m| format!("{:+.0} %", 100.0 * m))
        };
        let (in_time, in_cpu) = (told(|m| m.seconds), told(|m| m.cpu_seconds));
        let in_memory = e.forecast_error.and_then(|m| m.memory);
        let in_memory = in_memory.map_or_else(String::new, |m| format!("{:+.0} %", 100.0 * m));
        let (bound, share) = e.bounds.binding();
        let share = 100.0 * share;
        put(
            &mut html,
            format_args!(
                "<tr><td>{}<td>{}<td>{}<td>{}<td>{:.6}<td>{in_time}<td>{:.6}<td>{in_cpu}<td>{}<td>{}<td>{each}<td>{}<td>{proof}<td>{mib:.0}<td>{in_memory}<td>{bound} {share:.0} %<td>{:.1e}\n",
                escaped(&e.op),
                e.size,
                escaped(&e.protocol),
                escaped(&e.net),
                e.seconds,
                e.cpu_seconds,
                e.rounds,
                e.bytes,
                e.offline_bytes,
                e.max_abs_error,
            ),
        );
    }
    html + "</tbody></table>\n"
}

/// What is compared: colours tell them apart.
fn series(entry: &Entry) -> String {
    format!("{}, {}", entry.protocol, entry.net)
}

/// What is done: bars of one stand together.
fn work(entry: &Entry) -> String {
    format!("{} {}", entry.op, entry.size)
}

fn distinct(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for name in names {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

fn seconds(s: f64) -> String {
    match s {
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 1e-3 => format!("{:.2} ms", s * 1e3),
        s => format!("{:.1} µs", s * 1e6),
    }
}

fn bytes(n: f64) -> String {
    match n {
        n if n >= 1e9 => format!("{:.2} GB", n / 1e9),
        n if n >= 1e6 => format!("{:.2} MB", n / 1e6),
        n if n >= 1e3 => format!("{:.1} kB", n / 1e3),
        n => format!("{n:.0} B"),
    }
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).ok(); // a string takes everything
}

const HEAD: &str = r#"<!doctype html>
<html lang=en>
<meta charset=utf-8>
<meta name=viewport content="width=device-width, initial-scale=1">
<title>tacit bench</title>
<style>
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fdfdfc; --line: #d9d9d6; --faint: #666 }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e6; --paper: #17181a; --line: #3a3b3e; --faint: #a0a0a0 } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 }
main { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
figure { margin: 2rem 0 }
figcaption { font-weight: 600; margin-bottom: .5rem }
small { font-weight: 400; color: var(--faint) }
svg { width: 100%; height: auto }
svg text { font-size: 11px; fill: var(--ink); dominant-baseline: central }
svg .label { text-anchor: end }
svg .middle { text-anchor: middle }
svg line { stroke: var(--line) }
polyline { fill: none; stroke-width: 2; stroke-linejoin: round }
polyline.auto { stroke: var(--ink); stroke-width: 7; stroke-opacity: .25; stroke-linecap: round }
.legend { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .3rem 1.2rem }
.legend i { display: inline-block; width: .9em; height: .9em; margin-right: .4em; border-radius: 2px }
.legend .auto { background: var(--ink); opacity: .25 }
table { border-collapse: collapse; font-size: 12px; width: 100%; font-variant-numeric: tabular-nums; display: block; overflow-x: auto }
th, td { text-align: right; padding: .25rem .5rem; border-bottom: 1px solid var(--line) }
th:first-child, td:first-child, th:nth-child(3), td:nth-child(3), th:nth-child(4), td:nth-child(4) { text-align: left }
</style>
<main>
<h1>tacit bench</h1>
<p>Three parties. Bytes and rounds are exact; seconds of <code>lan</code> and <code>wan</code> are those of a simulated network
alone, the same on every machine; all other seconds are of the machine that measured.</p>
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_shows_every_result_and_escapes_names() {
        let entry = |op: &str, protocol: &str, seconds: f64| Entry {
            op: op.into(),
            protocol: protocol.into(),
            net: "mem".into(),
            size: 9,
            seconds,
            bytes: 1_500_000,
            ..Entry::default()
        };
        let entries = [
            entry("mul", "rep3", 0.002),
            entry("mul", "rep3-malicious", 0.02),
            entry("a<b", "rep3", 3.0),
        ];
        let page = page(&entries, &[]);
        // Charts of seconds and bytes; nothing had rounds or processor time.
        assert_eq!(
            (page.matches("<svg").count(), page.matches("<rect").count()),
            (2, 6)
        );
        for text in [
            "2.00 ms",
            "20.00 ms",
            "3.00 s",
            "1.50 MB",
            "a&lt;b 9",
            "rep3-malicious, mem",
        ] {
            assert!(page.contains(text), "{text}");
        }
        assert!(!page.contains("a<b") && !page.contains("NaN") && !page.contains("inf"));
        assert!(!page.contains("http"), "it needs nothing else");
    }
}
