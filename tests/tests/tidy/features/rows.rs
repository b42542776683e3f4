//! The guarantees and features that people were promised, by the number the field gives them, each in a sentence of ours.
//!
//! Invariant: a row stands here only when it is built in full, and then at least one test says that it proves it. What
//! this deliberately does not do: say which test; the tests do.

/// One promised behaviour.
#[derive(Debug)]
pub(crate) struct Row {
    /// Its number, such as `F12`.
    pub(crate) id: &'static str,
    /// What it promises.
    pub(crate) promise: &'static str,
}

const fn row(id: &'static str, promise: &'static str) -> Row {
    Row { id, promise }
}

/// All of them, in the order of the table.
pub(crate) const ROWS: &[Row] = &[
    row(
        "G2",
        "Every session ends exactly once, whatever dies: an orderly stop ends those that live, and what a stop that was cut short left the next start ends, from the record, for the reason on record",
    ),
    row(
        "G3",
        "Who is silent for too long is gone by the server's own clock; what is on record is compared with what is watched all the time, and each repair is told",
    ),
    row(
        "G4",
        "One worker at a time holds a session, under an epoch of its own; what is said under an older one changes nothing",
    ),
    row(
        "G5",
        "Gone is what was seen to be gone: a tree of processes is asked, killed and looked at again, what is left says so, and whoever comes next waits",
    ),
    row(
        "G6",
        "What a session has outside is on record before it is there; only what is on record is ever ended, by its exact identity or name, and can be listed first",
    ),
    row(
        "G8",
        "Work is held by a lease that can be renewed; whatever gives it back tells those who wait, and what does not move says why",
    ),
    row(
        "G9",
        "Attempts are counted for each message through crashes; what fails for good is kept, listed and brought back, and each outcome names its delivery",
    ),
    row(
        "G12",
        "A slot is given in one decision and freed with its session; those who wait keep turn and time and may leave with their caller; limits that cannot hold together are refused",
    ),
    row(
        "G13",
        "Whatever is kept has a bound: sessions, queues, messages, events, dead letters and names are refused or given up by name beyond it",
    ),
    row(
        "G16",
        "Health is that the engine gets on; beside it is told how long work waits for a worker, which work stands still, and when some was done last",
    ),
    row(
        "G20",
        "Events are numbered without a gap, one store's in one order, and can be resumed from any of them that is kept; who comes too late is told so",
    ),
    row(
        "G21",
        "Nothing that is in use is ended unasked, and that is judged where it is ended; only in a full pool does work that no worker is there for not count, and it is held",
    ),
    row(
        "G22",
        "An end looks the same whoever has it end: a caller, a sweep, a full pool or a timer",
    ),
    row(
        "F5",
        "A session shows when it began, when it was last used and what it processed, after a restart too",
    ),
    row(
        "F6",
        "A session goes from ACTIVE over DRAINING to ENDED and never back; what comes after its end is defined",
    ),
    row(
        "F7",
        "A touch counts as activity; a finished session refuses it",
    ),
    row(
        "F8",
        "Idle means strictly longer than the limit; a clock that jumps ends nothing early or late",
    ),
    row(
        "F10",
        "A process or tmux session that is gone while its session goes on is found, and one that is there after it too",
    ),
    row(
        "F11",
        "Requests that are open are counted; one whose caller is gone ends by its lease, and an end without a beginning is refused",
    ),
    row(
        "F12",
        "An end takes nothing new, waits for what is open, is over with the last of it, and proceeds with a warning",
    ),
    row(
        "F13",
        "An end of a session ends every process it has, and is harmless twice",
    ),
    row(
        "F15",
        "Its end is on record first and then what it has outside ends; a kill that fails leaves it ended, and says what is left",
    ),
    row(
        "F17",
        "A stop ends all sessions at once, each as soon as nothing of it is under way; what is under way for too long is ended within the budget and named, and nobody who does not get on holds it up",
    ),
    row(
        "F18",
        "A stop that is asked for while one is under way joins it, whoever asks: it is done once, and all are told the same",
    ),
    row(
        "F20",
        "An end need not wait for work, and what is killed is verified all the same",
    ),
    row(
        "F21",
        "Where it is set so, a stop leaves sessions running and on record, and the next start goes on with them",
    ),
    row(
        "F23",
        "One call ends all sessions at the same time, those used in that instant too, and a sweep after it finds none",
    ),
    row(
        "F24",
        "Cleanup runs without traffic, and what is over a limit ends",
    ),
    row(
        "F25",
        "The idle limit has a default, can be set for each session, and can be switched off by name",
    ),
    row(
        "F26",
        "The age limit ends a session, spares one in use, and is hard at twice its value",
    ),
    row(
        "F27",
        "A pool never has more sessions than it may; when it is full, those idle or old for an emergency end first",
    ),
    row(
        "F28",
        "A session that nobody works on is reaped from its last activity; pending work keeps it",
    ),
    row(
        "F29",
        "A worker that makes no progress for longer than its time loses the session, and what it held goes back",
    ),
    row(
        "F30",
        "A worker with nothing to do is let go; a message that comes meanwhile is kept and served",
    ),
    row(
        "F31",
        "What is in use or has work is not swept; in a full pool the idlest session gives way, one for each that comes",
    ),
    row(
        "F32",
        "Slots go to those that wait in their order and in time, and so do sessions that workers may hold",
    ),
    row(
        "F33",
        "What outlives its session is found, told and tried again; what nobody knows of is told and left alone",
    ),
    row(
        "F34",
        "An operator sweeps now: with tighter limits, dry, beside others, and is told what ended, when and why",
    ),
    row(
        "F35",
        "What a session has outside can be ended by its exact name",
    ),
    row(
        "F36",
        "Many can be ended by a pattern over their names, with a dry run; an empty pattern is refused",
    ),
    row(
        "F37",
        "Where it is set, a session is exported into a file, whole and on disk, before it is deleted; one that cannot be stays",
    ),
    row(
        "F38",
        "One call ends many sessions and says for each what became of it",
    ),
    row(
        "F39",
        "Sessions, their queues, who waits and what is to be ended survive a kill at any moment",
    ),
    row(
        "F41",
        "A message whose kind is held off is answered as skipped, not lost unseen",
    ),
    row(
        "F45",
        "No two workers get the same message; the oldest goes first",
    ),
    row(
        "F46",
        "A message is gone only once its work is acknowledged; a repeat is harmless, and what is too late is told so",
    ),
    row(
        "F47",
        "A lease that lapses gives its messages back; one that is renewed keeps them",
    ),
    row(
        "F48",
        "A message is tried a bounded number of times, counted through crashes",
    ),
    row(
        "F49",
        "What was given up is kept for a time, listed, brought back one by one or all, and cleared, each time counted",
    ),
    row(
        "F50",
        "All that is pending or in work can be given up at once, only by explicit request, and is counted",
    ),
    row(
        "F51",
        "After a restart the work of workers that are gone goes on, without losing or repeating an attempt",
    ),
    row(
        "F52",
        "How much is pending and in work is known at once, and agrees with the records after any removal",
    ),
    row(
        "F53",
        "A session has work as long as some is pending or in work; what an ended session left does not count",
    ),
    row(
        "F54",
        "When the oldest pending message came is kept through failures, and gone with the last one",
    ),
    row("F55", "Tokens used add up in 64 bits and survive a restart"),
    row(
        "F56",
        "The newest prompt and its number are known; messages carry the number",
    ),
    row(
        "F57",
        "What a worker keeps with a session, such as its provider or its history, is shown and replaced as a whole",
    ),
    row(
        "F58",
        "A kind of message that fails three times in a row is skipped for a while; others go on; a success or a reset ends it",
    ),
    row(
        "F59",
        "What a worker keeps with a session is void for another instance, and named",
    ),
    row(
        "F60",
        "Workers may fail so often and no more; failures are forgotten in time and by success, and no message is lost",
    ),
    row(
        "F61",
        "What failed is tried again after pauses that double up to a bound, spread a little",
    ),
    row("F62", "A worker is told why it loses a session"),
    row(
        "F63",
        "Sessions with a backlog and no worker are served up to a bound; those that run already are skipped",
    ),
    row(
        "F65",
        "A session that had ended by itself is never ended again by a stop or by a start",
    ),
    row(
        "F68",
        "A stop may be announced: plugins and workers are told and served on, no session begins, and until the notice is over \
         it may be called off without a trace",
    ),
    row(
        "F72",
        "What a handler makes of sessions carries the event that it handled, and one that feeds itself so is refused after eight rounds",
    ),
    row(
        "F73",
        "The server counts what it opened and cleaned up, how often it looked, and what was refused",
    ),
    row("F74", "Statistics agree with the records"),
    row(
        "F75",
        "What the server ends, takes away or gives up of itself is logged with ids and without what was said",
    ),
    row(
        "F76",
        "The next project starts only when the processes of the last one are gone; a kill that fails keeps it waiting with its reason, and the order holds",
    ),
    row("F77", "Of many who ask for the next slot one has it"),
    row(
        "F78",
        "What is left of the one before is ended before the next one gets its slot",
    ),
    row(
        "F79",
        "What did not go is tried again, for as long as it takes",
    ),
    row(
        "F80",
        "A tmux session is meant by what it is: another name changes nothing, and one that cannot be meant is refused",
    ),
    row(
        "F81",
        "An end that somebody gives by hand ends what the session has outside as any other does, and once",
    ),
    row(
        "F82",
        "Where a platform cannot tell processes apart nothing is registered, nothing is ended, and that is said",
    ),
    row(
        "F83",
        "Settings come from a file, variables and flags; all that is wrong is refused at once with file, line and the fix",
    ),
    row("F84", "Much that is due at once holds nobody up"),
    row("F85", "Sessions that come and go leave nothing in memory"),
    row(
        "B1",
        "A session has one end, with its reason, and everyone who follows the log hears of it, whatever is killed on either side",
    ),
    row(
        "B2",
        "What was not delivered goes to the successor, in constant time however much it is",
    ),
    row(
        "B3",
        "The deletion of an ended session waits until a required subscription has acknowledged all of it, for a day at most, \
         and then says who had not",
    ),
    row(
        "B4",
        "What came of a drain is kept: how many sessions ended, which of them late, what was not released, and which subscriptions did not keep up",
    ),
    row(
        "B5",
        "Who would end, when and why is told without ending anybody, and so is why work does not move, after a kill too",
    ),
    row(
        "B6",
        "A reset ends a session and opens its successor in one commit, full pool or not",
    ),
    row(
        "B7",
        "Messages steer, interrupt, replace one another, wait for a pause or go out together",
    ),
    row(
        "B8",
        "Before events are deleted every watch says where it is, and before it closes; whoever resumes from before is told \
         where the log begins",
    ),
    row(
        "B10",
        "How far a subscription is behind can be read; one that is too far behind is stale, with an event, and holds nothing",
    ),
    row(
        "B11",
        "Sessions are reset at a time of day in a zone: when it comes, once for each day, a missed one too",
    ),
    row(
        "B13",
        "A worker says how many messages and bytes it takes and may change it at any time; a deadline is of the lease, for all that is held under it",
    ),
    row(
        "B14",
        "A worker is there as long as it is heard on the stream that brings its work, and hears there that the server is",
    ),
    row(
        "B15",
        "Stuck, lost, idle and too old have a timer and a reason each; an end by idleness or age is warned of",
    ),
    row(
        "B17",
        "On a full disk what is there is read, settled and ended; only what adds is refused, until there is room, and a \
         start succeeds",
    ),
    row(
        "B18",
        "Whoever is refused for want of room or for a time is told what is full or in the way, for whom, and when to ask again",
    ),
    row(
        "B22",
        "Who opened, ended, took, purged, requeued, discarded or drained is told once, by an event and by a line of the log, and \
         so is what was refused of it",
    ),
];
