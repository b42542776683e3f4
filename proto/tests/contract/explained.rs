//! Everything in the contract has a comment, in sentences.

use std::collections::BTreeMap;

use prost_reflect::FileDescriptor;

use super::files;

#[test]
fn everything_is_explained_in_sentences() {
    let mut faults = Vec::new();
    for file in files() {
        let proto = file.file_descriptor_proto();
        let comments: BTreeMap<&[i32], &str> = proto
            .source_code_info
            .iter()
            .flat_map(|info| &info.location)
            .map(|location| (location.path.as_slice(), location.leading_comments()))
            .collect();
        for (name, path) in explainable(&file) {
            let comment = comments.get(path.as_slice()).map_or("", |text| text.trim());
            if !is_prose(comment) {
                faults.push(format!("{name}: `{comment}`"));
            }
        }
    }
    assert!(
        faults.is_empty(),
        "not explained in sentences:\n{}",
        faults.join("\n")
    );
}

/// The rule itself can fail: it tells prose from none.
#[test]
fn prose_starts_and_ends_like_a_sentence() {
    for good in ["A session.", "SESSION_END.", "`key` of the session."] {
        assert!(is_prose(good), "{good}");
    }
    for bad in ["", "a session.", "A session", "- A session."] {
        assert!(!is_prose(bad), "{bad}");
    }
}

/// Everything of a file that needs a comment, by name and source path.
fn explainable(file: &FileDescriptor) -> Vec<(String, Vec<i32>)> {
    let mut found = Vec::new();
    for message in file.messages() {
        assert_eq!(
            message
                .child_messages()
                .filter(|child| !child.is_map_entry())
                .count(),
            0,
            "{} nests a message, which this walk does not enter",
            message.name()
        );
        found.push((message.full_name().to_owned(), message.path().to_vec()));
        found.extend(
            message
                .fields()
                .map(|field| (field.full_name().to_owned(), field.path().to_vec())),
        );
        found.extend(
            message
                .oneofs()
                .filter(|oneof| !oneof.is_synthetic())
                .map(|oneof| (oneof.full_name().to_owned(), oneof.path().to_vec())),
        );
    }
    for descriptor in file.enums() {
        found.push((
            descriptor.full_name().to_owned(),
            descriptor.path().to_vec(),
        ));
        found.extend(
            descriptor
                .values()
                .map(|value| (value.full_name().to_owned(), value.path().to_vec())),
        );
    }
    for service in file.services() {
        found.push((service.full_name().to_owned(), service.path().to_vec()));
        found.extend(
            service
                .methods()
                .map(|method| (method.full_name().to_owned(), method.path().to_vec())),
        );
    }
    assert!(!found.is_empty(), "{} is empty", file.name());
    found
}

fn is_prose(comment: &str) -> bool {
    let starts = comment.starts_with(|first: char| first.is_ascii_uppercase() || first == '`')
        || comment.starts_with(|first: char| first.is_ascii_digit());
    starts && comment.ends_with('.')
}
