//! Resources and what became of them, as rows.

use jiff::Timestamp;
use sessiond_client::pb;

use super::Row;
use crate::output::age::ago;
use crate::values;

impl Row for pb::Resource {
    type Document = Self;

    const HEADERS: &'static [&'static str] = &[
        "RESOURCE", "NAME", "KEY", "SESSION", "STATE", "NODE", "TARGET", "SCOPE", "AGE", "DETAIL",
    ];
    const WIDTHS: &'static [usize] = &[24, 16, 24, 36, 9, 12, 16, 9, 6, 20];

    fn cells(&self, now: Timestamp) -> Vec<String> {
        vec![
            self.resource_id.clone(),
            self.name.clone(),
            self.key.clone(),
            self.session_id.clone(),
            values::enum_name::<pb::ResourceState>(self.state),
            self.node.clone(),
            target(self),
            scope(self),
            ago(self.create_time, now),
            detail(self),
        ]
    }

    fn id(&self) -> String {
        self.resource_id.clone()
    }

    fn document(&self) -> &Self::Document {
        self
    }
}

impl Row for pb::ReleaseResult {
    type Document = Self;

    const HEADERS: &'static [&'static str] =
        &["RESOURCE", "NAME", "KEY", "TARGET", "OUTCOME", "ERROR"];
    const WIDTHS: &'static [usize] = &[24, 16, 24, 16, 13, 20];

    fn cells(&self, _now: Timestamp) -> Vec<String> {
        let error = self.error.as_ref().map(|error| error.reason.clone());
        let resource = self.resource.clone().unwrap_or_default();
        vec![
            self.resource_id.clone(),
            resource.name.clone(),
            resource.key.clone(),
            target(&resource),
            values::enum_name::<pb::ReleaseOutcome>(self.outcome),
            error.unwrap_or_default(),
        ]
    }

    fn id(&self) -> String {
        self.resource_id.clone()
    }

    fn document(&self) -> &Self::Document {
        self
    }
}

impl Row for pb::Node {
    type Document = Self;

    const HEADERS: &'static [&'static str] =
        &["NODE", "LINKED", "EPOCH", "UNRELEASED", "SINCE", "AGENT"];
    const WIDTHS: &'static [usize] = &[24, 6, 8, 10, 6, 36];

    fn cells(&self, now: Timestamp) -> Vec<String> {
        vec![
            self.node.clone(),
            if self.linked { "yes" } else { "no" }.to_owned(),
            self.epoch.to_string(),
            self.unreleased_resources.to_string(),
            ago(self.acquire_time, now),
            self.instance_id.clone(),
        ]
    }

    fn id(&self) -> String {
        self.node.clone()
    }

    fn document(&self) -> &Self::Document {
        self
    }
}

/// What it is, if it was registered.
fn target(resource: &pb::Resource) -> String {
    match &resource.target {
        Some(pb::resource::Target::Process(process)) => format!("pid {}", process.pid),
        Some(pb::resource::Target::Tmux(tmux)) => format!("tmux {}", tmux.session_name),
        None => String::new(),
    }
}

fn scope(resource: &pb::Resource) -> String {
    match resource.scope() {
        pb::ResourceScope::Lease => format!("lease {}", resource.epoch),
        pb::ResourceScope::Session | pb::ResourceScope::Unspecified => "session".to_owned(),
    }
}

/// How it is known to be gone, or why it is not.
fn detail(resource: &pb::Resource) -> String {
    match resource.state() {
        pb::ResourceState::Released => values::enum_name::<pb::ResourceOutcome>(resource.outcome),
        pb::ResourceState::Lingering => {
            let cause = values::enum_name::<pb::LingeringCause>(resource.lingering_cause);
            format!("{cause}: {}", resource.detail)
        }
        pb::ResourceState::Unspecified | pb::ResourceState::Held | pb::ResourceState::Releasing => {
            String::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_says_what_it_is_and_why_it_is_still_there() {
        let resource = pb::Resource {
            resource_id: "r1".to_owned(),
            name: "shell".to_owned(),
            key: "k".to_owned(),
            session_id: "s".to_owned(),
            scope: pb::ResourceScope::Lease.into(),
            epoch: 7,
            state: pb::ResourceState::Lingering.into(),
            lingering_cause: pb::LingeringCause::Denied.into(),
            detail: "it is this process".to_owned(),
            target: Some(pb::resource::Target::Process(pb::ProcessResource {
                pid: 41,
                ..Default::default()
            })),
            node: "far".to_owned(),
            ..Default::default()
        };
        let expected = [
            "r1",
            "shell",
            "k",
            "s",
            "lingering",
            "far",
            "pid 41",
            "lease 7",
            "-",
            "denied: it is this process",
        ];
        assert_eq!(resource.cells(Timestamp::UNIX_EPOCH), expected);
    }
}
