//! `[log]`: what is logged, and how it looks.

use super::{Key, Section};
use crate::config::field::Field;
use crate::logging::{self, LogFormat};

pub(super) static SECTION: Section = Section {
    name: "log",
    doc: "What is logged to standard error. Payloads and prompts never are.",
    names: None,
    keys: &[
        Key::new(
            "level",
            Field::Text {
                takes: "error, warn, info, debug, trace, or a filter directive such as \"sessiond=debug,info\"",
                get: |settings, _| settings.log.level.clone(),
                put: |settings, _, text| {
                    logging::filter(text)?;
                    text.clone_into(&mut settings.log.level);
                    Ok(())
                },
            },
            "What to log.",
        )
        .flag("--log-level", "SESSIOND_LOG"),
        Key::new(
            "format",
            Field::Word {
                words: &["auto", "human", "json"],
                get: |settings, _| match settings.log.format {
                    LogFormat::Auto => "auto",
                    LogFormat::Human => "human",
                    LogFormat::Json => "json",
                },
                put: |settings, _, word| {
                    settings.log.format = match word {
                        "human" => LogFormat::Human,
                        "json" => LogFormat::Json,
                        _ => LogFormat::Auto,
                    };
                },
            },
            "How log lines look: for people, one JSON object a line, or `auto`: for people on a terminal, JSON \
             otherwise.",
        )
        .flag("--log-format", "SESSIOND_LOG_FORMAT"),
    ],
};
