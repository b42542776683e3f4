//! `sessionctl resource release`: has resources go, by id or by name.
//!
//! Invariant: resources are chosen in exactly one way, so that nothing goes by an option that was forgotten; every result
//! is printed, and a refused one makes the command fail. What this deliberately does not do: end anything itself.

use std::time::Duration;

use clap::{ArgGroup, Args};
use sessiond_client::{Client, pb};

use super::gone;
use crate::failure::Failure;
use crate::many::Many;
use crate::output::Output;
use crate::say;
use crate::values;

/// How many resources one call may name.
const NAMED_MAX: usize = 256;

/// Which resources to release, and how.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").args(["ids", "name", "name_glob"]).required(true))]
pub(crate) struct ReleaseArgs {
    /// The resource, as `declare` or `ls` printed it.
    #[arg(value_name = "RESOURCE_ID")]
    ids: Vec<String>,
    /// What is not released and called exactly so.
    #[arg(long)]
    name: Option<String>,
    /// What is not released and has a name that matches: `*` stands for any characters, `?` for one.
    #[arg(long, value_name = "GLOB")]
    name_glob: Option<String>,
    /// Counts it as gone at once, whatever is true; nothing is ended any more. For what lingers and does no harm.
    #[arg(long)]
    force: bool,
    /// Releases nothing, and prints what would go.
    #[arg(long)]
    dry_run: bool,
    /// Waits this long until all of it is gone, else fails with exit code 7 [default: does not wait].
    #[arg(long, value_name = "DURATION", value_parser = values::span, conflicts_with = "dry_run")]
    wait: Option<Duration>,
}

impl ReleaseArgs {
    pub(super) async fn run(&self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let mut many = Many::new(output);
        let mut whole = pb::ReleaseResourceResponse::default();
        let mut going = Vec::new();
        let mut asked = 0;
        for mut request in self.requests() {
            loop {
                let page = client.release_resources_page(request.clone()).await?;
                asked += page.results.len();
                going.extend(page.results.iter().filter_map(still_there));
                many.page(page.results, |result| result.error.as_ref())?;
                whole.revision = page.revision;
                if page.next_page_token.is_empty() {
                    break;
                }
                request.page_token = page.next_page_token;
            }
        }
        if asked == 0 {
            say::line("nothing that is not released has such a name");
        }
        let revision = whole.revision;
        let answer = |results| pb::ReleaseResourceResponse { results, ..whole };
        let told = many.finish(answer, |whole| &whole.results);
        match self.wait {
            Some(wait) => gone::within(client, going, revision, wait).await.and(told),
            None => told,
        }
    }

    /// One request, or as many as the ids need.
    fn requests(&self) -> Vec<pb::ReleaseResourceRequest> {
        let request = pb::ReleaseResourceRequest {
            name: self.name.clone().unwrap_or_default(),
            name_glob: self.name_glob.clone().unwrap_or_default(),
            force: self.force,
            validate_only: self.dry_run,
            ..Default::default()
        };
        if self.ids.is_empty() {
            return vec![request];
        }
        let chunks = self.ids.chunks(NAMED_MAX);
        let named = chunks.map(|ids| pb::ReleaseResourceRequest {
            resource_ids: ids.to_vec(),
            ..request.clone()
        });
        named.collect()
    }
}

/// The resource of a result, if it is about to go.
fn still_there(result: &pb::ReleaseResult) -> Option<pb::Resource> {
    let is_going = result.outcome() == pb::ReleaseOutcome::Releasing;
    result.resource.clone().filter(|_| is_going)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Command, parse};
    use crate::resource::ResourceCommand;

    fn requests(arguments: &[&str]) -> Result<Vec<pb::ReleaseResourceRequest>, i32> {
        let line = ["sessionctl", "resource", "release"].iter();
        let (cli, _) = parse(line.chain(arguments)).map_err(|error| error.exit_code())?;
        let Command::Resource(ResourceCommand::Release(args)) = cli.command else {
            panic!("another command");
        };
        Ok(args.requests())
    }

    #[test]
    fn resources_are_chosen_in_one_way() {
        let by_ids = pb::ReleaseResourceRequest {
            resource_ids: vec!["a".to_owned(), "b".to_owned()],
            force: true,
            ..Default::default()
        };
        assert_eq!(requests(&["a", "b", "--force"]), Ok(vec![by_ids]));
        let by_glob = pb::ReleaseResourceRequest {
            name_glob: "shell*".to_owned(),
            validate_only: true,
            ..Default::default()
        };
        let line = ["--name-glob", "shell*", "--dry-run"];
        assert_eq!(requests(&line), Ok(vec![by_glob]));
        for bad in [
            &[][..],
            &["--force"],
            &["a", "--name", "n"],
            &["--name", "n", "--name-glob", "*"],
            &["--name", "n", "--dry-run", "--wait", "5s"],
        ] {
            assert_eq!(requests(bad), Err(2), "{bad:?}");
        }
    }

    #[test]
    fn many_ids_are_several_calls() {
        let ids: Vec<String> = (0..300).map(|number| format!("r{number}")).collect();
        let line: Vec<&str> = ids.iter().map(String::as_str).collect();
        let calls = requests(&line).expect("valid arguments");
        let named: Vec<usize> = calls.iter().map(|call| call.resource_ids.len()).collect();
        assert_eq!(named, [256, 44]);
    }
}
