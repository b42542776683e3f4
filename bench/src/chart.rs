//! Charts of one run for the documentation: SVG files that need nothing beside them.
//!
//! Invariant: whatever is drawn is in the records, and what is not in them is left out by name. What it
//! deliberately does not do: measure, judge, or compare runs.

use std::fs;
use std::path::Path as FilePath;

use anyhow::{Context, Result, ensure};

use crate::record::Record;
use crate::say;

mod figures;
mod layout;
mod subjects;
mod svg;
#[cfg(test)]
mod tests;

/// Draws what is in a file of records, and writes it.
///
/// # Errors
/// When the file cannot be read, a line of it is no record, or it has nothing that is drawn.
pub(crate) fn of_file(file: &FilePath, directory: &FilePath) -> Result<()> {
    let name = file.display();
    let text = fs::read_to_string(file).with_context(|| format!("failed to read {name}"))?;
    let records = Record::parse(&text).with_context(|| format!("failed to read {name}"))?;
    write(&records, directory)
}

/// Draws what is in these records, and writes it into a directory that is made when it is missing.
///
/// # Errors
/// When nothing in them is drawn, or a file cannot be written.
pub(crate) fn write(records: &[Record], directory: &FilePath) -> Result<()> {
    let drawn = draw(records);
    for missing in &drawn.left_out {
        say(&format!("LEFT OUT: {missing}"));
    }
    ensure!(!drawn.files.is_empty(), "no record is one that is drawn");
    fs::create_dir_all(directory)
        .with_context(|| format!("failed to create {}", directory.display()))?;
    for (name, text) in drawn.files {
        let file = directory.join(name);
        fs::write(&file, text).with_context(|| format!("failed to write {}", file.display()))?;
        say(&format!("drew {}", file.display()));
    }
    Ok(())
}

/// What came of some records.
#[derive(Debug)]
struct Drawn {
    /// Names of files, and what goes into them.
    files: Vec<(&'static str, String)>,
    /// Charts and panels without data, and what they need.
    left_out: Vec<String>,
}

fn draw(records: &[Record]) -> Drawn {
    let mut drawn = Drawn {
        files: Vec::new(),
        left_out: Vec::new(),
    };
    for subject in &subjects::SUBJECTS {
        let chart = subject.chart(records);
        if chart.panels.is_empty() {
            let why = format!("{}: nothing of it is in the records", subject.file);
            drawn.left_out.push(why);
            continue;
        }
        let missing = chart.left_out.iter();
        let missing = missing.map(|panel| format!("{}: {panel}", subject.file));
        drawn.left_out.extend(missing);
        drawn.files.push((subject.file, layout::draw(&chart)));
    }
    drawn
}
