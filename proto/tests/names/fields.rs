//! The fields which clients outside this repository are written against, by message.
//!
//! Keeps to what they use: a field that is missing here may still change.

/// Messages and the fields they must have.
pub(crate) const FIELDS: &[(&str, &str)] = &[
    ("SessionRef", "session_id key"),
    ("Limit", "after never"),
    (
        "Session",
        "session_id key state pool project source agent_id labels prompt prompt_number \
         transcript_path volatile usage counts active_requests create_time last_activity_time \
         namespace idle_timeout max_lifetime owner_timeout oldest_pending_time expire_time end_time \
         lease end predecessor_id successor_id parent_session_id queue_id ordering max_in_flight \
         waiting_for circuits restart_guard touch_count revision etag unreleased_resources \
         lingering_resources",
    ),
    (
        "Resource",
        "resource_id session_id key name scope epoch state process tmux outcome lingering_cause \
         detail create_time lingering_time release_time node",
    ),
    ("ProcessResource", "pid start_ticks uid"),
    (
        "TmuxResource",
        "socket session_name tmux_id server_pid private",
    ),
    ("ProcessTarget", "pid"),
    ("AgentLinkRequest", "hello heartbeat answer"),
    (
        "AgentLinkResponse",
        "welcome command noted heartbeat go_away",
    ),
    ("AgentHello", "node instance_id machine_id build_id"),
    ("TmuxTarget", "socket session_name"),
    (
        "DeclareResourceRequest",
        "ref name scope epoch resource_id process tmux request_id node",
    ),
    ("DeclareResourceResponse", "resource duplicate revision"),
    ("ListResourcesRequest", "ref states page_size page_token"),
    ("ListResourcesResponse", "resources next_page_token"),
    (
        "ReleaseResourceRequest",
        "resource_ids name name_glob force validate_only page_size page_token",
    ),
    (
        "ReleaseResourceResponse",
        "results next_page_token revision",
    ),
    ("ReleaseResult", "resource_id resource outcome error"),
    ("ExportSessionRequest", "ref"),
    (
        "ExportSessionResponse",
        "header session message dead_letter event summary",
    ),
    (
        "ExportHeader",
        "format log_id server_version export_time revision",
    ),
    (
        "ExportSummary",
        "messages dead_letters events payload_bytes",
    ),
    ("Usage", "input_tokens output_tokens"),
    (
        "SessionCounts",
        "enqueued processed pending in_flight dead_lettered superseded discarded",
    ),
    ("Lease", "worker instance_id epoch acquire_time expire_time"),
    ("Circuit", "kind state failures retry_time"),
    ("RestartGuard", "count suspended_until"),
    (
        "SessionFilter",
        "states labels project key_prefix pool ended_after_revision",
    ),
    (
        "OpenSessionRequest",
        "key session_id pool project source agent_id labels prompt prompt_number transcript_path \
         idle_timeout max_lifetime owner_timeout conflict_policy wait_for_slot ordering \
         max_in_flight parent_session_id request_id",
    ),
    ("OpenSessionResponse", "session created duplicate"),
    ("GetSessionRequest", "ref"),
    ("GetSessionResponse", "session"),
    ("ListSessionsRequest", "filter page_size page_token"),
    (
        "ListSessionsResponse",
        "sessions next_page_token resume_token",
    ),
    (
        "UpdateSessionRequest",
        "ref update_mask etag request_id project source agent_id labels prompt prompt_number \
         transcript_path idle_timeout max_lifetime owner_timeout ordering max_in_flight",
    ),
    ("UpdateSessionResponse", "session duplicate"),
    ("TouchSessionRequest", "ref usage_delta"),
    ("TouchSessionResponse", "session"),
    ("CompactEventsRequest", "through_revision"),
    (
        "CompactEventsResponse",
        "oldest_revision current_revision held_by",
    ),
    ("RevokeLeaseRequest", "ref epoch request_id"),
    ("RevokeLeaseResponse", "session lease duplicate"),
    ("BeginRequestRequest", "ref request_lease request_token"),
    ("BeginRequestResponse", "request_token"),
    ("EndRequestRequest", "ref request_token"),
    ("EndRequestResponse", "session"),
    (
        "EndSessionRequest",
        "ref reason detail mode end_grace pending_policy successor_id wait wait_for request_id",
    ),
    ("EndSessionResponse", "session already_ended duplicate"),
    (
        "EndSessionsRequest",
        "filter session_ids key_glob reason detail mode end_grace pending_policy validate_only",
    ),
    ("EndSessionsResponse", "results"),
    ("EndResult", "session_id key outcome error"),
    (
        "ResetSessionRequest",
        "ref reason new_session_id carry project source agent_id labels prompt prompt_number \
         transcript_path idle_timeout max_lifetime owner_timeout ordering max_in_flight \
         parent_session_id request_id",
    ),
    ("ResetSessionResponse", "ended successor duplicate"),
    ("PurgeSessionsRequest", "filter session_ids validate_only"),
    ("PurgeSessionsResponse", "results sessions messages"),
    ("PurgeResult", "session_id key outcome messages error"),
    (
        "Message",
        "session_id queue_id seq kind payload content_type attributes agent_id agent_type \
         prompt_number occurred_time enqueue_time not_before_time idempotency_key attempt \
         trace_parent delivery_mode coalesce_key debounce",
    ),
    ("Debounce", "quiet max_wait"),
    (
        "EnqueueMessagesRequest",
        "ref messages open_if_missing request_id",
    ),
    ("EnqueueMessagesResponse", "results revision"),
    ("EnqueueResult", "seq status"),
    (
        "EnqueueStreamRequest",
        "stream_id ref messages open_if_missing request_id",
    ),
    ("EnqueueStreamResponse", "stream_id results status"),
    (
        "ClaimMessagesRequest",
        "ref selector worker instance_id lease_duration max_messages wait",
    ),
    ("ClaimMessagesResponse", "lease deliveries"),
    ("Delivery", "message delivery_id epoch deadline"),
    ("SettleMessagesRequest", "settlements"),
    ("SettleMessagesResponse", "results"),
    (
        "Settlement",
        "queue_id seq delivery_id epoch session_id ack nack extend",
    ),
    ("Ack", "usage_delta"),
    ("Nack", "kind delay error"),
    ("Extend", "by"),
    ("SettleResult", "code"),
    (
        "ListMessagesRequest",
        "ref filter page_size page_token include_payload",
    ),
    ("ListMessagesResponse", "messages next_page_token"),
    (
        "DeadLetter",
        "message reason attempts last_error dead_letter_time session_id key session_state in_flight",
    ),
    (
        "DeadLetterFilter",
        "ref kinds reasons since_time until_time",
    ),
    (
        "ListDeadLettersRequest",
        "filter page_size page_token include_payload",
    ),
    ("ListDeadLettersResponse", "dead_letters next_page_token"),
    (
        "RequeueDeadLettersRequest",
        "filter letters into validate_only request_id page_size page_token",
    ),
    (
        "RequeueDeadLettersResponse",
        "requeued not_found in_flight without_session no_room duplicates not_reached \
         next_page_token duplicate revision",
    ),
    (
        "DiscardMessagesRequest",
        "ref seqs filter validate_only request_id page_size page_token",
    ),
    (
        "DiscardMessagesResponse",
        "discarded not_found in_flight next_page_token duplicate revision",
    ),
    (
        "WorkRequest",
        "hello attach detach window settle progress heartbeat cancel_result goodbye",
    ),
    (
        "WorkResponse",
        "welcome attached attach_failed delivery settled cancel session_ending lease_lost quiesce \
         heartbeat go_away",
    ),
    (
        "Hello",
        "worker instance_id build_id labels window serves resume",
    ),
    ("Resume", "session_id queue_id epoch delivery_ids"),
    ("Window", "max_messages max_bytes max_sessions"),
    ("Attach", "ref"),
    ("Progress", "session_id volatile"),
    ("Attached", "lease session voided_keys"),
    ("AttachFailed", "ref status"),
    ("DeliveryBatch", "deliveries"),
    ("Settled", "results"),
    ("Cancel", "session_id reason deadline"),
    ("LeaseLost", "session_id reason successor_id"),
    ("GoAway", "close_time reason"),
    (
        "SessionEvent",
        "revision event_id type time namespace session end actor message_ref attributes cause",
    ),
    ("Actor", "kind name"),
    (
        "SessionEnd",
        "reason reason_class detail actor create_time end_time duration counts usage pending_kept \
         pending_discarded successor_id transcript_path",
    ),
    (
        "WatchSessionEventsRequest",
        "after_revision resume_token now oldest subscription take_over send_initial_state filter \
         bookmark_interval all_namespaces",
    ),
    ("EventFilter", "types session_ids key_glob labels project"),
    (
        "WatchSessionEventsResponse",
        "started initial batch bookmark go_away",
    ),
    (
        "WatchStarted",
        "log_id oldest_revision current_revision subscription_epoch acked_revision",
    ),
    ("EventBatch", "events resume_token"),
    ("Bookmark", "revision resume_token cause lag_events"),
    (
        "WorkerInfo",
        "worker instance_id build_id labels window attached_sessions in_flight connect_time \
         last_seen_time",
    ),
    ("DrainServerRequest", "reason deadline sessions notice"),
    ("DrainServerResponse", "started progress report"),
    (
        "DrainStarted",
        "joined begin_time deadline reason sessions notice_end_time",
    ),
    ("DrainProgress", "ended waiting left releasing"),
    ("GetDrainReportResponse", "report"),
    (
        "DrainReport",
        "state reason sessions begin_time end_time duration ended ended_late left \
         resources_unreleased recovered warnings notice_end_time",
    ),
    ("CancelDrainResponse", "report"),
    ("DrainWarning", "code subject count"),
];
