//! Rows: two figures, their ratio, and what it should be.

use benches::{Goal, median, tell};
use std::fmt::Write as _;
use std::io;
use std::time::Duration;

/// In what a figure is counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Unit {
    PerSecond,
    Seconds,
    Bytes,
}

/// Two figures for the same thing.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) beside: &'static str,
    pub(crate) unit: Unit,
    pub(crate) ours: f64,
    pub(crate) theirs: f64,
    /// Ours by theirs: the median over the rounds.
    pub(crate) ratio: f64,
    pub(crate) goal: Goal,
}

impl Row {
    /// Whether it is shown as bars: where something was promised, and both were measured.
    pub(crate) fn is_plotted(&self) -> bool {
        !matches!(self.goal, Goal::None) && !self.beside.contains("constant")
    }
}

/// What was measured so far.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) rows: Vec<Row>,
}

/// Measures both, so many times. Who is first changes each time, so that what one leaves behind falls to both alike.
pub(crate) fn in_turns<T>(
    rounds: usize,
    mut ours: impl FnMut() -> io::Result<T>,
    mut theirs: impl FnMut() -> io::Result<T>,
) -> io::Result<Vec<(T, T)>> {
    let mut all = Vec::new();
    for round in 0..rounds {
        all.push(if round % 2 == 0 {
            let first = ours()?;
            (first, theirs()?)
        } else {
            let first = theirs()?;
            (ours()?, first)
        });
    }
    Ok(all)
}

impl Table {
    /// A row of these rounds: the medians of both, and of the rounds' ratios.
    pub(crate) fn add(
        &mut self,
        name: impl Into<String>,
        beside: &'static str,
        unit: Unit,
        goal: Goal,
        rounds: impl IntoIterator<Item = (f64, f64)>,
    ) {
        let (mut ours, mut theirs): (Vec<f64>, Vec<f64>) = rounds.into_iter().unzip();
        let mut ratios: Vec<f64> = ours
            .iter()
            .zip(&theirs)
            .map(|(ours, theirs)| ours / theirs)
            .collect();
        let row = Row {
            name: name.into(),
            beside,
            unit,
            ours: median(&mut ours),
            theirs: median(&mut theirs),
            ratio: median(&mut ratios),
            goal,
        };
        tell(&format!("{} / {beside}", row.name), row.ratio, goal);
        println!("{}", self.line(&row));
        self.rows.push(row);
    }

    /// All rows, in Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut text =
            "| what | ours | beside | theirs | ratio | goal |\n|---|---:|---|---:|---:|---|\n"
                .to_owned();
        for row in &self.rows {
            let _ = writeln!(text, "{}", self.line(row));
        }
        text
    }

    fn line(&self, row: &Row) -> String {
        let goal = match row.goal {
            Goal::AtLeast(goal) => format!("at least {}", times(goal)),
            Goal::AtMost(goal) => format!("at most {}", times(goal)),
            Goal::None => String::new(),
        };
        let missed = match row.goal.is_met(row.ratio) {
            true => "",
            false => ": missed",
        };
        format!(
            "| {} | {} | {} | {} | {} | {goal}{missed} |",
            row.name,
            shown(row.ours, row.unit),
            row.beside,
            shown(row.theirs, row.unit),
            times(row.ratio),
        )
    }
}

/// A ratio as people say it.
pub(crate) fn times(ratio: f64) -> String {
    match ratio {
        _ if ratio < 0.15 => format!("1/{:.0}", 1.0 / ratio),
        _ if ratio < 10.0 => format!("{ratio:.2}×"),
        _ => format!("{ratio:.0}×"),
    }
}

/// A figure with three digits and its unit.
pub(crate) fn shown(figure: f64, unit: Unit) -> String {
    let steps: &[(f64, &str)] = match unit {
        Unit::PerSecond => &[(1e3, "k/s"), (1.0, "/s")],
        Unit::Seconds => &[(1.0, "s"), (1e-3, "ms"), (1e-6, "µs")],
        Unit::Bytes => &[(1_048_576.0, "MiB"), (1_024.0, "KiB")],
    };
    let fits = steps.iter().find(|(step, _)| figure >= *step);
    let (step, name) = fits.or_else(|| steps.last()).copied().unwrap_or((1.0, ""));
    let figure = figure / step;
    let digits = match figure {
        _ if figure >= 100.0 => 0,
        _ if figure >= 10.0 => 1,
        _ => 2,
    };
    format!("{figure:.digits$} {name}")
}

/// Seconds, as rows have them.
pub(crate) fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_the_median_of_the_ratios_of_each_round() {
        let mut table = Table::default();
        let rounds = [(10.0, 1.0), (30.0, 2.0), (20.0, 10.0)];
        table.add("x", "y", Unit::PerSecond, Goal::AtLeast(11.0), rounds);
        let row = &table.rows[0];
        assert_eq!((row.ours, row.theirs, row.ratio), (20.0, 2.0, 10.0));
        let line = table.markdown().lines().last().unwrap().to_owned();
        assert_eq!(
            line,
            "| x | 20.0 /s | y | 2.00 /s | 10× | at least 11×: missed |"
        );
    }

    #[test]
    fn figures_have_the_unit_that_fits() {
        assert_eq!(shown(25_123.0, Unit::PerSecond), "25.1 k/s");
        assert_eq!(shown(0.003_81, Unit::Seconds), "3.81 ms");
        assert_eq!(shown(9.6e-6, Unit::Seconds), "9.60 µs");
        assert_eq!(shown(86_000_000.0, Unit::Bytes), "82.0 MiB");
        assert_eq!(times(0.004), "1/250");
        assert_eq!(times(0.8), "0.80×");
    }
}
