//! What was measured, as tables and pictures.

use std::{fmt::Write as _, path::Path};

use plotters::prelude::*;
use serde::{Deserialize, Serialize};

use super::Outcome;

/// One thing that is measured, done by several.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Scenario {
    pub(crate) title: String,
    pub(crate) unit: String,
    pub(crate) entries: Vec<Entry>,
    pub(crate) goals: Vec<Goal>,
}

/// What does it, and what that took each time.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) by: String,
    /// What was run, as one would type it.
    pub(crate) command: String,
    pub(crate) samples: Vec<f64>,
}

/// What Longshore is to reach.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Goal {
    pub(crate) of: String,
    /// Beside what: the ratio of the medians is at most `at_most`. Without it the median itself is.
    pub(crate) beside: Option<String>,
    pub(crate) at_most: f64,
}

impl Scenario {
    pub(crate) fn new(title: impl Into<String>, unit: &str) -> Self {
        Self { title: title.into(), unit: unit.to_owned(), entries: Vec::new(), goals: Vec::new() }
    }

    /// Adds what something took this time.
    pub(crate) fn add(&mut self, by: &str, command: &str, sample: f64) {
        match self.entries.iter_mut().find(|entry| entry.by == by) {
            Some(entry) => entry.samples.push(sample),
            None => {
                let (by, command) = (by.to_owned(), command.to_owned());
                self.entries.push(Entry { by, command, samples: vec![sample] });
            }
        }
    }

    pub(crate) fn wants(mut self, of: &str, beside: impl Into<Option<&'static str>>, at_most: f64) -> Self {
        let beside = beside.into().map(str::to_owned);
        self.goals.push(Goal { of: of.to_owned(), beside, at_most });
        self
    }

    /// Its title as a file is called.
    fn slug(&self) -> String {
        let words = self.title.split(|letter: char| !letter.is_ascii_alphanumeric());
        words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-").to_lowercase()
    }

    fn median(&self, by: &str) -> Option<f64> {
        self.entries.iter().find(|entry| entry.by == by).map(Entry::median)
    }

    /// What a goal has come to; `None` when one of the two was not measured.
    fn reached(&self, goal: &Goal) -> Option<f64> {
        let own = self.median(&goal.of)?;
        match &goal.beside {
            Some(other) => Some(own / self.median(other)?),
            None => Some(own),
        }
    }

    fn verdict(&self, goal: &Goal) -> String {
        let against = goal.beside.as_ref().map_or(String::new(), |other| format!(" of {other}"));
        let unit = if goal.beside.is_some() { String::new() } else { format!(" {}", self.unit) };
        match self.reached(goal) {
            None => format!("{} at most {}{unit}{against}: not measured here", goal.of, goal.at_most),
            Some(value) if value <= goal.at_most => {
                format!("{} at most {}{unit}{against}: reached, {}", goal.of, goal.at_most, short(value))
            }
            Some(value) => {
                let above = (value / goal.at_most - 1.0) * 100.0;
                // Nothing is a part of nothing.
                let above = if above.is_finite() { format!(", {above:.0} % above") } else { String::new() };
                let missed = short(value);
                format!("{} at most {}{unit}{against}: **missed**, {missed}{above}", goal.of, goal.at_most)
            }
        }
    }
}

impl Entry {
    fn median(&self) -> f64 {
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }

    fn bounds(&self) -> (f64, f64) {
        let least = self.samples.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.samples.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (least, most)
    }
}

/// Three digits that mean something.
fn short(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value if value >= 0.1 => format!("{value:.2}"),
        value => format!("{value:.4}"),
    }
}

/// All of it as tables: a row for who does it, beside the first, which is the floor.
pub(crate) fn markdown(scenarios: &[Scenario]) -> String {
    let mut out = String::new();
    for scenario in scenarios {
        let floor = scenario.entries.first().map(Entry::median);
        let _ = writeln!(out, "### {}\n", scenario.title);
        let _ = writeln!(
            out,
            "| | median, {} | least–most | of the first | by |\n|---|---|---|---|---|",
            scenario.unit
        );
        for entry in &scenario.entries {
            let (least, most) = entry.bounds();
            let ratio = floor.map_or(f64::NAN, |floor| entry.median() / floor);
            // Nothing is as much as nothing.
            let ratio = if ratio.is_nan() { 1.0 } else { ratio };
            let _ = writeln!(
                out,
                "| {} | {} | {}–{} | {} | `{}` |",
                entry.by,
                short(entry.median()),
                short(least),
                short(most),
                short(ratio),
                entry.command.replace('|', "\\|")
            );
        }
        let _ = writeln!(out);
        for goal in &scenario.goals {
            let _ = writeln!(out, "- {}", scenario.verdict(goal));
        }
        if !scenario.goals.is_empty() {
            let _ = writeln!(out);
        }
    }
    out
}

/// Writes the tables, and a plot of each scenario that more than one takes part in.
pub(crate) fn write(folder: &Path, scenarios: &[Scenario]) -> Outcome {
    std::fs::create_dir_all(folder)?;
    let mut text = String::new();
    for scenario in scenarios {
        text.push_str(&markdown(std::slice::from_ref(scenario)));
        if scenario.entries.len() > 1 {
            let name = format!("{}.svg", scenario.slug());
            plot(&folder.join(&name), scenario)?;
            let _ = writeln!(text, "![{}]({name})\n", scenario.title);
        }
    }
    Ok(std::fs::write(folder.join("table.md"), text)?)
}

/// Bars of the medians, with a line from the least to the most.
fn plot(path: &Path, scenario: &Scenario) -> Outcome {
    let count = scenario.entries.len();
    let most = scenario.entries.iter().map(|entry| entry.bounds().1).fold(0.0, f64::max);
    let height = u32::try_from(70 + 34 * count)?;
    let area = SVGBackend::new(path, (720, height)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(format!("{}, {}", scenario.title, scenario.unit), ("sans-serif", 16))
        .margin(8)
        .x_label_area_size(24)
        .y_label_area_size(220)
        .build_cartesian_2d(0.0..most * 1.05, (0..count).into_segmented())?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_label_formatter(&|at| match at {
            SegmentValue::CenterOf(index) => {
                scenario.entries.get(count - 1 - *index).map_or(String::new(), |entry| entry.by.clone())
            }
            _ => String::new(),
        })
        .label_style(("sans-serif", 13))
        .draw()?;
    for (index, entry) in scenario.entries.iter().enumerate() {
        let row = count - 1 - index;
        let colour =
            if entry.by.starts_with("longshore") { RGBColor(11, 98, 128) } else { RGBColor(160, 168, 176) };
        let mut bar = Rectangle::new(
            [(0.0, SegmentValue::Exact(row)), (entry.median(), SegmentValue::Exact(row + 1))],
            colour.filled(),
        );
        bar.set_margin(5, 5, 0, 0);
        chart.draw_series([bar])?;
        let (least, most) = entry.bounds();
        chart.draw_series([PathElement::new(
            vec![(least, SegmentValue::CenterOf(row)), (most, SegmentValue::CenterOf(row))],
            BLACK,
        )])?;
    }
    area.present()?;
    Ok(())
}
