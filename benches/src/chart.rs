//! [`Chart`]: a few curves as one small SVG. The x axis is logarithmic, the y axis begins at zero.

use std::fmt::Write as _;

use crate::row::short;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 76.0;
const BOTTOM: f64 = 56.0;
/// Told apart without colour too: each curve has its own mark (Okabe and Ito's palette).
const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];

/// Curves over one x axis.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What is shown.
    pub title: String,
    /// What x counts.
    pub x: String,
    /// What y counts, with its unit.
    pub y: String,
    /// The curves, at most four.
    pub curves: Vec<Curve>,
}

/// Points of one measurement.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Its name.
    pub name: String,
    /// Positive x, and y.
    pub points: Vec<(f64, f64)>,
}

impl Chart {
    /// The picture. Charts without points have no curve, but axes.
    pub fn svg(&self) -> String {
        let (low, high) = self.range();
        let top = ceiling(self.points().map(|(_, y)| y).fold(0.0, f64::max));
        let at = |(x, y): (f64, f64)| {
            let along = (x.ln() - low.ln()) / (high.ln() - low.ln()).max(f64::MIN_POSITIVE);
            (LEFT + along * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - y / top * (HEIGHT - TOP - BOTTOM))
        };
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"12\" role=\"img\">\n<title>{title}</title>\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n\
             <text x=\"{LEFT}\" y=\"24\" font-size=\"15\" font-weight=\"bold\">{title}</text>\n",
            title = escaped(&self.title)
        );
        self.axes(&mut out, top, &at);
        for (n, curve) in self.curves.iter().enumerate() {
            draw(&mut out, curve, n, &at);
        }
        out.push_str("</svg>\n");
        out
    }

    fn axes(&self, out: &mut String, top: f64, at: &impl Fn((f64, f64)) -> (f64, f64)) {
        let (low, _) = self.range();
        for step in 0..=4 {
            let y = top * f64::from(step) / 4.0;
            let (_, down) = at((low, y));
            text(out, (LEFT - 8.0, down + 4.0), "end", &short(y));
            line(out, (LEFT, down), (WIDTH - RIGHT, down), "#ddd");
        }
        let mut xs: Vec<f64> = self.points().map(|(x, _)| x).collect();
        xs.sort_by(f64::total_cmp);
        xs.dedup();
        for x in xs {
            let (along, _) = at((x, 0.0));
            text(out, (along, HEIGHT - BOTTOM + 18.0), "middle", &power(x));
        }
        text(out, ((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 14.0), "middle", &self.x);
        text(out, (LEFT, 44.0), "start", &self.y);
    }

    fn points(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.curves.iter().flat_map(|curve| curve.points.iter().copied())
    }

    fn range(&self) -> (f64, f64) {
        let low = self.points().map(|(x, _)| x).fold(f64::INFINITY, f64::min);
        let high = self.points().map(|(x, _)| x).fold(0.0, f64::max);
        if low.is_finite() { (low, high.max(low * 1.001)) } else { (1.0, 10.0) }
    }
}

// === free functions ===

fn draw(out: &mut String, curve: &Curve, n: usize, at: &impl Fn((f64, f64)) -> (f64, f64)) {
    let colour = COLOURS[n % COLOURS.len()];
    let points: Vec<(f64, f64)> = curve.points.iter().copied().map(at).collect();
    let joined: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    writeln!(
        out,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
        joined.join(" ")
    )
    .expect("a string grows");
    for point in points {
        mark(out, point, n);
    }
    let legend = (LEFT + 164.0 * n as f64, 62.0);
    mark(out, (legend.0 + 4.0, legend.1 - 4.0), n);
    text(out, (legend.0 + 14.0, legend.1), "start", &curve.name);
}

fn mark(out: &mut String, (x, y): (f64, f64), n: usize) {
    let colour = COLOURS[n % COLOURS.len()];
    let shape = match n % 4 {
        0 => format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>"),
        1 => format!(
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"8\" height=\"8\" fill=\"{colour}\"/>",
            x - 4.0,
            y - 4.0
        ),
        _ => {
            let side = if n % 4 == 2 { 5.0 } else { -5.0 };
            format!(
                "<polygon points=\"{:.1},{:.1} {:.1},{:.1} {x:.1},{:.1}\" fill=\"{colour}\"/>",
                x - 5.0,
                y + side,
                x + 5.0,
                y + side,
                y - side
            )
        }
    };
    out.push_str(&shape);
    out.push('\n');
}

fn text(out: &mut String, (x, y): (f64, f64), anchor: &str, what: &str) {
    writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>", escaped(what))
        .expect("a string grows");
}

fn line(out: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64), colour: &str) {
    writeln!(out, "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\"/>")
        .expect("a string grows");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The next round number: 1, 2, 2.5, 4, 5 or 8 times a power of ten.
fn ceiling(most: f64) -> f64 {
    let most = most.max(1e-9);
    let power = 10_f64.powf(most.log10().floor());
    [1.0, 2.0, 2.5, 4.0, 5.0, 8.0, 10.0]
        .into_iter()
        .map(|step| step * power)
        .find(|bound| *bound >= most)
        .unwrap_or(10.0 * power)
}

/// `10³` and the like; other numbers as they are.
fn power(x: f64) -> String {
    let exponent = x.log10().round();
    if x >= 1_000.0 && (x / 10_f64.powf(exponent) - 1.0).abs() < 1e-9 {
        const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
        let digits = format!("{exponent:.0}");
        return format!("10{}", digits.bytes().map(|b| DIGITS[usize::from(b - b'0')]).collect::<String>());
    }
    format!("{x:.0}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Chart {
        let points = vec![(1e3, 100.0), (1e5, 150.0), (1e7, 230.0)];
        let curve = |name: &str| Curve { name: name.to_owned(), points: points.clone() };
        Chart {
            title: "a < b".to_owned(),
            x: "live tokens".to_owned(),
            y: "ns".to_owned(),
            curves: vec![curve("one"), curve("two"), curve("three"), curve("four")],
        }
    }

    #[test]
    fn every_point_is_inside_and_marked() {
        let svg = chart().svg();
        assert_eq!(svg.matches("<polyline").count(), 4);
        assert_eq!(svg.matches("<circle").count(), 4, "three points and the legend's");
        assert!(svg.contains("a &lt; b") && svg.contains("10⁷"));
        let line = svg.lines().find(|line| line.contains("polyline")).expect("a curve");
        let points = line.split('"').nth(1).expect("points");
        for point in points.split(' ') {
            let (x, y) = point.split_once(',').expect("a pair");
            let (x, y): (f64, f64) = (x.parse().expect("x"), y.parse().expect("y"));
            assert!((LEFT..=WIDTH - RIGHT).contains(&x) && (TOP..=HEIGHT - BOTTOM).contains(&y), "{point}");
        }
    }

    #[test]
    fn nothing_at_all_is_still_a_picture() {
        let empty = Chart { curves: Vec::new(), ..chart() };
        assert!(!empty.svg().contains("NaN") && !empty.svg().contains("inf"));
        let flat = Curve { name: String::new(), points: vec![(1.0, 0.0)] };
        let svg = Chart { curves: vec![flat], ..chart() }.svg();
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn ceilings_are_round() {
        for (most, bound) in
            [(0.0, 1e-9), (99.0, 100.0), (101.0, 200.0), (230.0, 250.0), (0.9, 1.0), (8.1, 10.0)]
        {
            assert!((ceiling(most) - bound).abs() < bound * 1e-6, "{most}");
        }
    }
}
