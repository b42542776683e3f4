//! Settings by hand and by environment.

use super::*;

fn from(variables: &[(&str, &str)]) -> Result<ClientBuilder, Error> {
    ClientBuilder::from_variables(|name| {
        let found = variables.iter().find(|(given, _)| *given == name);
        found
            .map(|(_, value)| (*value).to_owned())
            .ok_or(VarError::NotPresent)
    })
}

#[tokio::test]
async fn environment_is_read_and_empty_counts_as_unset() {
    let variables = [
        ("SESSIOND_ADDR", "unix:/run/s.sock"),
        ("SESSIOND_TOKEN", "secret"),
        ("SESSIOND_NAMESPACE", "blue"),
    ];
    let builder = from(&variables).unwrap();
    assert_eq!(builder.token.as_deref(), Some("secret"));
    assert_eq!(builder.namespace.as_deref(), Some("blue"));
    assert_eq!(builder.build().unwrap().addr(), "unix:/run/s.sock");

    let empty = [("SESSIOND_ADDR", ""), ("SESSIOND_NAMESPACE", "")];
    let builder = from(&empty).unwrap();
    assert_eq!(
        (builder.token.clone(), builder.namespace.clone()),
        (None, None)
    );
    assert_eq!(builder.build().unwrap().addr(), ADDR_DEFAULT);
}

#[test]
fn variable_that_is_no_text_is_named() {
    let error = ClientBuilder::from_variables(|_| Err(VarError::NotUnicode("x".into())));
    let error = error.unwrap_err();
    assert!(error.to_string().contains(ADDR_ENV), "{error}");
}

#[tokio::test]
async fn bad_settings_are_refused_before_anything_is_sent() {
    let cases = [
        Client::builder().addr("ftp://host"),
        Client::builder().namespace(""),
        Client::builder().namespace("line\nbreak"),
        Client::builder().token("line\nbreak"),
        Client::builder().deadline(Duration::ZERO),
        Client::builder().connect_timeout(Duration::ZERO),
    ];
    for builder in cases {
        let text = format!("{builder:?}");
        let error = builder.build().expect_err(&text);
        assert!(matches!(error, Error::Setting(_)), "{text}: {error:?}");
    }
}

#[tokio::test]
async fn token_is_never_shown() {
    let builder = Client::builder().token("hunter2");
    let shown = format!("{builder:?} {:?}", builder.clone().build().unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
    let error = Client::builder().token("hunter2\n").build().unwrap_err();
    assert!(!error.to_string().contains("hunter2"), "{error}");
}
