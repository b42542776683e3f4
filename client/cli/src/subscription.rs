//! `sessionctl subscription`: the places in the log that the server keeps for plugins.
//!
//! Invariant: one call of the server for each command, but for `ls`, with one for each page, and `follow`; what is not
//! given is left unset. What this deliberately does not do: handle events; that is what plugins do.

mod create;
mod follow;

use clap::{Args, Subcommand};
use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use sessiond_client::{Client, pb};

use self::create::CreateArgs;
use self::follow::FollowArgs;
use crate::event_args::StartArgs;
use crate::failure::Failure;
use crate::output::{Output, age, json};
use crate::values;

/// How many subscriptions a page of a listing has.
const PAGE_SIZE: u32 = 500;

#[derive(Debug, Subcommand)]
pub(crate) enum SubscriptionCommand {
    /// Makes a subscription, or shows the one of that name if it is the same.
    Create(CreateArgs),
    /// Shows one subscription: who reads it, and how far it is behind.
    Get(NameArg),
    /// Lists the subscriptions by name.
    Ls,
    /// Has a subscription go on from another place; one that is stale is active again.
    Seek(SeekArgs),
    /// Forgets a subscription: nothing is kept for it any more.
    Rm(NameArg),
    /// Prints the events of a subscription, and acknowledges each once it is printed.
    Follow(FollowArgs),
}

/// One subscription.
#[derive(Clone, Debug, Args)]
pub(crate) struct NameArg {
    /// The name of the subscription.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

/// Where a subscription goes on.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("place").args(["after", "resume", "oldest", "now"]).required(true))]
pub(crate) struct SeekArgs {
    #[command(flatten)]
    name: NameArg,
    #[command(flatten)]
    start: StartArgs,
    /// Skip everything that there is.
    #[arg(long)]
    now: bool,
    /// Makes a repeat of this command harmless for 24 h.
    #[arg(long)]
    request_id: Option<String>,
}

// === impl SubscriptionCommand ===

impl SubscriptionCommand {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::Create(args) => args.run(client, output).await,
            Self::Get(NameArg { name }) => show(&client.get_subscription(name).await?, output),
            Self::Ls => list(client, output).await,
            Self::Seek(args) => {
                let moved = client.seek_subscription(args.request()).await?;
                show(&moved, output)
            }
            Self::Rm(NameArg { name }) => {
                client.delete_subscription(name.clone()).await?;
                gone(&name, output)
            }
            Self::Follow(args) => args.run(client, output).await,
        }
    }
}

// === impl SeekArgs ===

impl SeekArgs {
    fn request(self) -> pb::SeekSubscriptionRequest {
        pb::SeekSubscriptionRequest {
            start: self.start.start(),
            name: self.name.name,
            request_id: self.request_id.unwrap_or_default(),
        }
    }
}

async fn list(client: &Client, output: &mut Output) -> Result<(), Failure> {
    let request = pb::ListSubscriptionsRequest {
        page_size: PAGE_SIZE,
        page_token: String::new(),
    };
    let mut all = std::pin::pin!(client.list_all_subscriptions(request));
    let mut whole = pb::ListSubscriptionsResponse::default();
    while let Some(one) = all.try_next().await? {
        if output.is_one_by_one() {
            output.thing(&one)?;
        } else {
            whole.subscriptions.push(one);
        }
    }
    if output.is_one_by_one() {
        return Ok(());
    }
    output.answer(&whole, &whole.subscriptions)
}

fn show(subscription: &pb::Subscription, output: &mut Output) -> Result<(), Failure> {
    let answer = pb::GetSubscriptionResponse {
        subscription: Some(subscription.clone()),
    };
    output.fields(
        &answer,
        &subscription.name,
        || json::line(subscription),
        || fields(subscription, Timestamp::now()),
    )
}

/// Says which subscription there is no more.
fn gone(name: &str, output: &mut Output) -> Result<(), Failure> {
    let answer = pb::DeleteSubscriptionResponse::default();
    output.fields(
        &answer,
        name,
        || json::line(&answer),
        || vec![["deleted".to_owned(), name.to_owned()]],
    )
}

/// What a person wants to know about one subscription. What is unset is left out.
fn fields(subscription: &pb::Subscription, now: Timestamp) -> Vec<[String; 2]> {
    let lag = subscription.lag.unwrap_or_default();
    let oldest = match age::wire_length(lag.age) {
        none if none.is_empty() => none,
        age => format!(", the oldest {age} old"),
    };
    let behind = format!("{} events, {} bytes{oldest}", lag.events, lag.bytes);
    let required = subscription
        .required
        .then(|| "ended sessions are kept until it acknowledged them, 24h at most".to_owned());
    let consumer = match (subscription.consumer.as_str(), subscription.connected) {
        ("", _) => String::new(),
        (name, true) => format!("{name} (connected)"),
        (name, false) => format!("{name} (gone)"),
    };
    let pairs = [
        ("name", subscription.name.clone()),
        (
            "state",
            values::enum_name::<pb::SubscriptionState>(subscription.state),
        ),
        ("stale for", age::ago(subscription.stale_time, now)),
        ("namespace", subscription.namespace.clone()),
        ("events", which(subscription.filter.as_ref())),
        ("required", required.unwrap_or_default()),
        (
            "max lag",
            format!(
                "{}, {} bytes",
                age::wire_length(subscription.max_lag),
                subscription.max_lag_bytes
            ),
        ),
        ("acked", subscription.acked_revision.to_string()),
        ("delivered", subscription.delivered_revision.to_string()),
        ("behind", behind),
        ("consumer", consumer),
        ("epoch", subscription.epoch.to_string()),
        ("age", age::ago(subscription.create_time, now)),
    ];
    pairs
        .into_iter()
        .filter(|(_, value)| !value.is_empty() && value != "-")
        .map(|(name, value)| [name.to_owned(), value])
        .collect()
}

/// A filter as its options say it.
fn which(filter: Option<&pb::EventFilter>) -> String {
    let Some(filter) = filter else {
        return "all".to_owned();
    };
    let types = filter.types.iter();
    let types = types.map(|&kind| format!("type {}", values::enum_name::<pb::EventType>(kind)));
    let ids = filter.session_ids.iter().map(|id| format!("id {id}"));
    let labels = filter.labels.iter();
    let labels = labels.map(|(name, value)| format!("label {name}={value}"));
    let texts = [("key-glob", &filter.key_glob), ("project", &filter.project)];
    let texts = texts.into_iter().filter(|(_, text)| !text.is_empty());
    let texts = texts.map(|(name, text)| format!("{name} {text}"));
    let parts: Vec<String> = types.chain(ids).chain(texts).chain(labels).collect();
    match parts.is_empty() {
        true => "all".to_owned(),
        false => parts.join(", "),
    }
}

#[cfg(test)]
mod tests;
