//! The effective settings as a file or as JSON, with where each value is from.
//!
//! Invariant: what is shown as TOML is a configuration file that gives the same settings, with and without
//! origins.

use serde_json::{Map, Value, json};

use super::Loaded;
use super::keys::{Key, SECTIONS, Section};
use super::problem::{Origin, section_head};

/// Whether to tell where values are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Tell.
    Shown,
    /// Do not.
    Hidden,
}

/// The settings as a configuration file.
#[must_use]
pub fn toml(loaded: &Loaded, origins: Origins) -> String {
    let mut text = String::new();
    for section in SECTIONS {
        for name in section.instances(&loaded.settings) {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&section_head(section.name, &name));
            if section.names.is_some() && origins == Origins::Shown {
                let origin = loaded.names.get(&(section.name, name.clone()));
                text.push_str(&comment(origin.unwrap_or(&Origin::Default)));
            }
            text.push('\n');
            for key in section.keys {
                let value = key.field.show(&loaded.settings, &name).toml();
                text.push_str(&format!("{} = {value}", key.name));
                if origins == Origins::Shown {
                    text.push_str(&comment(origin(loaded, section, &name, key)));
                }
                text.push('\n');
            }
        }
    }
    text
}

/// The settings as one JSON object: sections, their names where they have some, keys. With origins, a key's value
/// is an object of `value` and `origin`.
#[must_use]
pub fn json(loaded: &Loaded, origins: Origins) -> Value {
    let mut all = Map::new();
    for section in SECTIONS {
        let keys = |name: &str| -> Map<String, Value> {
            let entry = |key: &Key| {
                let value = key.field.show(&loaded.settings, name).json();
                let value = match origins {
                    Origins::Hidden => value,
                    Origins::Shown => json!({
                        "value": value,
                        "origin": origin(loaded, section, name, key).to_string(),
                    }),
                };
                (key.name.to_owned(), value)
            };
            section.keys.iter().map(entry).collect()
        };
        let instances = section.instances(&loaded.settings);
        let value = match section.names {
            None => keys(""),
            Some(_) => instances
                .into_iter()
                .map(|name| (name.clone(), Value::Object(keys(&name))))
                .collect(),
        };
        all.insert(section.name.to_owned(), Value::Object(value));
    }
    Value::Object(all)
}

/// An origin behind a value. A file may have any name, and a comment ends with its line.
fn comment(origin: &Origin) -> String {
    format!("  # {}", origin.to_string().replace(char::is_control, "?"))
}

fn origin<'l>(loaded: &'l Loaded, section: &Section, name: &str, key: &Key) -> &'l Origin {
    let path = section.path(name, key);
    loaded.origins.get(&path).unwrap_or(&Origin::Default)
}
