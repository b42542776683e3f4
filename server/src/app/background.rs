//! What runs beside the calls, each on a thread or task of its own, from a start until its part of the stop.
//!
//! What this deliberately does not do: say in which order they end; see `Running::stop`.

use std::sync::Arc;
use std::time::Duration;

use sessiond_core::ids::Revision;
use sessiond_store::fault::Fault;
use sessiond_store::store::Checkpointer;
use tokio::sync::oneshot;

use crate::checkpoint::{self, Pace};
use crate::cleanup_log;
use crate::compaction::{self, Compactor};
use crate::config::Settings;
use crate::consumers::{self, Left};
use crate::engine::Engine;
use crate::env::Env;
use crate::grpc::context::Context;
use crate::presence;
use crate::reconcile::{self, Reconciler};
use crate::releaser::{self, Bell, Releaser};
use crate::room;
use crate::transport;

/// Logs what the server does of itself from `after` on; answers when all of it is told.
pub(super) fn cleanup_log(context: &Context, after: Revision) -> oneshot::Receiver<()> {
    let (done, receiver) = oneshot::channel();
    let (feed, engine) = (Arc::clone(&context.feed), context.engine.clone());
    let log = cleanup_log::run(feed, after, engine);
    let run = async move {
        log.await;
        // Nobody waits for it only when the process is already going down.
        let _nobody = done.send(());
    };
    context.env.spawn.thread("cleanup-log", Box::pin(run));
    receiver
}

/// Makes checkpoints at their pace.
pub(super) fn checkpoints(context: &Context, checkpointer: Checkpointer, pace: Pace) {
    let run = checkpoint::run(checkpointer, pace, context.engine.clone());
    context.env.spawn.thread("checkpoint", Box::pin(run));
}

/// Looks at the disk, at what is on record, at how old the log is, and at who no longer reads it, until the engine has ended.
pub(super) fn watches(context: &Context, room: room::Watch, left: Left) {
    let spawn = &context.env.spawn;
    let engine = || context.engine.clone();
    let compactor = Compactor {
        reader: context.reader.clone(),
        engine: engine(),
        feed: Arc::clone(&context.feed),
        retention: context.events,
    };
    spawn.thread("compaction", Box::pin(compaction::run(compactor)));
    spawn.thread("room", Box::pin(room::run(room, engine())));
    let policy = Arc::clone(&context.policy);
    let reconciler = Reconciler::new(context.reader.clone(), engine(), policy);
    spawn.thread("reconcile", Box::pin(reconcile::run(reconciler)));
    spawn.thread("consumers", Box::pin(consumers::run(left, engine())));
}

/// Ends what sessions leave outside, and looks whether what they have is there; answers when what was begun is over.
pub(super) fn resources(
    settings: &Settings,
    context: &Context,
    bell: Bell,
) -> oneshot::Receiver<()> {
    let env = &context.env;
    let presence = presence::run(presence::Watch {
        reader: context.reader.clone(),
        engine: context.engine.clone(),
        agent: Arc::clone(&env.agent),
        nodes: context.nodes.clone(),
        terms: settings.resources,
        namespaces: settings.namespaces.iter().cloned().collect(),
        every: Duration::from_millis(settings.policy.cleanup_interval.0),
    });
    env.spawn.thread("presence", Box::pin(presence));
    let releaser = Releaser {
        reader: context.reader.clone(),
        engine: context.engine.clone(),
        agent: Arc::clone(&env.agent),
        nodes: context.nodes.clone(),
        clock: Arc::clone(&env.clock),
        terms: settings.resources,
        bell,
        stopping: context.stopping.clone(),
    };
    let (done, receiver) = oneshot::channel();
    let run = async move {
        releaser::run(releaser).await;
        // Nobody waits for it only when the process is already going down.
        let _nobody = done.send(());
    };
    env.spawn.thread("releaser", Box::pin(run));
    receiver
}

pub(super) fn engine(engine: Engine, env: &Env) -> oneshot::Receiver<Result<(), Fault>> {
    let (done, receiver) = oneshot::channel();
    let run = async move {
        let outcome = engine.run().await;
        // Nobody waits for it only when the process is already going down.
        drop(done.send(outcome));
    };
    env.spawn.thread("engine", Box::pin(run));
    receiver
}

/// Serves connections, and looks whether the files of their TLS have changed; answers when all are done.
pub(super) fn transport(
    bound: transport::Bound,
    routes: tonic::service::Routes,
    context: &Context,
) -> oneshot::Receiver<()> {
    let (done, receiver) = oneshot::channel();
    let (stopping, connections) = (context.stopping.clone(), context.connections.clone());
    if let Some(tls) = bound.tls() {
        let watch = tls.watch(stopping.clone());
        context.env.spawn.thread("tls", Box::pin(watch));
    }
    context.env.spawn.task(
        "transport",
        Box::pin(async move {
            transport::serve(bound, routes, stopping, connections).await;
            // Nobody waits for it only when the process is already going down.
            let _nobody = done.send(());
        }),
    );
    receiver
}
