//! What `/metrics` says, read as strictly as a scraper reads it.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

/// One scrape.
#[derive(Clone, Debug)]
pub struct Scrape {
    /// The types of the metrics, by their names without what the format puts behind those of counters.
    pub types: BTreeMap<String, String>,
    /// Values, by the names and labels of their series as they are written.
    values: BTreeMap<String, f64>,
}

impl Scrape {
    /// Scrapes the server at an address.
    ///
    /// # Panics
    /// If what it answers is not OpenMetrics.
    #[must_use]
    pub fn of(address: &str) -> Self {
        let mut stream = TcpStream::connect(address).expect("the server accepts");
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let format = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert!(head.contains(format), "{head}");
        Self::read(body)
    }

    fn read(body: &str) -> Self {
        let mut scrape = Self {
            types: BTreeMap::new(),
            values: BTreeMap::new(),
        };
        let body = body.strip_suffix("# EOF\n").expect("it is whole");
        let mut current = String::new();
        for line in body.lines() {
            if let Some(said) = line.strip_prefix("# TYPE ") {
                let (name, kind) = said.split_once(' ').expect("a name and a type");
                current = name.to_owned();
                let before = scrape.types.insert(name.to_owned(), kind.to_owned());
                assert_eq!(before, None, "`{name}` is there twice");
            } else if let Some(said) = line.strip_prefix("# UNIT ") {
                let (name, unit) = said.split_once(' ').expect("a name and a unit");
                assert!(name.ends_with(&format!("_{unit}")), "{line}");
            } else if let Some(said) = line.strip_prefix("# HELP ") {
                assert!(
                    said.split_once(' ').is_some_and(|(_, help)| help.len() > 9),
                    "{line}"
                );
            } else {
                let (series, value) = line.rsplit_once(' ').expect("a series and a value");
                assert!(
                    series.starts_with(&current),
                    "`{line}` is not of `{current}`"
                );
                let value: f64 = value.parse().expect("a number");
                let before = scrape.values.insert(series.to_owned(), value);
                assert_eq!(before, None, "`{series}` is there twice");
            }
        }
        scrape
    }

    /// A value, by its name without `sessiond_` and with its labels: `sessions{state="active"}`.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn value(&self, series: &str) -> f64 {
        let found = self.find(series);
        found.unwrap_or_else(|| panic!("there is no `{series}` in {:#?}", self.values))
    }

    /// The same, where there may be none.
    #[must_use]
    pub fn find(&self, series: &str) -> Option<f64> {
        self.values.get(&format!("sessiond_{series}")).copied()
    }
}
