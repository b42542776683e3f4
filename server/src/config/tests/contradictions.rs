//! Settings that contradict one another are refused together; a default gives way.

use sessiond_core::time::{Limit, Span};

use super::super::environment::Environment;
use super::super::problem::Origin;
use super::super::{ServeArgs, load};
use super::{HOME, check_refused, loaded, refused};

#[test]
fn two_limits_that_were_set_are_refused_together() {
    check_refused(
        "[session]\nmax_idle_time = \"2h\"\nmax_session_age_secs = 3600\n",
        &[
            "2:1: [session] max_idle_time: \"2h\" is too much beside [session] max_session_age = \"1h\" (FILE:3): a \
           session would reach its age before it could be idle; lower this one or raise that one",
        ],
    );
    check_refused(
        "[session]\nowner_timeout = \"2h\"\nmax_session_age = \"1h\"\n",
        &[
            "2:1: [session] owner_timeout: \"2h\" is too much beside [session] max_session_age = \"1h\" (FILE:3): a \
           session would reach its age before its owner could be missed; lower this one or raise that one",
        ],
    );
    check_refused(
        "[session]\nend_grace = \"2m\"\nend_grace_after_pending = \"1m\"\n",
        &[
            "2:1: [session] end_grace: \"2m\" is too much beside [session] end_grace_after_pending = \"1m\" (FILE:3): \
           an end that waits for all that is pending also waits for what is in flight; lower this one or raise that \
           one",
        ],
    );
    check_refused(
        "[retry]\nfirst_pause = \"2s\"\nmax_pause = \"1s\"\n",
        &[
            "2:1: [retry] first_pause: \"2s\" is too much beside [retry] max_pause = \"1s\" (FILE:3): the first pause \
           is the shortest one; lower this one or raise that one",
        ],
    );
    check_refused(
        "[queue]\nmax_bytes = \"1MiB\"\nmax_message_bytes = \"1MiB\"\n",
        &[
            "3:1: [queue] max_message_bytes: \"1MiB\" is too much beside [queue] max_bytes = \"1MiB\" (FILE:2): the \
           largest message, and 256 bytes for its row, would not fit into an empty queue; lower this one or raise \
           that one",
        ],
    );
}

/// Proves: G12.
#[test]
fn limits_of_an_emergency_and_of_pools_are_compared_too() {
    check_refused(
        "[session]\nmax_idle_time = \"1m\"\nemergency_idle = \"2m\"\n",
        &[
            "3:1: [session] emergency_idle: \"2m\" is too much beside [session] max_idle_time = \"1m\" (FILE:2): \
             sessions would end before an emergency could end them; lower this one or raise that one",
        ],
    );
    check_refused(
        "[pools.a]\nmax_attached = 3\nmax_sessions = 2\n[pools.b]\nmax_attached = 3\nmax_sessions = 4\n",
        &[
            "2:1: [pools.a] max_attached: 3 is too much beside [pools.a] max_sessions = 2 (FILE:3): workers hold no \
             more sessions than there are; lower this one or raise that one",
        ],
    );
    let short = loaded("[session]\nmax_idle_time = \"1m\"\n[pools.a]\n");
    let policy = &short.settings.policy;
    let a = sessiond_core::ids::PoolName::parse("a").unwrap();
    assert_eq!(
        policy.pool(&a).emergency_idle,
        Limit::After(Span::seconds(60))
    );
}

#[test]
fn pools_say_whether_they_follow_all_pools() {
    let loaded = loaded("[pools.a]\nmax_attached = 1\n[session]\nmax_sessions = 9\n");
    let origin = |key: &str| {
        let mut origins = loaded.origins.iter();
        let found = origins.find(|(path, _)| path.to_string() == format!("[pools.a] {key}"));
        found.map(|(_, origin)| origin.to_string())
    };
    let follows = "default, follows [session] max_sessions".to_owned();
    assert_eq!(origin("max_sessions"), Some(follows));
    assert_eq!(origin("wait"), None, "a default of its own");
    assert!(origin("max_attached").is_some_and(|place| place.ends_with(":2")));
}

#[test]
fn limits_that_just_agree_are_taken() {
    loaded(
        "[session]\nmax_idle_time = \"1h\"\nmax_session_age = \"1h\"\nowner_timeout = \"1h\"\n\
         end_grace = \"1m\"\nend_grace_after_pending = \"1m\"\n\
         [queue]\nmax_bytes = 1256\nmax_message_bytes = 1000\n",
    );
    let lines = refused("[queue]\nmax_bytes = 1255\nmax_message_bytes = 1000\n");
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[test]
fn what_is_never_contradicts_nothing() {
    loaded("[session]\nmax_idle_time = \"never\"\nmax_session_age = \"1h\"\n");
    loaded("[session]\nmax_idle_time = \"7d\"\nmax_session_age = \"never\"\n");
}

#[test]
fn a_default_follows_what_was_set_and_says_so() {
    let young = loaded("[session]\nmax_session_age = \"10m\"\n");
    let ten = Limit::After(Span::seconds(600));
    assert_eq!(young.settings.policy.idle_timeout, ten);
    let origins: Vec<String> = young
        .origins
        .iter()
        .map(|(path, origin)| format!("{path}: {origin}"))
        .collect();
    assert!(
        origins.contains(
            &"[session] max_idle_time: default, follows [session] max_session_age".to_owned()
        ),
        "{origins:?}"
    );
    let idle = loaded("[session]\nmax_idle_time = \"3d\"\n");
    assert_eq!(
        idle.settings.policy.max_lifetime,
        Limit::After(Span::seconds(3 * 86_400))
    );
    let small = loaded("[queue]\nmax_bytes = \"1MiB\"\n");
    assert_eq!(small.settings.policy.message_bytes_max, (1 << 20) - 256);
    let grace = loaded("[session]\nend_grace = \"20m\"\n");
    assert_eq!(
        grace.settings.policy.after_pending_grace,
        Span::seconds(1_200)
    );
}

#[test]
fn values_that_were_refused_are_not_judged_against_others() {
    let lines = refused("[session]\nmax_idle_time = \"2 h\"\nmax_session_age = \"1m\"\n");
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[test]
fn a_flag_and_a_file_can_contradict_one_another_too() {
    let file = super::written("[session]\nmax_session_age = \"1h\"\n");
    let args = ServeArgs {
        config: Some(file.path.clone()),
        ..ServeArgs::default()
    };
    let environment = Environment::of_user(&[HOME, ("SESSIOND_SESSION_MAX_IDLE_TIME", "2h")]);
    let problems = load(&args, &environment).expect_err("they contradict");
    assert_eq!(problems.len(), 1, "{problems:?}");
    let variable = "SESSIOND_SESSION_MAX_IDLE_TIME";
    assert_eq!(problems[0].origin, Origin::Variable(variable.to_owned()));
    assert!(
        problems[0]
            .what
            .contains(&format!("({}:2)", file.path.display())),
        "{problems:?}"
    );
}
