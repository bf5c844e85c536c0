//! Plots as SVG: bars and lines, readable on a light and on a dark page.

use std::fmt::Write as _;

/// Width and height of a plot, in its own units.
const SIZE: (f64, f64) = (1000.0, 420.0);
/// Left, right, top and bottom margins.
const MARGINS: (f64, f64, f64, f64) = (84.0, 120.0, 48.0, 58.0);
/// Colours of the series, told apart by eyes of all kinds (Okabe and Ito), on light and dark.
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#888888"];
/// How colours of text and grid follow the page.
const STYLE: &str = "text{font:13px sans-serif;fill:#222}.t{font-weight:bold;font-size:15px}.g{stroke:#ccc}.a{stroke:#444}\
                     .b{fill:#fff}@media(prefers-color-scheme:dark){text{fill:#ddd}.g{stroke:#444}.a{stroke:#aaa}.b{fill:#161616}}";

/// Room above the highest bar for its number, which stands upright.
const BAR_ROOM: f64 = 1.15;

/// How values are laid along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// From 0 on.
    Linear,
    /// By powers of ten.
    Log,
}

/// One line or one colour of bars.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// Which colour: a server has the same in each plot.
    pub colour: usize,
    /// Points; for bars `x` is the number of the group.
    pub points: Vec<(f64, f64)>,
}

/// An axis.
#[derive(Clone, Debug)]
struct Axis {
    /// Linear or not.
    scale: Scale,
    /// Least and most.
    range: (f64, f64),
    /// Where marks stand.
    ticks: Vec<f64>,
    /// From which place to which on the plot.
    place: (f64, f64),
}

impl Axis {
    /// An axis for these values; its end is at least `room` times the largest.
    fn new(scale: Scale, values: impl Iterator<Item = f64>, place: (f64, f64), room: f64) -> Self {
        let (mut least, mut most) = (f64::INFINITY, 0.0f64);
        for value in values.filter(|&value| scale == Scale::Linear || value > 0.0) {
            (least, most) = (least.min(value), most.max(value));
        }
        if most <= 0.0 {
            (least, most) = (1.0, 1.0);
        }
        match scale {
            Scale::Linear => {
                let step = nice(most / 5.0);
                let count = (most * room / step).ceil();
                let ticks = (0..=count as usize).map(|i| i as f64 * step).collect();
                Self { scale, range: (0.0, count * step), ticks, place }
            }
            Scale::Log => {
                let (low, high) = (least.log10().floor() as i32, (most * room).log10().ceil() as i32);
                let high = high.max(low + 1);
                let ticks = (low..=high).map(|power| 10f64.powi(power)).collect();
                Self { scale, range: (10f64.powi(low), 10f64.powi(high)), ticks, place }
            }
        }
    }

    /// Where a value lies.
    fn at(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear => value / self.range.1,
            Scale::Log => (value.max(self.range.0) / self.range.0).log10() / (self.range.1 / self.range.0).log10(),
        };
        self.place.0 + share * (self.place.1 - self.place.0)
    }
}

/// 1, 2 or 5 times a power of ten, not less than a value.
fn nice(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0].iter().map(|factor| factor * power).find(|&step| step >= value * 0.999).unwrap_or(10.0 * power)
}

/// A number as people read it: 20 000 is 20 k.
pub fn short(value: f64) -> String {
    let (value, unit) = match value.abs() {
        large if large >= 1e6 => (value / 1e6, " M"),
        large if large >= 1e3 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let text = if value == 0.0 || value.abs() >= 100.0 {
        format!("{value:.0}")
    } else if value.abs() >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    };
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text };
    text + unit
}

/// Text as XML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Head, background, title and value axis.
fn frame(title: &str, axis_name: &str, y: &Axis) -> String {
    let (width, height) = SIZE;
    let (left, right) = (MARGINS.0, width - MARGINS.1);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n<title>{0}</title>\n\
         <style>{STYLE}</style>\n<rect class=\"b\" width=\"{width}\" height=\"{height}\"/>\n\
         <text class=\"t\" x=\"{left}\" y=\"24\">{0}</text>\n",
        escape(title)
    );
    for &tick in &y.ticks {
        let at = y.at(tick);
        let _ = writeln!(svg, "<line class=\"g\" x1=\"{left}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>");
        let _ = writeln!(
            svg,
            "<text text-anchor=\"end\" x=\"{}\" y=\"{:.1}\">{}</text>",
            left - 8.0,
            at + 4.0,
            short(tick)
        );
    }
    let middle = (y.place.0 + y.place.1) / 2.0;
    let _ = writeln!(
        svg,
        "<text text-anchor=\"middle\" transform=\"translate(18 {middle:.1}) rotate(-90)\">{}</text>",
        escape(axis_name)
    );
    svg
}

/// The names of the series with their colours, and the end of the file.
fn legend(svg: &mut String, series: &[Series]) {
    for (i, one) in series.iter().enumerate() {
        let (x, y) = (SIZE.0 - MARGINS.1 + 14.0, MARGINS.2 + 10.0 + 20.0 * i as f64);
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{}\" width=\"12\" height=\"12\" fill=\"{}\"/><text x=\"{}\" y=\"{}\">{}</text>",
            y - 10.0,
            COLOURS[one.colour % COLOURS.len()],
            x + 18.0,
            y + 1.0,
            escape(&one.name)
        );
    }
    svg.push_str("</svg>\n");
}

/// Where values stand on the plot, from bottom to top.
fn value_place() -> (f64, f64) {
    (SIZE.1 - MARGINS.3, MARGINS.2)
}

/// Bars in groups; each series has at most one bar in each group.
pub fn bars(title: &str, axis_name: &str, groups: &[String], scale: Scale, series: &[Series]) -> String {
    let y =
        Axis::new(scale, series.iter().flat_map(|one| one.points.iter().map(|point| point.1)), value_place(), BAR_ROOM);
    let mut svg = frame(title, axis_name, &y);
    let (left, right) = (MARGINS.0, SIZE.0 - MARGINS.1);
    let group_width = (right - left) / groups.len().max(1) as f64;
    let bar_width = group_width * 0.8 / series.len().max(1) as f64;
    let bottom = y.place.0;
    for (i, one) in series.iter().enumerate() {
        for &(group, value) in &one.points {
            let x = left + group_width * (group + 0.1) + bar_width * i as f64;
            let top = y.at(value);
            let _ = writeln!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{}\"><title>{}: {}</title></rect>",
                bar_width * 0.92,
                (bottom - top).max(0.5),
                COLOURS[one.colour % COLOURS.len()],
                escape(&one.name),
                short(value)
            );
            let _ = writeln!(
                svg,
                "<text style=\"font-size:10px\" transform=\"translate({:.1} {:.1}) rotate(-90)\">{}</text>",
                x + bar_width / 2.0 + 3.0,
                top - 4.0,
                short(value)
            );
        }
    }
    for (i, group) in groups.iter().enumerate() {
        let x = left + group_width * (i as f64 + 0.5);
        let _ =
            writeln!(svg, "<text text-anchor=\"middle\" x=\"{x:.1}\" y=\"{}\">{}</text>", bottom + 20.0, escape(group));
    }
    let _ = writeln!(svg, "<line class=\"a\" x1=\"{left}\" x2=\"{right}\" y1=\"{bottom}\" y2=\"{bottom}\"/>");
    legend(&mut svg, series);
    svg
}

/// Lines; `axis_names` are those of x and y.
pub fn lines(title: &str, axis_names: (&str, &str), scales: (Scale, Scale), series: &[Series]) -> String {
    let points = || series.iter().flat_map(|one| one.points.iter().copied());
    let y = Axis::new(scales.1, points().map(|point| point.1), value_place(), 1.0);
    let x = Axis::new(scales.0, points().map(|point| point.0), (MARGINS.0, SIZE.0 - MARGINS.1), 1.0);
    let mut svg = frame(title, axis_names.1, &y);
    let bottom = y.place.0;
    for &tick in &x.ticks {
        let at = x.at(tick);
        let _ = writeln!(svg, "<line class=\"g\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{}\" y2=\"{bottom}\"/>", y.place.1);
        let _ =
            writeln!(svg, "<text text-anchor=\"middle\" x=\"{at:.1}\" y=\"{}\">{}</text>", bottom + 18.0, short(tick));
    }
    let middle = (x.place.0 + x.place.1) / 2.0;
    let _ = writeln!(
        svg,
        "<text text-anchor=\"middle\" x=\"{middle:.1}\" y=\"{}\">{}</text>",
        bottom + 42.0,
        escape(axis_names.0)
    );
    for one in series {
        let colour = COLOURS[one.colour % COLOURS.len()];
        let mut points = one.points.clone();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let path: String = points.iter().map(|&(px, py)| format!("{:.1},{:.1} ", x.at(px), y.at(py))).collect();
        let _ = writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>",
            path.trim_end()
        );
        for (px, py) in points {
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"{colour}\"><title>{}: {} at {}</title></circle>",
                x.at(px),
                y.at(py),
                escape(&one.name),
                short(py),
                short(px)
            );
        }
    }
    let _ = writeln!(
        svg,
        "<line class=\"a\" x1=\"{0}\" x2=\"{1}\" y1=\"{bottom}\" y2=\"{bottom}\"/>",
        x.place.0, x.place.1
    );
    legend(&mut svg, series);
    svg
}
