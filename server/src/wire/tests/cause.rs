//! The metadata that names the event whose handling a call is part of.

use sessiond_core::ids::Revision;
use sessiond_proto::reason::Reason;
use tonic::Code;
use tonic::metadata::MetadataMap;

use crate::wire::cause;
use crate::wire::status::Refusal;

const LOG: &str = "01a22eff-1772-73a0-aa8b-1d97222da535";

fn of(values: &[&str]) -> Result<Option<Revision>, Refusal> {
    let mut map = MetadataMap::new();
    for value in values {
        map.append("sessiond-cause", value.parse().unwrap());
    }
    cause::of_call(&map, LOG, Revision(7))
}

#[test]
fn an_event_of_this_log_is_one_and_of_another_log_none() {
    assert_eq!(of(&[]).unwrap(), None);
    assert_eq!(of(&[&format!("{LOG}-7")]).unwrap(), Some(Revision(7)));
    assert_eq!(of(&[&format!("{LOG}-1")]).unwrap(), Some(Revision(1)));
    let other = "01a22eff-1772-73a0-aa8b-1d97222da536-99";
    assert_eq!(of(&[other]).unwrap(), None);
}

#[test]
fn what_is_no_event_id_is_refused_by_the_name_of_the_key() {
    let [zero, future, huge] =
        ["0", "8", "18446744073709551616"].map(|number| format!("{LOG}-{number}"));
    let one = format!("{LOG}-1");
    for bad in [
        &["x"][..],
        &[""],
        &[LOG],
        &["-1"],
        &["log-1"],
        &[&zero],
        &[&future],
        &[&huge],
        &[&one, &one],
    ] {
        let refusal = of(bad).expect_err(bad[0]);
        super::assert_told(refusal.clone(), Reason::FieldInvalid, Code::InvalidArgument);
        let status = tonic::Status::from(refusal);
        assert!(status.message().contains("sessiond-cause"), "{bad:?}");
    }
}
