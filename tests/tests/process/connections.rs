//! Connections: who says nothing in time is cut, who gives way when there are too many, and what a machine without
//! descriptors does.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, prlimit};
use sessiond_tests::caller::Caller;
use sessiond_tests::scrape::Scrape;
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::WatchStream;

use super::abuse::PREFACE;
use super::run::{Run, command};

/// The first bytes may take 5 s, and 5 s to spare.
pub(crate) const CUT_WITHIN: Duration = Duration::from_secs(10);

/// What the smallest server may have.
const FEWEST: usize = 16;

fn connect(server: &Server) -> TcpStream {
    connect_to(server.address())
}

pub(crate) fn connect_to(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the port listens");
    let bound = Some(CUT_WITHIN);
    stream.set_read_timeout(bound).expect("a bound can be set");
    stream
}

/// Reads until the server has closed it; panics if it does not in time.
pub(crate) fn is_closed(mut stream: TcpStream) {
    let began = Instant::now();
    let mut answer = [0; 4_096];
    loop {
        match stream.read(&mut answer) {
            Ok(0) => return,
            Ok(_) => assert!(began.elapsed() < CUT_WITHIN, "it goes on answering"),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
            Err(error) => panic!("it is not closed: {error}"),
        }
    }
}

/// Whether the server takes one more connection.
fn is_answered(server: &Server) -> bool {
    let mut stream = connect(server);
    stream.write_all(PREFACE).is_ok() && stream.read_exact(&mut [0; 9]).is_ok()
}

#[tokio::test]
async fn whoever_does_not_say_what_it_speaks_is_cut() {
    let server = Server::start();
    let began = Instant::now();
    let mut mute = Vec::new();
    for first in [&b""[..], &PREFACE[..1], &PREFACE[..23]] {
        for _ in 0..20 {
            let mut stream = connect(&server);
            stream.write_all(first).expect("it is accepted");
            mute.push(stream);
        }
    }
    // Nobody else waits for them.
    let caller = Caller::at(&server.url()).await;
    caller.opened("meanwhile").await;
    for stream in mute {
        is_closed(stream);
    }
    let took = began.elapsed();
    assert!(took < CUT_WITHIN, "{took:?}");
    caller.opened("afterwards").await;
}

#[tokio::test]
async fn a_newcomer_takes_the_place_of_whoever_was_idle_for_longest() {
    let server = Server::configured(&format!("[server]\nmax_connections = {FEWEST}\n"));
    let mut idle = Vec::new();
    for _ in 0..FEWEST {
        let mut stream = connect(&server);
        stream.write_all(PREFACE).expect("it is accepted");
        // It was accepted once it is answered, so each is older than the next.
        stream.read_exact(&mut [0; 9]).expect("settings");
        idle.push(stream);
    }
    let caller = Caller::at(&server.url()).await;
    caller.opened("a").await;
    is_closed(idle.remove(0));
    // With a call open none gives way.
    let mut watches = Vec::new();
    for _ in 1..FEWEST {
        let caller = Caller::at(&server.url()).await;
        watches.push((WatchStream::from_now(&caller).await, caller));
    }
    let mut last = WatchStream::from_now(&caller).await;
    for stream in idle {
        is_closed(stream);
    }
    is_closed(connect(&server));
    caller.opened("b").await;
    assert_eq!(last.batch().await.events.len(), 1);
    for (watch, _) in &mut watches {
        assert_eq!(watch.batch().await.events.len(), 1, "they go on");
    }
    // Who leaves makes room, once the server has noticed.
    drop(watches.pop());
    let began = Instant::now();
    while !is_answered(&server) {
        assert!(began.elapsed() < CUT_WITHIN, "there is no room again");
        caller.a_moment().await;
    }
    let scrape = Scrape::of(server.address());
    assert!(scrape.value("connections_displaced_total") >= FEWEST as f64);
    assert!(scrape.value("connections_refused_total") >= 1.0);
    // The watches, the caller and whoever scrapes.
    assert!(scrape.value("connections") >= FEWEST as f64);
    assert!(scrape.value("connections_admitted_total") > 2.0 * FEWEST as f64);
}

#[tokio::test]
async fn without_descriptors_it_serves_whom_it_has_and_takes_more_as_soon_as_it_can() {
    let temporary = tempfile::tempdir().expect("a temporary directory can be made");
    let data = temporary.path().join("data");
    let data = data.to_str().expect("UTF-8");
    let mut run = Run::start(command(&["--listen", "127.0.0.1:0", "--data-dir", data]));
    let address = run.listening();
    let url = format!("http://{address}");
    let caller = Caller::at(&url).await;
    let few = Rlimit {
        current: Some(run.open_files() + 8),
        maximum: Some(4_096),
    };
    prlimit(Some(run.pid()), Resource::Nofile, few).expect("a child can be limited");
    let connect = |_| TcpStream::connect(&address).expect("the system accepts");
    let many: Vec<TcpStream> = (0..64).map(connect).collect();
    for number in 0..20 {
        caller.opened(&format!("served-{number}")).await;
    }
    drop(many);
    // Those that wait were gone before they were accepted, or are found to be.
    let another = Caller::at(&url).await;
    another.opened("one more").await;
    run.signal(rustix::process::Signal::TERM);
    let (status, said) = run.ended();
    assert!(status.success(), "{said:?}");
    let told = said
        .iter()
        .filter(|line| line.contains("no connection can be accepted"));
    assert_eq!(told.count(), 1, "once in ten seconds: {said:?}");
}
