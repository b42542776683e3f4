//! The reference of all keys, for people: made from the table that the server itself goes by.

use super::Settings;
use super::field::Spelling;
use super::keys::{Key, SECTIONS, Section};

/// What there is to say of configuration as a whole.
const INTRODUCTION: &str = include_str!("reference.md");

/// `docs/configuration.md`.
#[must_use]
pub fn markdown() -> String {
    let settings = Settings::default();
    let mut text = INTRODUCTION.to_owned();
    for section in SECTIONS {
        text.push_str(&format!("\n## `[{}]`\n\n{}\n", head(section), section.doc));
        if let Some((flag, variable)) = section.names.as_ref().and_then(|names| names.flag) {
            text.push_str(&format!("\nFlag `{flag}`, variable `{variable}`.\n"));
        }
        for key in section.keys {
            text.push_str(&entry(section, key, &settings));
        }
    }
    text
}

fn head(section: &Section) -> String {
    match section.names {
        Some(_) => format!("{}.NAME", section.name),
        None => section.name.to_owned(),
    }
}

fn entry(section: &Section, key: &Key, settings: &Settings) -> String {
    let default = key.default.map_or_else(
        || {
            // What a section of names has by default, the one that always exists has.
            let names = section.instances(settings);
            let name = names.first().map_or("", String::as_str);
            format!("`{}`", key.field.show(settings, name).toml())
        },
        str::to_owned,
    );
    let mut text = format!("\n### `{}`\n\n{}\n\n", key.name, key.doc);
    text.push_str(&format!("- Takes {}.\n", key.field.takes(Spelling::Plain)));
    if let Some(seconds) = key.seconds {
        let takes = key.field.takes(Spelling::Seconds);
        text.push_str(&format!("- In seconds: `{seconds}`, {takes}.\n"));
    }
    text.push_str(&format!("- Default: {default}.\n"));
    let flag = key.flag.map(|flag| format!("Flag `{flag}`, variable"));
    if let Some(variable) = section.variable(key, key.name) {
        let what = flag.unwrap_or_else(|| "Variable".to_owned());
        text.push_str(&format!("- {what} `{variable}`.\n"));
    }
    text
}
