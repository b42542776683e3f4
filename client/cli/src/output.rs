//! What a command says on stdout: a table, JSON, or ids alone.
//!
//! Invariant: data and nothing else goes to stdout, the same on a terminal and in a pipe; a reader
//! that has gone away ends the command in silence. What this deliberately does not do: say
//! anything to a person, which goes to stderr.

pub(crate) mod age;
pub(crate) mod json;
pub(crate) mod rows;
pub(crate) mod table;

use std::io::{self, Write};

use clap::ValueEnum;
use jiff::Timestamp;

use self::json::Described;
use self::rows::Row;
use crate::failure::Failure;

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns for a person.
    #[default]
    Table,
    /// The answer of the server as one document: proto3 JSON with the proto's field names. A
    /// command that does not end prints as `jsonl` does.
    Json,
    /// One document on a line for each thing that is listed.
    Jsonl,
}

/// Which parts of a table are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    Ids,
    Rows,
    RowsWithHeader,
}

/// Where and how a command prints.
pub(crate) struct Output {
    format: Format,
    detail: Detail,
    sink: Box<dyn Write + Send>,
    /// Whether the header of a table that grows was printed.
    header_is_printed: bool,
}

impl Output {
    pub(crate) fn stdout(format: Format, detail: Detail) -> Self {
        Self::to(Box::new(io::stdout()), format, detail)
    }

    fn to(sink: Box<dyn Write + Send>, format: Format, detail: Detail) -> Self {
        Self {
            format,
            detail,
            sink,
            header_is_printed: false,
        }
    }

    /// Whether things are wanted one by one, so that a long list need not be held.
    pub(crate) fn is_one_by_one(&self) -> bool {
        self.detail == Detail::Ids || self.format == Format::Jsonl
    }

    /// Prints an answer and what it is about.
    pub(crate) fn answer<A, R>(&mut self, answer: &A, things: &[R]) -> Result<(), Failure>
    where
        A: Described,
        R: Row,
    {
        match (self.detail, self.format) {
            (Detail::Ids, _) | (_, Format::Jsonl) => {
                things.iter().try_for_each(|thing| self.thing(thing))
            }
            (_, Format::Json) => self.write(&json::pretty(answer)),
            (_, Format::Table) => {
                let now = Timestamp::now();
                let rows = things.iter().map(|thing| thing.cells(now)).collect();
                let headers = (self.detail == Detail::RowsWithHeader).then_some(R::HEADERS);
                self.write(&table::render(headers, rows))
            }
        }
    }

    /// Prints an answer about one thing, which a person reads as a list of its fields.
    pub(crate) fn fields<A: Described>(
        &mut self,
        answer: &A,
        id: &str,
        line: impl FnOnce() -> String,
        fields: impl FnOnce() -> Vec<[String; 2]>,
    ) -> Result<(), Failure> {
        match (self.detail, self.format) {
            (Detail::Ids, _) => self.write(&format!("{id}\n")),
            (_, Format::Json) => self.write(&json::pretty(answer)),
            (_, Format::Jsonl) => self.write(&line()),
            (_, Format::Table) => {
                let rows = fields().into_iter().map(Vec::from).collect();
                self.write(&table::render(None, rows))
            }
        }
    }

    /// Prints one of many things which come one after the other.
    pub(crate) fn thing<R: Row>(&mut self, thing: &R) -> Result<(), Failure> {
        match (self.detail, self.format) {
            (Detail::Ids, _) => self.write(&format!("{}\n", table::printable(&thing.id()))),
            (_, Format::Json | Format::Jsonl) => self.write(&json::line(thing.document())),
            (_, Format::Table) => self.line::<R>(&thing.cells(Timestamp::now())),
        }
    }

    /// Prints one row of a table that grows, its header first.
    pub(crate) fn line<R: Row>(&mut self, cells: &[impl AsRef<str>]) -> Result<(), Failure> {
        let mut text = String::new();
        if self.detail == Detail::RowsWithHeader && !self.header_is_printed {
            text = table::line(R::HEADERS, R::WIDTHS);
            self.header_is_printed = true;
        }
        text += &table::line(cells, R::WIDTHS);
        self.write(&text)
    }

    /// Prints rows that are nobody's answer but this machine's; JSON is a list of objects.
    pub(crate) fn table(
        &mut self,
        headers: &[&str],
        rows: Vec<Vec<String>>,
    ) -> Result<(), Failure> {
        let text = match (self.detail, self.format) {
            (Detail::Ids, _) => rows
                .iter()
                .filter_map(|row| row.first())
                .map(|id| format!("{}\n", table::printable(id)))
                .collect(),
            (_, Format::Json) => format!("{:#}\n", json::list(headers, &rows)),
            (_, Format::Jsonl) => json::lines(headers, &rows),
            (_, Format::Table) => {
                let headers = (self.detail == Detail::RowsWithHeader).then_some(headers);
                table::render(headers, rows)
            }
        };
        self.write(&text)
    }

    /// Prints text as it is, at once.
    pub(crate) fn write(&mut self, text: &str) -> Result<(), Failure> {
        self.write_bytes(text.as_bytes())
    }

    /// Prints bytes as they are, at once.
    pub(crate) fn write_bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.sink.write_all(bytes);
        written
            .and_then(|()| self.sink.flush())
            .map_err(Failure::writing)
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Output")
            .field("format", &self.format)
            .field("detail", &self.detail)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests;
