//! AdminService: who this server is, how it is getting on, who works for it, how full its pools are, and what an operator
//! does about it.

use std::collections::BTreeMap;

use sessiond_core::command::Command;
use sessiond_core::ids::{InstanceId, Revision, WorkerName};
use sessiond_core::reply::{Reply, WorkerView};
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::admin_service_server::AdminService;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use super::context::{faulted, refused, session_id, span};
use super::{Handlers, drain_server, pools, stats, sweep};
use crate::app::VERSION;
use crate::compaction;
use crate::limits::{HEARTBEAT_EVERY, REQUEST_BYTES_MAX};
use crate::wire::status::Refusal;
use crate::wire::token::PagePosition;
use crate::wire::{parse, show};

#[tonic::async_trait]
impl AdminService for Handlers {
    async fn get_server_info(
        &self,
        request: Request<pb::GetServerInfoRequest>,
    ) -> Result<Response<pb::GetServerInfoResponse>, Status> {
        let context = &self.context;
        context.namespace(request.metadata())?;
        let (oldest, current) = context.log_bounds()?;
        let facts = show::server::ServerFacts {
            version: VERSION,
            log_id: &context.identification.log_id,
            current,
            oldest,
            schema: sessiond_store::kv::redb::SCHEMA,
            start_time: context.identification.start_time,
            uptime: context.uptime(),
            wall: context.now().wall,
            draining: context.stopping.is_draining(),
            namespaces: &context.namespaces,
            policy: &context.policy,
            events: context.events,
            request_bytes_max: REQUEST_BYTES_MAX,
            heartbeat: span(HEARTBEAT_EVERY),
        };
        Ok(Response::new(show::server::server_info(&facts)))
    }

    async fn get_stats(
        &self,
        request: Request<pb::GetStatsRequest>,
    ) -> Result<Response<pb::GetStatsResponse>, Status> {
        self.context.namespace(request.metadata())?;
        stats::stats(&self.context).await.map(Response::new)
    }

    async fn list_pools(
        &self,
        request: Request<pb::ListPoolsRequest>,
    ) -> Result<Response<pb::ListPoolsResponse>, Status> {
        let namespace = self.context.namespace(request.metadata())?;
        pools::list(&self.context, &namespace)
            .await
            .map(Response::new)
    }

    async fn list_workers(
        &self,
        request: Request<pb::ListWorkersRequest>,
    ) -> Result<Response<pb::ListWorkersResponse>, Status> {
        let context = &self.context;
        let namespace = context.namespace(request.metadata())?;
        let page = parse::list_workers::list_workers(
            &namespace,
            &request.into_inner(),
            &context.identification.log_id,
        )
        .map_err(|invalid| Refusal::invalid(&invalid))?;
        let (_, reply) = context.ask(Command::ListWorkers { namespace }).await?;
        let Reply::Workers(mut workers) = reply else {
            panic!("workers are answered with workers: {reply:?}");
        };
        // One that is away keeps its leases for a while; it is no worker one could reach.
        workers.retain(|worker| worker.instance.stream.is_some());
        workers.sort_by_cached_key(name);
        if let Some(PagePosition::Workers { worker, instance }) = &page.after {
            let after = (worker.clone(), instance.clone());
            workers.retain(|worker| name(worker) > after);
        }
        let more = workers.len() > page.size;
        workers.truncate(page.size);
        let next_page_token = match workers.last() {
            Some(last) if more => {
                let (worker, instance) = name(last);
                page.binding
                    .token(&PagePosition::Workers { worker, instance })
            }
            _ => String::new(),
        };
        let rows = context.rows()?;
        let mut ids = BTreeMap::new();
        for (no, _) in workers.iter().flat_map(|worker| &worker.leases) {
            let id = session_id(&rows, *no).map_err(|fault| faulted(&fault))?;
            ids.extend(id.map(|id| (*no, id)));
        }
        let workers = workers
            .iter()
            .map(|worker| show::worker::worker_info(worker, |no| ids.get(&no).cloned()))
            .collect();
        Ok(Response::new(pb::ListWorkersResponse {
            workers,
            next_page_token,
        }))
    }

    async fn reset_circuit(
        &self,
        request: Request<pb::ResetCircuitRequest>,
    ) -> Result<Response<pb::ResetCircuitResponse>, Status> {
        let (namespace, actor) = self.context.called(&request)?;
        let request = request.into_inner();
        let reset = parse::reset_circuit::reset_circuit(&namespace, request, actor)
            .map_err(|invalid| Refusal::invalid(&invalid))?;
        let (reply, shown, _) = self.change(Command::ResetCircuit(reset)).await?;
        Ok(Response::new(show::reply::reset_circuit(reply, shown)))
    }

    async fn sweep(
        &self,
        request: Request<pb::SweepRequest>,
    ) -> Result<Response<pb::SweepResponse>, Status> {
        let caller = self.context.called(&request)?;
        sweep::serve(&self.context, &self.bulk, caller, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn revoke_lease(
        &self,
        request: Request<pb::RevokeLeaseRequest>,
    ) -> Result<Response<pb::RevokeLeaseResponse>, Status> {
        let context = &self.context;
        let (namespace, actor) = context.called(&request)?;
        let revoke = parse::revoke::revoke(&namespace, request.into_inner(), actor)
            .map_err(|invalid| Refusal::invalid(&invalid))?;
        let (revision, reply) = context.ask(Command::Revoke(revoke)).await?;
        let shown = context.shown(revision);
        Ok(Response::new(show::reply::revoked(reply, shown)))
    }

    type DrainServerStream = BoxStream<pb::DrainServerResponse>;

    async fn drain_server(
        &self,
        request: Request<pb::DrainServerRequest>,
    ) -> Result<Response<Self::DrainServerStream>, Status> {
        self.context.namespace(request.metadata())?;
        drain_server::serve(&self.context, request.into_inner()).map(Response::new)
    }

    async fn cancel_drain(
        &self,
        request: Request<pb::CancelDrainRequest>,
    ) -> Result<Response<pb::CancelDrainResponse>, Status> {
        let (_, actor) = self.context.called(&request)?;
        drain_server::cancel(&self.context, actor)
            .await
            .map(Response::new)
    }

    async fn get_drain_report(
        &self,
        request: Request<pb::GetDrainReportRequest>,
    ) -> Result<Response<pb::GetDrainReportResponse>, Status> {
        self.context.namespace(request.metadata())?;
        drain_server::report(&self.context).map(Response::new)
    }

    async fn compact_events(
        &self,
        request: Request<pb::CompactEventsRequest>,
    ) -> Result<Response<pb::CompactEventsResponse>, Status> {
        let context = &self.context;
        context.namespace(request.metadata())?;
        let rows = context.rows()?;
        let (oldest, newest) = rows.log_bounds().map_err(|fault| faulted(&fault))?;
        let through = parse::compact_events::compact_events(request.into_inner(), newest)
            .map_err(|invalid| Refusal::invalid(&invalid))?;
        let goes = compaction::as_far_as_held(&rows, through).map_err(|fault| faulted(&fault))?;
        drop(rows);
        // Nobody is told of what stays.
        let reached = match goes >= oldest {
            true => compaction::delete(&context.engine, &context.feed, goes)
                .await
                .map_err(refused)?,
            false => Revision(oldest.0 - 1),
        };
        let rows = context.rows()?;
        let bounds = rows.log_bounds().map_err(|fault| faulted(&fault))?;
        // One may have let go meanwhile; then a repeat deletes more.
        let holding = match through > reached {
            true => rows.holding(1).map_err(|fault| faulted(&fault))?.pop(),
            false => None,
        };
        Ok(Response::new(show::server::compacted(bounds, holding)))
    }
}

/// What workers are listed by.
fn name(worker: &WorkerView) -> (WorkerName, InstanceId) {
    (worker.instance.worker.clone(), worker.key.1.clone())
}
