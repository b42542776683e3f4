//! Reads a configuration file: what it sets, in the terms of the table, and all that is wrong with its names.
//!
//! Invariant: every table and every key of the file is either handed on or told as a problem; nothing is
//! skipped. What this deliberately does not do: judge values.

use std::collections::BTreeSet;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::field::Spelling;
use super::keys::{SECTIONS, Section, section};
use super::literal::Literal;
use super::nearest::nearest;
use super::problem::{Origin, Problem, section_head};
use super::resolve::{Given, Layer, Named};
use crate::limits::CONFIG_BYTES_MAX;

/// Reads the file at `path`.
///
/// # Errors
/// The one problem of a file that cannot be read at all.
pub(super) fn read(path: &Path) -> Result<Layer, Problem> {
    let name: Arc<str> = path.display().to_string().into();
    let whole = |what: String| {
        let origin = Origin::File {
            file: Arc::clone(&name),
            line: 0,
            column: 0,
        };
        Problem::new(origin, "", what)
    };
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| whole(format!("failed to read the configuration: {error}")))?;
    if bytes.len() as u64 > CONFIG_BYTES_MAX {
        return Err(whole(format!(
            "has more than {CONFIG_BYTES_MAX} bytes; this is no configuration file"
        )));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..good]).into_owned();
        let source = Source::new(Arc::clone(&name), &before);
        Problem::new(
            source.origin(good),
            "",
            "is not UTF-8 from here on; save the file as UTF-8",
        )
    })?;
    Ok(parse(Arc::clone(&name), &text))
}

/// What the text of a file says.
pub(super) fn parse(name: Arc<str>, text: &str) -> Layer {
    let source = Source::new(name, text);
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader {
        source,
        layer: Layer::default(),
        spoilt: BTreeSet::new(),
    };
    for error in errors {
        reader.syntax(&error);
    }
    reader.document(document.get_ref());
    reader.layer
}

/// The text and where its lines begin.
#[derive(Debug)]
struct Source<'t> {
    name: Arc<str>,
    text: &'t str,
    lines: Vec<usize>,
}

impl<'t> Source<'t> {
    fn new(name: Arc<str>, text: &'t str) -> Self {
        let after = |(at, _): (usize, &str)| at + 1;
        let lines = std::iter::once(0)
            .chain(text.match_indices('\n').map(after))
            .collect();
        Self { name, text, lines }
    }

    /// From 1.
    fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at)
    }

    fn origin(&self, at: usize) -> Origin {
        let line = self.line(at);
        let before = self.text.get(self.lines[line - 1]..at).unwrap_or_default();
        Origin::File {
            file: Arc::clone(&self.name),
            line,
            column: before.chars().count() + 1,
        }
    }
}

#[derive(Debug)]
struct Reader<'t> {
    source: Source<'t>,
    layer: Layer,
    /// Lines with errors of syntax: what is made of them is a guess, and no further problem.
    spoilt: BTreeSet<usize>,
}

impl Reader<'_> {
    fn syntax(&mut self, error: &toml::de::Error) {
        let at = error.span().map_or(0, |span| span.start);
        self.spoilt.insert(self.source.line(at));
        let what = error.message().replace('\n', ", ");
        let problem = Problem::new(
            self.source.origin(at),
            "",
            format!("{what}; this is no TOML"),
        );
        self.layer.problems.push(problem);
    }

    /// Tells a problem, unless it is about a line that is one already.
    fn problem(&mut self, span: &Range<usize>, subject: &str, what: String) {
        if !self.spoilt.contains(&self.source.line(span.start)) {
            let origin = self.source.origin(span.start);
            self.layer
                .problems
                .push(Problem::new(origin, subject, what));
        }
    }

    fn document(&mut self, document: &DeTable<'_>) {
        for (name, value) in document {
            let span = name.span();
            match (section(name.get_ref()), value.get_ref()) {
                (Some(section), DeValue::Table(table)) if section.names.is_some() => {
                    self.named(section, table);
                }
                (Some(section), DeValue::Table(table)) => self.keys(section, "", table),
                (Some(section), _) => {
                    let head = section_head(section.name, "");
                    let what =
                        format!("is a section and not a value; write {head} on a line of its own");
                    self.problem(&span, name.get_ref(), what);
                }
                (None, DeValue::Table(_)) => {
                    let what = unknown_section(name.get_ref());
                    self.problem(&span, &section_head(name.get_ref(), ""), what);
                }
                (None, _) => {
                    let what = outside(name.get_ref());
                    self.problem(&span, name.get_ref(), what);
                }
            }
        }
    }

    /// The sections of a section of names.
    fn named(&mut self, section: &'static Section, table: &DeTable<'_>) {
        for (name, value) in table {
            let span = name.span();
            let DeValue::Table(keys) = value.get_ref() else {
                let head = section_head(section.name, "");
                let what = format!(
                    "stands outside of a section; write it below [{}.NAME], with the name it is for",
                    section.name
                );
                self.problem(&span, &format!("{head} {}", name.get_ref()), what);
                continue;
            };
            self.layer.names.push(Named {
                section,
                name: name.get_ref().to_string(),
                origin: self.source.origin(span.start),
            });
            self.keys(section, name.get_ref(), keys);
        }
    }

    fn keys(&mut self, section: &'static Section, name: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let span = key.span();
            match find(section, key.get_ref()) {
                Some((found, spelling)) => self.given(section, name, (found, spelling), key, value),
                None => {
                    let subject = format!("{} {}", section_head(section.name, name), key.get_ref());
                    self.problem(&span, &subject, unknown_key(section, key.get_ref()));
                }
            }
        }
    }

    fn given(
        &mut self,
        section: &'static Section,
        name: &str,
        (key, spelling): (&'static super::keys::Key, Spelling),
        written: &Spanned<DeString<'_>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        if self
            .spoilt
            .contains(&self.source.line(written.span().start))
        {
            return;
        }
        self.layer.given.push(Given {
            section,
            name: name.to_owned(),
            key,
            spelling,
            literal: Literal::of(value.get_ref()),
            origin: self.source.origin(written.span().start),
        });
    }
}

/// The key of a section that goes by this name.
pub(super) fn find(
    section: &'static Section,
    name: &str,
) -> Option<(&'static super::keys::Key, Spelling)> {
    section.keys.iter().find_map(|key| {
        if key.name == name {
            Some((key, Spelling::Plain))
        } else {
            (key.seconds == Some(name)).then_some((key, Spelling::Seconds))
        }
    })
}

/// The head of a section as one would write it.
fn head(section: &Section) -> String {
    match section.names {
        Some(_) => format!("[{}.NAME]", section.name),
        None => section_head(section.name, ""),
    }
}

fn unknown_section(name: &str) -> String {
    if let Some(close) = nearest(name, SECTIONS.iter().map(|section| section.name)) {
        return format!("no such section; did you mean [{close}]?");
    }
    let all: Vec<String> = SECTIONS.iter().map(|section| head(section)).collect();
    format!("no such section; there are {}", all.join(", "))
}

fn unknown_key(section: &Section, name: &str) -> String {
    if let Some(close) = nearest(name, section.spellings()) {
        return format!("no such key; did you mean `{close}`?");
    }
    if let Some(other) = SECTIONS.iter().find(|other| find(other, name).is_some()) {
        return format!("no such key here; it belongs in {}", head(other));
    }
    let all: Vec<&str> = section.spellings().collect();
    if all.is_empty() {
        return format!("no such key; {} takes none", head(section));
    }
    format!("no such key; {} takes {}", head(section), all.join(", "))
}

fn outside(name: &str) -> String {
    let exact = SECTIONS
        .iter()
        .copied()
        .find(|section| find(section, name).is_some());
    let close = |section: &&'static Section| nearest(name, section.spellings()).is_some();
    let found = exact.or_else(|| SECTIONS.iter().copied().find(close));
    match found {
        Some(section) => format!(
            "stands outside of a section; it belongs in {}",
            head(section)
        ),
        None => unknown_section(name),
    }
}
