//! What the variants of a comparison take, size by size: a chart for each gate and network, both axes logarithmic.

use super::{COLOURS, escaped, put, seconds};
use crate::bench::curve::Point;

/// The chart and its margins, in its own units.
const WIDTH: f64 = 710.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 32.0;
const BOTTOM: f64 = 40.0;
const TOP: f64 = 8.0;

/// All charts.
pub(super) fn charts(points: &[Point]) -> String {
    let mut html = String::new();
    for (k, first) in points.iter().enumerate() {
        let same = |p: &&Point| (&p.op, &p.net) == (&first.op, &first.net);
        if points.iter().position(|p| same(&p)) == Some(k) {
            html += &chart(&points.iter().filter(same).collect::<Vec<_>>());
        }
    }
    html
}

/// A logarithmic axis over whole decades.
struct Axis {
    decades: [i32; 2],
    /// Where the first decade begins and the last one ends.
    from: f64,
    to: f64,
}

impl Axis {
    fn of(values: impl Iterator<Item = f64>, [from, to]: [f64; 2]) -> Self {
        let (least, most) = values
            .filter(|&v| v > 0.0)
            .fold((f64::MAX, f64::MIN_POSITIVE), |(a, b), v| {
                (a.min(v), b.max(v))
            });
        let low = least.min(most).log10().floor() as i32;
        let high = (most.log10().ceil() as i32).max(low + 1);
        Self {
            decades: [low, high],
            from,
            to,
        }
    }

    fn at(&self, v: f64) -> f64 {
        let [low, high] = self.decades.map(f64::from);
        self.from + (v.log10() - low) / (high - low) * (self.to - self.from)
    }

    /// Each decade and where it is.
    fn lines(&self) -> impl Iterator<Item = (f64, f64)> {
        let decades = self.decades[0]..=self.decades[1];
        decades.map(|d| (10f64.powi(d), self.at(10f64.powi(d))))
    }
}

fn chart(points: &[&Point]) -> String {
    let Some(first) = points.first() else {
        return String::new();
    };
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let x = Axis::of(points.iter().map(|p| p.size as f64), [LEFT, right]);
    let all = points.iter().flat_map(|p| p.seconds.iter().map(|s| s.1));
    let y = Axis::of(all, [bottom, TOP]);
    let mut svg = String::new();
    for (size, at) in x.lines() {
        put(
            &mut svg,
            format_args!(
                "<line x1={at:.1} x2={at:.1} y1={TOP} y2={bottom}></line>\
                 <text class=middle x={at:.1} y={}>{}</text>",
                bottom + 12.0,
                crate::bench::figures::grouped(size as u64)
            ),
        );
    }
    for (time, at) in y.lines() {
        put(
            &mut svg,
            format_args!(
                "<line x1={LEFT} x2={right} y1={at:.1} y2={at:.1}></line>\
                 <text class=label x={LEFT} dx=-6 y={at:.1}>{}</text>",
                seconds(time)
            ),
        );
    }
    put(
        &mut svg,
        format_args!(
            "<text class=middle x={:.1} y={}>values</text>",
            (LEFT + right) / 2.0,
            bottom + 30.0
        ),
    );
    let mut legend = String::new();
    // What is taken lies below, wider, so that the variant that it is shows on it.
    let auto = points.iter().map(|p| (p.size, p.auto_seconds));
    svg += &line(&x, &y, auto, "class=auto");
    put(&mut legend, format_args!("<li><i class=auto></i>auto"));
    for ((k, (name, _)), colour) in first.seconds.iter().enumerate().zip(COLOURS.iter().cycle()) {
        let of = points
            .iter()
            .filter_map(|p| Some((p.size, p.seconds.get(k)?.1)));
        svg += &line(&x, &y, of, &format!("stroke=\"{colour}\""));
        let name = escaped(name);
        put(
            &mut legend,
            format_args!("<li><i style=\"background:{colour}\"></i>{name}"),
        );
    }
    let (op, net) = (escaped(&first.op), escaped(&first.net));
    let title = format!("Variants of a comparison: {op} over {net}, seconds of the network alone");
    format!(
        "<figure><figcaption>{title} <small>(both axes logarithmic)</small></figcaption>\n<ul class=legend>{legend}</ul>\n\
         <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img aria-label=\"{title}\">{svg}</svg></figure>\n"
    )
}

fn line(x: &Axis, y: &Axis, of: impl Iterator<Item = (usize, f64)>, style: &str) -> String {
    let mut points = String::new();
    for (size, time) in of {
        let (x, y) = (x.at(size as f64), y.at(time));
        put(&mut points, format_args!("{x:.1},{y:.1} "));
    }
    format!(
        "<polyline {style} points=\"{}\"></polyline>",
        points.trim_end()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(net: &str, size: usize, seconds: [f64; 2]) -> Point {
        Point {
            net: net.into(),
            op: "relu".into(),
            size,
            seconds: vec![("dcf", seconds[0]), ("depth 1", seconds[1])],
            auto_seconds: seconds[0].min(seconds[1]),
            best: "dcf",
            auto_is_best: true,
            run: true,
        }
    }

    #[test]
    fn each_network_has_a_chart_with_a_line_for_each_variant() {
        let points = [
            point("wan", 1, [0.05, 0.075]),
            point("wan", 1000, [0.5, 0.1]),
            point("lan", 1, [0.0002, 0.0003]),
        ];
        let html = charts(&points);
        assert_eq!(html.matches("<figure").count(), 2);
        assert_eq!(html.matches("<polyline").count(), 6);
        // 1 to 1,000 from left to right, 10 ms to 1 s from the bottom up: 0.1 s is in the middle.
        assert!(html.contains("678.0,114.0"), "{html}");
        assert!(html.contains(">1,000<") && html.contains("10.00 ms"));
        assert!(!html.contains("NaN") && !html.contains("inf"));
        assert_eq!(charts(&[]), "");
    }
}
