//! The rows as bars, in SVG. Pure.

use crate::table::{Row, Unit, shown, times};
use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 16.0;
/// The longest bar; to the right of it is room for its figure.
const LONGEST: f64 = 520.0;
const ROW: f64 = 58.0;
const TOP: f64 = 64.0;
const BAR: f64 = 14.0;

/// These rows, a pair of bars for each, the longer one as long as there is room: what counts is the ratio of the two.
pub(crate) fn plot(title: &str, rows: &[&Row]) -> String {
    let height = TOP + ROW * rows.len() as f64 + 8.0;
    let mut svg = format!(
        "\
<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" aria-label=\"{label}\">
<style>
  text {{ font: 13px system-ui, sans-serif; fill: #1f2328; }}
  .title {{ font-size: 16px; font-weight: 600; }}
  .name {{ font-weight: 600; }}
  .theirs {{ fill: #8c959f; }}
  .ours {{ fill: #2f81f7; }}
  @media (prefers-color-scheme: dark) {{ text {{ fill: #e6edf3; }} .theirs {{ fill: #7d8590; }} }}
</style>
<text class=\"title\" x=\"{LEFT}\" y=\"26\">{title}</text>
<text x=\"{LEFT}\" y=\"46\">Medians of rounds in turns; each pair has a scale of its own.</text>
",
        label = escaped(title),
        title = escaped(title),
    );
    for (number, row) in rows.iter().enumerate() {
        pair(&mut svg, TOP + ROW * number as f64, row);
    }
    svg + "</svg>\n"
}

fn pair(svg: &mut String, y: f64, row: &Row) {
    let most = row.ours.max(row.theirs);
    let better = match row.unit {
        Unit::PerSecond => "more is better",
        Unit::Seconds | Unit::Bytes => "less is better",
    };
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{:.1}\"><tspan class=\"name\">{}</tspan> ({better}): {}</text>",
        y + 14.0,
        escaped(&row.name),
        times(row.ratio),
    );
    let bars = [
        ("ours", "mcp-transport", row.ours, y + 20.0),
        ("theirs", row.beside, row.theirs, y + 36.0),
    ];
    for (class, who, figure, y) in bars {
        // What can hardly be seen is still there.
        let length = (LONGEST * figure / most).max(1.5);
        let figure = shown(figure, row.unit);
        let _ = writeln!(
            svg,
            "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"2\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{figure} {}</text>",
            LEFT + length + 6.0,
            y + 11.5,
            escaped(who),
        );
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use benches::Goal;

    fn row(name: &str, ours: f64, theirs: f64) -> Row {
        Row {
            name: name.to_owned(),
            beside: "them & <others>",
            unit: Unit::PerSecond,
            ours,
            theirs,
            ratio: ours / theirs,
            goal: Goal::None,
        }
    }

    #[test]
    fn the_longer_bar_has_all_the_room_and_the_other_its_share() {
        let (one, other) = (row("one", 10.0, 40.0), row("other", 1e9, 1.0));
        let svg = plot("a \"title\"", &[&one, &other]);
        for wanted in ["width=\"130.0\"", "width=\"520.0\"", "width=\"1.5\""] {
            assert!(svg.contains(wanted), "{wanted}: {svg}");
        }
        assert!(svg.contains("them &amp; &lt;others>") && !svg.contains("& "));
        assert!(svg.len() < 20 * 1024);
    }
}
