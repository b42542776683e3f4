//! Links of agents: the frames that end one, each with its status.

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::agent_link_request::Frame as Said;
use sessiond_tests::agent_link::{AgentLink, hello};

use super::table::{World, judge};

/// Frames that end a link, with what is wrong with each.
async fn ends_with(world: &World, frames: Vec<Option<Said>>, fields: &[&str]) {
    let shown: String = format!("{frames:?}").chars().take(400).collect();
    let mut link = AgentLink::open(&world.caller).await.expect("a link");
    for frame in frames {
        link.send(pb::AgentLinkRequest { frame });
    }
    let refusal = loop {
        match link.frame().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it is refused: {shown}"),
            Err(refusal) => break refusal,
        }
    };
    let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
    judge(&refusal, Reason::FieldInvalid, &fields, &shown);
}

fn greeting() -> Option<Said> {
    Some(Said::Hello(hello("far", "run", "m")))
}

#[tokio::test]
async fn the_first_frame_is_a_hello_and_there_is_one() {
    let world = World::new().await;
    let beat = Some(Said::Heartbeat(pb::AgentHeartbeat {}));
    ends_with(&world, vec![beat.clone()], &["frame"]).await;
    ends_with(&world, vec![None], &["frame"]).await;
    ends_with(&world, vec![greeting(), beat, greeting()], &["hello"]).await;
    ends_with(&world, vec![greeting(), None], &["frame"]).await;
    world.is_unchanged().await;
}

#[tokio::test]
async fn a_hello_says_all_that_is_wrong_with_it() {
    let world = World::new().await;
    let empty = pb::AgentHello::default();
    let fields = ["hello.node", "hello.instance_id"];
    ends_with(&world, vec![Some(Said::Hello(empty))], &fields).await;
    let long = "x".repeat(257);
    let bad = pb::AgentHello {
        node: long.clone(),
        instance_id: "a\nb".to_owned(),
        machine_id: long.clone(),
        build_id: long,
    };
    let fields = [
        "hello.node",
        "hello.instance_id",
        "hello.machine_id",
        "hello.build_id",
    ];
    ends_with(&world, vec![Some(Said::Hello(bad))], &fields).await;
    world.is_unchanged().await;
}

#[tokio::test]
async fn an_answer_without_an_outcome_ends_the_link() {
    let world = World::new().await;
    let answer = pb::AgentAnswer {
        command_number: 1,
        outcome: None,
    };
    let frames = vec![greeting(), Some(Said::Answer(answer))];
    ends_with(&world, frames, &["answer.outcome"]).await;
    world.is_unchanged().await;
}
